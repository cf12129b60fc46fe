"""The encoder of Whisper, cut off after some of its layers: it knew speech before it knew emotions.

Reference:
    Radford et al., Robust speech recognition via large-scale weak supervision, 2022, arXiv
    2212.04356.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from serd.audio import Floats
from training.networks import NetworkError, Shapes, framed, only, whisper_weights

STRIDE = 2
"""Frames of the log-mel a step."""
_HEADS = 6
_MASKED_LOGIT = 100.0

# Each of a layer's parts by its name here: the names of its arrays.
_PARTS = {
    "attention_norm": ("self_attention.layer_norm.gamma", "self_attention.layer_norm.beta"),
    "query_key_value": ("self_attention.linear_0.weight", "self_attention.linear_0.bias"),
    "mixed": ("self_attention.linear_1.weight", "self_attention.linear_1.bias"),
    "norm": ("ffn.layer_norm.gamma", "ffn.layer_norm.beta"),
    "wide": ("ffn.linear_0.weight", "ffn.linear_0.bias"),
    "narrow": ("ffn.linear_1.weight", "ffn.linear_1.bias"),
}


def embed(
    shapes: Shapes, weights: str, layers: int = 3
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding: of each layer's states the means and the spreads over time.

    Args:
        shapes: one input `[frames, 80]`, log-mels in Whisper's scale.
        weights: a file as `whisper_weights.read` takes it.
        layers: how many of the encoder's.
    """
    name, (frames, size) = only(shapes, 2)
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    found = keras.layers.Concatenate()(_states(features, mask, Path(weights), layers))
    return inputs, framed.mean_and_spread(found, framed.strided(mask, STRIDE))


def teacher(frames: int, weights: Path, layers: int) -> keras.Model:
    """What the encoder's first layers make of a window.

    Returns:
        From log-mels `[b, frames, 80]` and their mask `[b, frames]` to the layers' states, side by
        side, `[b, frames // STRIDE, layers * width]`. Steps that are filled up take no part in what
        the others become.
    """
    inputs = framed.inputs("log_mel", frames, 80)
    features, mask = inputs.values()
    found = keras.layers.Concatenate()(_states(features, mask, weights, layers))
    return keras.Model([features, mask], found, trainable=False)


def stem(x: keras.KerasTensor, width: int = 384) -> keras.KerasTensor:
    """The two convolutions: log-mels `[b, frames, 80]` to `[b, frames // STRIDE, width]`."""
    x = keras.layers.Conv1D(width, 3, padding="same", name="conv1")(x)
    x = keras.layers.Activation("gelu")(x)
    x = keras.layers.ZeroPadding1D(1)(x)
    x = keras.layers.Conv1D(width, 3, STRIDE, name="conv2")(x)
    return keras.layers.Activation("gelu")(x)


def load_stem(network: keras.Model, weights: Path) -> None:
    """Give a network's `stem` the pretrained weights; raises NetworkError."""
    _load_stem(network, whisper_weights.read(weights))


@keras.saving.register_keras_serializable("serd")
class Positions(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Adds to each step what says where it is, `[b, steps, width]`."""

    def build(self, shape: tuple[int, ...]) -> None:
        """Learnt with the encoder, not computed."""
        self.table = self.add_weight(shape=shape[1:], name="table")

    def call(self, x: Any) -> Any:
        return x + self.table


def _states(
    features: keras.KerasTensor, mask: keras.KerasTensor, weights: Path, count: int
) -> list[keras.KerasTensor]:
    """Of each layer `[b, steps, width]`, with the pretrained weights."""
    arrays = whisper_weights.read(weights)
    width = arrays["conv1.bias"].size
    if f"layer_{count - 1}.ffn.linear_1.bias" not in arrays:
        raise NetworkError(f"weights {weights}: fewer than {count} layers in it")
    kept = framed.strided(mask, STRIDE)
    heard = framed.silenced(features, mask, scale=False)
    x = Positions(name="positions")(stem(heard, width))
    found = []
    for number in range(count):
        y = _normalised(x, f"attention_norm_{number}")
        x = keras.layers.Add()([x, _attention(y, kept, number, width)])
        y = _linear(_normalised(x, f"norm_{number}"), 4 * width, f"wide_{number}")
        y = _linear(keras.layers.Activation("gelu")(y), width, f"narrow_{number}")
        x = keras.layers.Add()([x, y])
        found.append(x)
    network = keras.Model([features, mask], found)
    _load_stem(network, arrays)
    network.get_layer("positions").set_weights(
        [arrays["position_encodings.encodings"][: x.shape[1]]]
    )
    for number in range(count):
        for part, names in _PARTS.items():
            own = [arrays[f"layer_{number}.{name}"] for name in names]
            if own[0].ndim == 2:
                own[0] = own[0].T[None]
            network.get_layer(f"{part}_{number}").set_weights(own)
    return found


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def _linear(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    """At each step; as a convolution, which in 8 bits both runtimes know."""
    return keras.layers.Conv1D(size, 1, name=name)(x)


def _attention(
    x: keras.KerasTensor, kept: keras.KerasTensor, number: int, width: int
) -> keras.KerasTensor:
    steps, size = x.shape[1], width // _HEADS
    query, key, value = (
        ops.transpose(ops.reshape(part, (-1, steps, _HEADS, size)), (0, 2, 1, 3))
        for part in ops.split(_linear(x, 3 * width, f"query_key_value_{number}"), 3, axis=-1)
    )
    logits = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
    logits = logits + _MASKED_LOGIT * (ops.reshape(kept, (-1, 1, 1, steps)) - 1)
    mixed = ops.transpose(ops.matmul(ops.softmax(logits), value), (0, 2, 1, 3))
    return _linear(ops.reshape(mixed, (-1, steps, width)), width, f"mixed_{number}")


def _load_stem(network: keras.Model, arrays: dict[str, Floats]) -> None:
    for name in ("conv1", "conv2"):
        kernel = np.transpose(arrays[f"{name}.weight"], (2, 1, 0))
        network.get_layer(name).set_weights([kernel, arrays[f"{name}.bias"]])
