"""A TFLite file as a function of named arrays; the only place that knows the runtime."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"


class TfliteError(Exception):
    """A file that the runtime does not accept; one line."""


def _interpreter_class() -> Any:
    """ai-edge-litert where it is installed, else tflite-runtime."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError as error:
            raise TfliteError("neither ai-edge-litert nor tflite-runtime is installed") from error
    return Interpreter


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
        interpreter_class = _interpreter_class()
        try:
            with _without_greeting():
                self._interpreter = interpreter_class(str(path), num_threads=num_threads)
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


@contextmanager
def _without_greeting() -> Iterator[None]:
    """Keeps from stderr what the runtime says of itself and no setting turns off; only that."""
    stderr = os.dup(2)
    with os.fdopen(os.memfd_create("stderr"), "rb") as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            if rest := said.read().replace(_GREETING, b""):
                os.write(2, rest)


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
