"""A compact convolutional network with attentive pooling over time.

Two-dimensional convolutions with pooling over frequency read local patterns; dilated
convolutions over time put them in context.
"""

import keras
from keras import layers

from training.networks import Shapes, framed, only

TIME_STRIDE = 4


def embed(
    shapes: Shapes,
    channels: tuple[int, ...] = (16, 32, 48),
    context: int = 96,
    dilations: tuple[int, ...] = (1, 2, 4),
    dropout: float = 0.3,
    scale: bool = False,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[frames, size]`, its frames a multiple of `TIME_STRIDE`.
        channels: of the two-dimensional stages; each halves frequency, the first two time.
        context: channels of the convolutions over time.
        dilations: of the convolutions over time, one residual block each.
        dropout: of the embedding, 0…1; within the network a third of it.
        scale: to mean 0 and deviation 1; not needed for log-mels in Whisper's scale.
    """
    name, (frames, size) = only(shapes, 2)
    if frames % TIME_STRIDE:
        raise ValueError(f"frames must be a multiple of {TIME_STRIDE}")
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    x = layers.Reshape((frames, size, 1))(framed.silenced(features, mask, scale=scale))
    for stage, filters in enumerate(channels):
        strides = (2, 2) if stage < 2 else (1, 2)
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.SpatialDropout2D(dropout / 3)(x)
    x = layers.Reshape((frames // TIME_STRIDE, -1))(x)
    x = _unit(x, context, 1)
    for dilation in dilations:
        y = layers.SpatialDropout1D(dropout / 3)(x)
        x = layers.Add()([x, _unit(y, context, 5, dilation)])
    kept = framed.strided(mask, TIME_STRIDE)
    summary = layers.Concatenate()([framed.attend(x, kept, context), framed.peak(x, kept)])
    # The two differ in scale; the last layer would first have to find out.
    return inputs, layers.Dropout(dropout)(layers.BatchNormalization()(summary))


def _unit(x: keras.KerasTensor, filters: int, width: int, dilation: int = 1) -> keras.KerasTensor:
    x = layers.Conv1D(filters, width, padding="same", dilation_rate=dilation, use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))
