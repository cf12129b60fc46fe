"""A TFLite file as a function of named arrays; the only place that knows the runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class TfliteError(Exception):
    """A file that the runtime does not accept; one line."""


def _runtime() -> Any:
    """ai-edge-litert where it is installed, else tflite-runtime."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        try:
            from tflite_runtime import interpreter
        except ImportError as error:
            raise TfliteError("neither ai-edge-litert nor tflite-runtime is installed") from error
    return interpreter


class Network:
    """Maps named float32 inputs to named float32 outputs.

    Integer tensors are quantised and dequantised with the scale and zero-point in the file.
    Not thread-safe.
    """

    def __init__(self, path: Path, num_threads: int = 1) -> None:
        """Load a file.

        Raises:
            TfliteError: it is not a TFLite model with one signature, or no runtime is there.
        """
        runtime = _runtime()
        # Without XNNPACK: its int8 rounds otherwise, which moves probabilities by up to 0.023.
        # This way both runtimes give the same scores, to the bit.
        resolver = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = runtime.Interpreter(
                str(path), num_threads=num_threads, experimental_op_resolver_type=resolver
            )
            self._interpreter.allocate_tensors()
            signature = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise TfliteError(f"{path}: not a usable TFLite model ({reason})") from error
        self._inputs: dict[str, dict[str, Any]] = signature.get_input_details()
        self._outputs: dict[str, dict[str, Any]] = signature.get_output_details()
        self.input_shapes = _shapes(self._inputs)
        self.output_shapes = _shapes(self._outputs)

    def __call__(self, inputs: Mapping[str, Floats]) -> dict[str, Floats]:
        """Run once.

        Args:
            inputs: float32 by name, each of the shape in `input_shapes`.

        Returns:
            float32 by name, each of the shape in `output_shapes`.
        """
        for name, detail in self._inputs.items():
            self._interpreter.set_tensor(detail["index"], _quantise(inputs[name], detail))
        self._interpreter.invoke()
        return {
            name: _dequantise(self._interpreter.get_tensor(detail["index"]), detail)
            for name, detail in self._outputs.items()
        }


def _shapes(details: dict[str, dict[str, Any]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(map(int, detail["shape"])) for name, detail in details.items()}


def _quantise(values: Floats, detail: dict[str, Any]) -> NDArray[Any]:
    dtype = detail["dtype"]
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype, copy=False)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    steps = values / (scale or 1)  # integers that are not quantised have the scale 0
    return np.clip(np.rint(steps) + zero_point, limits.min, limits.max).astype(dtype)


def _dequantise(values: NDArray[Any], detail: dict[str, Any]) -> Floats:
    if not np.issubdtype(detail["dtype"], np.integer):
        return values.astype(np.float32)
    scale, zero_point = detail["quantization"]
    return ((values.astype(np.float32) - zero_point) * (scale or 1)).astype(np.float32)
