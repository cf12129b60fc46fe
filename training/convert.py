"""Keras → TFLite: in float32, or fully in int8, calibrated on real utterances."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from serd.classifier import fill, mask
from training.dataset import Utterance

Kind = Literal["float32", "int8"]


class ConversionError(Exception):
    """A network that cannot be converted; one line."""


def to_tflite(
    model: Path, kind: Kind, calibration: Sequence[Utterance], length: int, output: Path
) -> None:
    """Convert a saved Keras model.

    A process of its own does it: the converter has crashes that take their process along.

    Args:
        model: a `.keras` file with the inputs `log_mel` and `mask`.
        kind: `int8` takes and gives int8 too.
        calibration: utterances of the training speakers, for the ranges of activations.
        length: of the window, frames.
        output: the `.tflite` file.

    Raises:
        ConversionError: with the converter's last line.
    """
    samples = output.with_suffix(".calibration.npz")
    # Some leave at least half the window empty: a mask that is 1 everywhere has no range,
    # and both runtimes abort on what the converter makes of that.
    frames = [
        u.features[: length // 2] if i % 8 == 0 else u.features for i, u in enumerate(calibration)
    ]
    np.savez(
        samples,
        log_mel=np.stack([fill(f, length) for f in frames]),
        mask=np.stack([mask(len(f), length) for f in frames]),
    )
    done = subprocess.run(
        [sys.executable, "-m", "training.convert", str(model), kind, str(samples), str(output)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    samples.unlink()
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConversionError(f"{model}: exit {done.returncode}: {last}")


def _main(model: str, kind: Kind, samples: str, output: str) -> None:
    import keras
    import tensorflow as tf

    network = keras.models.load_model(model)
    arrays = dict(np.load(samples))
    # A batch of exactly one lets the converter fold every shape into a constant.
    inputs = {
        name: keras.Input(batch_shape=(1, *array.shape[1:]), name=name)
        for name, array in arrays.items()
    }
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, network(inputs)))
    if kind == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            {name: array[i : i + 1] for name, array in arrays.items()}
            for i in range(len(arrays["mask"]))
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(output).write_bytes(converter.convert())


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type]
