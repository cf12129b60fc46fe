"""TIM-Net: gated convolutions over time in both directions, their time scales weighed.

Each direction is a chain of blocks: two dilated convolutions make a gate from 0 to 1 for every
value, which lets it through to the next block, of twice the dilation. What both directions hold
after a block is one time scale; the embedding is the mean over time of all scales, each with a
weight that is learned.

What differs from the paper: it reverses time for the second direction; here its convolutions
look ahead instead, which is the same and needs no other operation. Frames that only fill up the
window are kept at zero throughout and left out of the mean, so that an utterance sums up to the
same whatever the window. MFCCs are scaled to mean 0 and deviation 1.

Reference:
    Ye et al., Temporal modeling matters: a novel temporal emotional modeling approach for
    speech emotion recognition, ICASSP 2023.
"""

import keras
from keras import layers

from training.networks import Shapes, framed, only

_WIDTH = 2
"""Of a convolution, steps."""


def embed(
    shapes: Shapes,
    filters: int = 39,
    blocks: int = 8,
    dropout: float = 0.1,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[frames, size]`; it is scaled to mean 0 and deviation 1.
        filters: of every convolution, and the width of the embedding.
        blocks: of each direction, one a time scale; together they reach `2 ** (blocks + 1) - 2`
            frames back and ahead, which should be as many as an utterance has.
        dropout: of whole channels, after each convolution of a block, 0…1.
    """
    name, (frames, size) = only(shapes, 2)
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    x = framed.silenced(features, mask, scale=True)
    kept = framed.strided(mask, 1)
    past, future = (layers.Multiply()([layers.Conv1D(filters, 1)(x), kept]) for _ in range(2))
    scales = []
    for block in range(blocks):
        reach = (_WIDTH - 1) * 2**block
        past = _gated(past, kept, (reach, 0), dropout)
        future = _gated(future, kept, (0, reach), dropout)
        scales.append(layers.Add()([past, future]))
    means = framed.mean(layers.Concatenate()(scales), kept)
    by_scale = layers.Permute((2, 1))(layers.Reshape((blocks, filters))(means))
    weighed = layers.Dense(1, use_bias=False, name="scales")(by_scale)
    return inputs, layers.Reshape((filters,))(weighed)


def _gated(
    x: keras.KerasTensor, kept: keras.KerasTensor, reach: tuple[int, int], dropout: float
) -> keras.KerasTensor:
    """What passes the gate, `[b, steps, channels]`; it is zero where `x` is.

    Args:
        x: `[b, steps, channels]`.
        kept: `[b, steps, 1]`, 0 for filled-up steps.
        reach: steps back and steps ahead that a convolution sees, one of them 0.
        dropout: of whole channels, 0…1.
    """
    y = layers.Multiply()([_unit(x, reach, dropout), kept])  # or the filling would look in
    return layers.Multiply()([x, layers.Activation("sigmoid")(_unit(y, reach, dropout))])


def _unit(x: keras.KerasTensor, reach: tuple[int, int], dropout: float) -> keras.KerasTensor:
    dilation = max(reach) // (_WIDTH - 1)
    convolve = layers.Conv1D(x.shape[-1], _WIDTH, dilation_rate=dilation, use_bias=False)
    y = layers.BatchNormalization()(convolve(layers.ZeroPadding1D(reach)(x)))
    return layers.SpatialDropout1D(dropout)(layers.ReLU()(y))
