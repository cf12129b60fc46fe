"""An autoencoder of convolutions and transposed convolutions over the spectrum.

Each stage of the encoder halves frequency, and from the second on time; the decoder goes the
same way back. With `skips`, what a stage of the encoder saw is added where the decoder comes
by, so that detail need not pass the narrow middle. Convolutions see the same everywhere: what is
usual where is known by `Place`, and the middle looks across the whole spectrum.

Reference:
    Jansson et al., Singing voice separation with deep U-Net convolutional networks, ISMIR 2017.
"""

import keras
from keras import layers

from training.networks import NetworkError


def build(
    frames: int,
    bins: int,
    channels: tuple[int, ...] = (16, 24, 32, 48, 64),
    middle: int = 1,
    across: int = 80,
    skips: bool = True,
) -> keras.Model:
    """An untrained network.

    Args:
        frames: of a window, a multiple of 2 to the power of the stages less one.
        bins: of the spectrum, a multiple of 2 to the power of the stages.
        channels: of the stages of the encoder.
        middle: residual convolutions between encoder and decoder.
        across: units that see all of the spectrum at once, after those.
        skips: whether the decoder is given what the encoder saw.

    Returns:
        From `{"spectrum": [b, frames, bins]}`, of `serd.stft.log_power`, to
        `{"mask": [b, frames, bins]}`, 0…1: the root of the gain.

    Raises:
        NetworkError: the window cannot be halved that often.
    """
    strides = [(1, 2), *[(2, 2)] * (len(channels) - 1)]
    if not channels or frames % 2 ** (len(channels) - 1) or bins % 2 ** len(channels):
        raise NetworkError(f"{len(channels)} stages do not halve {frames} frames, {bins} bins")
    spectrum = keras.Input((frames, bins), name="spectrum")
    x = layers.Reshape((frames, bins, 1))(spectrum)
    seen: list[keras.KerasTensor] = []
    for filters, stride in zip(channels, strides, strict=True):
        x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        x = _unit(x if seen else Place()(x))
        seen.append(x)
    for _ in range(middle):
        y = layers.Conv2D(channels[-1], 3, padding="same", use_bias=False)(x)
        x = layers.Add()([x, _unit(y)])
    x = layers.Add()([x, _across(x, across)])
    for place in reversed(range(1, len(channels))):
        x = layers.Conv2DTranspose(
            channels[place - 1], 3, strides[place], padding="same", use_bias=False
        )(x)
        x = _unit(x)
        if skips:
            x = layers.Add()([x, seen[place - 1]])
    x = layers.Conv2DTranspose(1, 3, strides[0], padding="same", activation="sigmoid")(x)
    mask = layers.Reshape((frames, bins), name="mask")(x)
    return keras.Model({"spectrum": spectrum}, {"mask": mask})


@keras.saving.register_keras_serializable("training")
class Place(layers.Layer):  # type: ignore[misc] # Keras has no types
    """Adds to every bin and channel a number of its own, in all frames the same."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self._own = self.add_weight(shape=input_shape[2:], initializer="zeros", name="own")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """`[b, frames, bins, channels]` of both."""
        return x + self._own


def _across(x: keras.KerasTensor, units: int) -> keras.KerasTensor:
    _, frames, bins, channels = x.shape
    y = layers.Reshape((frames, bins * channels))(x)
    y = _unit(layers.Dense(units, use_bias=False)(y))
    y = _unit(layers.Conv1D(units, 3, padding="same", use_bias=False)(y))
    y = layers.Dense(bins * channels, use_bias=False)(y)
    return _unit(layers.Reshape((frames, bins, channels))(y))


def _unit(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(layers.BatchNormalization()(x))
