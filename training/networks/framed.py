"""What networks over frames share: inputs with masks, scaling, pooling over time.

Every operation exists in int8, the masking too: padded frames enter as zeros, get a logit
so low that their attention quantises to exactly zero, and cannot win a maximum over
rectified values.

Reference:
    Okabe et al., Attentive statistics pooling for deep speaker embedding, Interspeech 2018.
"""

import keras
from keras import layers, ops

_MASKED_LOGIT = 12.0
_LEAST_VARIANCE = 1e-5


def inputs(name: str, frames: int, size: int) -> dict[str, keras.KerasTensor]:
    """The features `[b, frames, size]` and their mask `[b, frames]`."""
    return {
        name: keras.Input((frames, size), name=name),
        f"{name}_mask": keras.Input((frames,), name=f"{name}_mask"),
    }


def silenced(
    features: keras.KerasTensor, mask: keras.KerasTensor, *, scale: bool
) -> keras.KerasTensor:
    """Features with zeros where the mask is 0; with `scale`, of mean 0 and deviation 1 before."""
    if scale:
        features = layers.Normalization(name=f"scale_{features.name}")(features)
    return layers.Multiply()([features, layers.Reshape((-1, 1))(mask)])


def strided(mask: keras.KerasTensor, stride: int) -> keras.KerasTensor:
    """One mask value `[b, frames // stride, 1]` a step: 1 where its first frame is real."""
    return layers.MaxPooling1D(1, stride)(layers.Reshape((-1, 1))(mask))


def attend(x: keras.KerasTensor, kept: keras.KerasTensor, heads: int) -> keras.KerasTensor:
    """A mean over time `[b, channels]`, weighted by attention.

    Args:
        x: `[b, steps, channels]`.
        kept: `[b, steps, 1]`, 0 for steps without attention.
        heads: as many weights a step, 1 or one a channel.
    """
    steps = x.shape[1]
    over_time = layers.Permute((2, 1))
    logits = over_time(layers.Conv1D(heads, 1)(x))
    attention = layers.Softmax()(layers.Add()([logits, _penalty(kept)]))
    weighted = layers.Multiply()([over_time(x), attention])
    mean = layers.GlobalAveragePooling1D()(layers.Permute((2, 1))(weighted))
    return layers.Rescaling(steps)(mean)  # the weights sum to 1 already


def mean(x: keras.KerasTensor, kept: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over time `[b, channels]` of what is kept of `[b, steps, channels]`.

    The share of each kept step comes out of a softmax: int8 has no division.
    """
    share = layers.Reshape((-1, 1))(layers.Softmax()(_penalty(kept)))
    whole = layers.Rescaling(x.shape[1])(layers.GlobalMaxPooling1D()(share))
    return layers.Multiply()([layers.GlobalAveragePooling1D()(layers.Multiply()([x, kept])), whole])


def peak(x: keras.KerasTensor, kept: keras.KerasTensor) -> keras.KerasTensor:
    """The maximum over time `[b, channels]` of rectified values `[b, steps, channels]`."""
    return layers.GlobalMaxPooling1D()(layers.Multiply()([x, kept]))


def mean_and_spread(x: keras.KerasTensor, kept: keras.KerasTensor) -> keras.KerasTensor:
    """Mean and standard deviation over time, one after the other, `[b, 2 * channels]`.

    Args:
        x: `[b, steps, channels]`.
        kept: `[b, steps, 1]`, 0 for steps that do not count.
    """
    middle = mean(x, kept)
    distance = layers.Subtract()([x, layers.Reshape((1, -1))(middle)])
    variance = mean(layers.Multiply()([distance, distance]), kept)
    return layers.Concatenate()([middle, ops.sqrt(variance + _LEAST_VARIANCE)])


def _penalty(kept: keras.KerasTensor) -> keras.KerasTensor:
    """Logits `[b, 1, steps]`: 0 where a step is kept, far below elsewhere."""
    row = layers.Reshape((1, kept.shape[1]))(kept)
    return layers.Rescaling(_MASKED_LOGIT, -_MASKED_LOGIT)(row)
