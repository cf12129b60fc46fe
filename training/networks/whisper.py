"""The encoder of Whisper, cut off after some of its layers: it knew speech before it knew emotions.

It may be narrower than it was trained, with fewer numbers in between; `narrowing` gives it the
weights then.

Reference:
    Radford et al., Robust speech recognition via large-scale weak supervision, 2022, arXiv
    2212.04356.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import ops

from serd.audio import Floats
from training.networks import NetworkError, Shapes, framed, only, whisper_weights

STRIDE = 2
"""Frames of the log-mel a step."""
HEADS = 6
STEPS = "steps"
"""The layer that gives the last states, `[b, steps, width]`."""
_MASKED_LOGIT = 100.0


@dataclass(frozen=True)
class Sizes:
    """How wide the encoder is inside; 0: as wide as it was trained."""

    width: int
    """Of the states; never less than the encoder's."""
    stem: int = 0
    """Numbers between the two halves that the second convolution is split in then."""
    positions: int = 0
    """Numbers that say where a step is."""
    keys: int = 0
    """Numbers by which a head compares two steps."""
    values: int = 0
    """Numbers that a head takes from other steps."""
    hidden: int = 0
    """Numbers between a layer's last two matrices."""

    @property
    def are_whole(self) -> bool:
        """Whether nothing is smaller than in the encoder."""
        return self == Sizes(self.width)


def embed(
    shapes: Shapes,
    weights: str = "none",
    layers: int = 3,
    width: int = 384,
    stem: int = 0,
    positions: int = 0,
    keys: int = 0,
    values: int = 0,
    hidden: int = 0,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding: of each layer's states the means and the spreads over time.

    Args:
        shapes: one input `[frames, 80]`, log-mels in Whisper's scale.
        weights: a file as `whisper_weights.read` takes it; `none`: from scratch.
        layers: how many of the encoder's.
        width: see `Sizes`, as for all that follow.
        stem: numbers in the middle of the second convolution.
        positions: numbers that say where a step is.
        keys: of a head.
        values: of a head.
        hidden: between a layer's last two matrices.

    Raises:
        NetworkError: no such weights, or the network is narrower than they are.
    """
    name, (frames, size) = only(shapes, 2)
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    sizes = Sizes(width, stem, positions, keys, values, hidden)
    found = _states(features, mask, layers, sizes)
    if weights != "none":
        if not sizes.are_whole:
            raise NetworkError("narrower than its weights: to be taught")
        _load(keras.Model(inputs, found), whisper_weights.by_layer(Path(weights), layers, HEADS))
    return inputs, framed.mean_and_spread(_joined(found), framed.strided(mask, STRIDE))


def teacher(frames: int, weights: Path, layers: int) -> keras.Model:
    """What the encoder's first layers make of a window.

    Returns:
        From log-mels `[b, frames, 80]` and their mask `[b, frames]` to the layers' states, side by
        side, `[b, frames // STRIDE, layers * width]`. Steps that are filled up take no part in what
        the others become.
    """
    inputs = framed.inputs("log_mel", frames, 80)
    features, mask = inputs.values()
    whole = whisper_weights.by_layer(weights, layers, HEADS)
    _, bias = whole["conv1"]
    found = _states(features, mask, layers, Sizes(bias.size))
    network = keras.Model([features, mask], _joined(found), trainable=False)
    _load(network, whole)
    return network


@keras.saving.register_keras_serializable("serd")
class Positions(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """What says where each step is, `[b, steps, size]`, for those that count."""

    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.size = size

    def build(self, shape: tuple[int, ...]) -> None:
        """Learnt with the encoder, not computed."""
        self.table = self.add_weight(shape=(shape[1], self.size), name="table")

    def call(self, kept: Any) -> Any:
        """Of what is kept, `[b, steps, 1]`."""
        return kept * self.table

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size}


def _states(
    features: keras.KerasTensor, mask: keras.KerasTensor, count: int, sizes: Sizes
) -> list[keras.KerasTensor]:
    """Of each layer `[b, steps, width]`."""
    kept = framed.strided(mask, STRIDE)
    x = _stem(framed.silenced(features, mask, scale=False), sizes)
    places = Positions(sizes.positions or sizes.width, name="positions")(kept)
    if sizes.positions:
        places = keras.layers.Conv1D(sizes.width, 1, use_bias=False, name="positions_then")(places)
    x = keras.layers.Add()([x, places])
    found = []
    for number in range(count):
        y = _normalised(x, f"attention_norm_{number}")
        x = keras.layers.Add()([x, _attention(y, kept, number, sizes)])
        y = _linear(
            _normalised(x, f"norm_{number}"), sizes.hidden or 4 * sizes.width, f"wide_{number}"
        )
        y = keras.layers.Activation("gelu", name=f"hidden_{number}")(y)
        last = {"name": STEPS} if number == count - 1 else {}
        x = keras.layers.Add(**last)([x, _linear(y, sizes.width, f"narrow_{number}")])
        found.append(x)
    return found


def _stem(x: keras.KerasTensor, sizes: Sizes) -> keras.KerasTensor:
    """The two convolutions: log-mels `[b, frames, 80]` to `[b, frames // STRIDE, width]`."""
    x = keras.layers.Conv1D(sizes.width, 3, padding="same", name="conv1")(x)
    x = keras.layers.ZeroPadding1D(1)(keras.layers.Activation("gelu", name="conv1_gelu")(x))
    if sizes.stem:
        x = keras.layers.Conv1D(sizes.stem, 3, STRIDE, use_bias=False, name="conv2_first")(x)
        x = keras.layers.Conv1D(sizes.width, 1, name="conv2_then")(x)
    else:
        x = keras.layers.Conv1D(sizes.width, 3, STRIDE, name="conv2")(x)
    return keras.layers.Activation("gelu")(x)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)


def _linear(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    """At each step; as a convolution, which in 8 bits both runtimes know."""
    return keras.layers.Conv1D(size, 1, name=name)(x)


def _attention(
    x: keras.KerasTensor, kept: keras.KerasTensor, number: int, sizes: Sizes
) -> keras.KerasTensor:
    whole = sizes.width // HEADS
    keys, values = HEADS * (sizes.keys or whole), HEADS * (sizes.values or whole)
    query = _heads(_linear(x, keys, f"query_{number}"))
    # A bias would say the same to all keys.
    key = _heads(keras.layers.Conv1D(keys, 1, use_bias=False, name=f"key_{number}")(x))
    value = _heads(_linear(x, values, f"value_{number}"))
    logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    steps = x.shape[1]
    logits = logits + _MASKED_LOGIT * (ops.reshape(kept, (-1, 1, 1, steps)) - 1)
    mixed = ops.transpose(ops.matmul(ops.softmax(logits), value), (0, 2, 1, 3))
    mixed = ops.reshape(mixed, (-1, steps, mixed.shape[2] * mixed.shape[3]))
    return _linear(mixed, sizes.width, f"mixed_{number}")


def _heads(x: keras.KerasTensor) -> keras.KerasTensor:
    """`[b, steps, HEADS * size]` as `[b, HEADS, steps, size]`."""
    _, steps, size = x.shape
    return ops.transpose(ops.reshape(x, (-1, steps, HEADS, size // HEADS)), (0, 2, 1, 3))


def _joined(states: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    return keras.layers.Concatenate()(states) if len(states) > 1 else states[0]


def _load(network: keras.Model, whole: dict[str, list[Floats]]) -> None:
    """Give the network the encoder's weights as they are."""
    for name, own in whole.items():
        layer = network.get_layer(name)
        layer.set_weights([own[0][: layer.table.shape[0]]] if name == "positions" else own)
