"""A compact convolutional network on log-mel, with masked attentive pooling over time.

Two-dimensional convolutions with frequency pooling read local patterns; dilated
convolutions over time put them in context; attention and the maximum over time sum up
the utterance. Every operation exists in int8, the masking too: padded frames enter as
zeros, get a logit so low that their attention quantises to exactly zero, and cannot win
a maximum over rectified values.

Reference:
    Okabe et al., Attentive statistics pooling for deep speaker embedding, Interspeech 2018.
"""

import keras
from keras import layers

TIME_STRIDE = 4
_MASKED_LOGIT = 12.0


def build(
    frames: int,
    size: int,
    n_labels: int,
    channels: tuple[int, ...] = (16, 32, 48),
    context: int = 96,
    dilations: tuple[int, ...] = (1, 2, 4),
    dropout: float = 0.3,
) -> keras.Model:
    """The untrained network.

    Args:
        frames: of a window, a multiple of `TIME_STRIDE`.
        size: features a frame.
        n_labels: classes.
        channels: of the two-dimensional stages; each halves frequency, the first two time.
        context: channels of the convolutions over time.
        dilations: of the convolutions over time, one residual block each.
        dropout: before the last layer, 0…1.

    Returns:
        A model from `{"log_mel": [b, frames, size], "mask": [b, frames]}` to
        `{"scores": [b, n_labels]}`, logits.
    """
    log_mel = keras.Input((frames, size), name="log_mel")
    mask = keras.Input((frames,), name="mask")
    x = layers.Reshape((frames, size, 1))(log_mel)
    x = layers.Multiply()([x, layers.Reshape((frames, 1, 1))(mask)])
    for stage, filters in enumerate(channels):
        x = _conv(x, filters, 3)
        x = layers.MaxPooling2D((2, 2) if stage < 2 else (1, 2))(x)
        x = layers.SpatialDropout2D(dropout / 3)(x)
    steps = frames // TIME_STRIDE
    x = layers.Reshape((steps, -1))(x)
    x = _unit(x, context, 1)
    for dilation in dilations:
        y = layers.SpatialDropout1D(dropout / 3)(x)
        y = _unit(y, context, 5, dilation)
        x = layers.Add()([x, y])

    # One mask value a step: 1 where its first frame is real.
    kept = layers.MaxPooling1D(1, TIME_STRIDE)(layers.Reshape((frames, 1))(mask))
    peak = layers.GlobalMaxPooling1D()(layers.Multiply()([x, kept]))
    over_time = layers.Permute((2, 1))
    logits = over_time(layers.Conv1D(context, 1)(x))
    penalty = layers.Rescaling(_MASKED_LOGIT, -_MASKED_LOGIT)(layers.Reshape((1, steps))(kept))
    attention = layers.Softmax()(layers.Add()([logits, penalty]))
    weighted = layers.Multiply()([over_time(x), attention])
    mean = layers.GlobalAveragePooling1D()(layers.Permute((2, 1))(weighted))
    summary = layers.Dropout(dropout)(layers.Concatenate()([mean, peak]))
    scores = layers.Dense(n_labels, name="scores")(summary)
    return keras.Model({"log_mel": log_mel, "mask": mask}, {"scores": scores}, name="cnn")


def _conv(x: keras.KerasTensor, filters: int, width: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, width, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _unit(x: keras.KerasTensor, filters: int, width: int, dilation: int = 1) -> keras.KerasTensor:
    x = layers.Conv1D(filters, width, padding="same", dilation_rate=dilation, use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))
