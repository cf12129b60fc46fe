"""Keras → TFLite: in float32, float16, with dynamic range, or fully in int8."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from serd.audio import Floats
from training import networks

Kind = Literal["float32", "float16", "dynamic", "int8"]
"""`float16`: weights of half the size, computed with in float32. `dynamic`: weights in int8,
activations as they come. `int8`: everything, inputs and outputs too."""


class ConversionError(Exception):
    """A network that cannot be converted; one line."""


def to_tflite(
    model: Path,
    examples: Mapping[str, Floats],
    outputs: Mapping[Kind, Path],
    float_ops: Sequence[str] = (),
) -> None:
    """Convert a saved Keras model.

    A process of its own does it: the converter has crashes that take their process along.

    Args:
        model: a `.keras` file.
        examples: of the training speakers, by input `[n, …]`; their activations give the
            int8 ranges.
        outputs: what weights and activations become, and the `.tflite` file for it, in a
            folder that is there.
        float_ops: TFLite's operations that `int8` leaves in float32.

    Raises:
        ConversionError: with the converter's last line.
    """
    samples = model.with_suffix(".examples.npz")
    named: dict[str, Any] = {**_some_half_empty(examples)}
    np.savez(samples, **named)
    todo = [",".join(float_ops), *(str(word) for output in outputs.items() for word in output)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "training.convert", str(model), str(samples), *todo],
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        samples.unlink()
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        lacking = ", ".join(kind for kind, output in outputs.items() if not output.is_file())
        raise ConversionError(f"{model} to {lacking}: exit {done.returncode}: {last}")


def _some_half_empty(examples: Mapping[str, Floats]) -> dict[str, Floats]:
    """Leave half the window empty in every eighth example.

    A mask that is 1 everywhere has no range, and both runtimes abort on what the converter
    makes of that.
    """
    arrays = {name: array.copy() for name, array in examples.items()}
    for name, array in arrays.items():
        if name in {f"{other}_mask" for other in arrays} or f"{name}_mask" in arrays:
            array[::8, array.shape[1] // 2 :] = 0
    return arrays


def _main(model: str, samples: str, float_ops: str, *outputs: str) -> None:
    import keras

    network = networks.load(Path(model))
    arrays = dict(np.load(samples))
    # A batch of exactly one lets the converter fold every shape into a constant; in another
    # order than the network's own inputs it does not, and fails on an LSTM among several.
    inputs = {
        own.name: keras.Input(batch_shape=(1, *own.shape[1:]), name=own.name)
        for own in network.inputs
    }
    single = keras.Model(inputs, network(inputs))
    for kind, output in zip(outputs[::2], outputs[1::2], strict=True):
        Path(output).write_bytes(_converted(single, kind, arrays, float_ops.split(",")))


def _converted(
    network: Any, kind: str, arrays: Mapping[str, Floats], float_ops: Sequence[str]
) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        count = len(next(iter(arrays.values())))
        converter.representative_dataset = lambda: (
            {name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        if any(float_ops):
            lite = tf.lite.experimental
            options = lite.QuantizationDebugOptions(denylisted_ops=list(float_ops))
            debugger = lite.QuantizationDebugger(converter=converter, debug_options=options)
            model = bytes(debugger.get_nondebug_quantized_model())
            there = {
                op["op_name"]
                for op in tf.lite.Interpreter(model_content=model)._get_ops_details()  # noqa: SLF001
            }
            if missing := sorted(set(float_ops) - there):
                sys.exit(f"float_ops: no {missing[0]} in it; there are {', '.join(sorted(there))}")
            return model
    return bytes(converter.convert())


if __name__ == "__main__":
    _main(*sys.argv[1:])
