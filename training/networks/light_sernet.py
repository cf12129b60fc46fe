"""Light-SERNet: three views of the cepstrum side by side, then plain convolutions.

One path looks along time, one along the coefficients, one at both; what they find goes through
blocks of a convolution, normalisation and an average over neighbours, and is averaged as a whole.

What differs from the paper: frames that only fill up the window enter as zeros, and their
steps are left out of the last average. MFCCs are scaled to mean 0 and deviation 1 instead of being
clipped, for ours are of decibels. Weights decay by the schedule that all networks share.

Reference:
    Aftab et al., Light-SERNet: a lightweight fully convolutional neural network for speech
    emotion recognition, ICASSP 2022.
"""

import keras
from keras import layers

from training.networks import Shapes, framed, only

TIME_STRIDE = 32
_VIEWS = ((11, 1), (1, 9), (3, 3))
"""Frames and coefficients that each path sees at once."""
_POOLS = ((2, 2), (2, 2), (2, 1), (2, 1))
"""Frames and coefficients that become one, after each block."""
_MOMENTUM = 0.9
"""Of batch statistics: with Keras' 0.99 they lag behind for most of a schedule of some hundred
steps, through eight layers in a row."""


def embed(
    shapes: Shapes,
    paths: int = 32,
    channels: tuple[int, int, int, int] = (64, 96, 128, 160),
    width: int = 320,
    dropout: float = 0.3,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[frames, size]`, its frames a multiple of `TIME_STRIDE`; it is scaled
            to mean 0 and deviation 1.
        paths: channels of each of the three paths.
        channels: of the four blocks.
        width: of the embedding.
        dropout: of the embedding, 0…1.
    """
    name, (frames, size) = only(shapes, 2)
    if frames % TIME_STRIDE:
        raise ValueError(f"frames must be a multiple of {TIME_STRIDE}")
    if len(channels) != len(_POOLS):
        raise ValueError(f"channels: there are {len(_POOLS)} blocks")
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    x = layers.Reshape((frames, size, 1))(framed.silenced(features, mask, scale=True))
    views = [_block(x, paths, view, (2, 2)) for view in _VIEWS]
    x = layers.Concatenate()(views)
    for filters, pool in zip(channels, _POOLS, strict=True):
        x = _block(x, filters, (3, 3), pool)
    x = _unit(x, width, (1, 1))
    x = layers.AveragePooling2D((1, x.shape[2]))(x)
    x = layers.Reshape((frames // TIME_STRIDE, width))(x)
    mean = framed.mean(x, framed.strided(mask, TIME_STRIDE))
    return inputs, layers.Dropout(dropout)(mean)


def _block(
    x: keras.KerasTensor, filters: int, view: tuple[int, int], pool: tuple[int, int]
) -> keras.KerasTensor:
    return layers.AveragePooling2D(pool, padding="same")(_unit(x, filters, view))


def _unit(x: keras.KerasTensor, filters: int, view: tuple[int, int]) -> keras.KerasTensor:
    x = layers.Conv2D(filters, view, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=_MOMENTUM)(x))
