"""A small network on Whisper's two convolutions, which guesses what its layers make of them.

Depthwise convolutions, further and further apart, stand for the layers' attention; the mean and
the spread over time of what they find sum up the utterance.
"""

from pathlib import Path

import keras
from keras import layers

from training.networks import Shapes, framed, only, whisper

STEPS = "steps"
"""The layer that gives what is found at each step, `[b, steps, width]`."""


def embed(
    shapes: Shapes,
    weights: str = "none",
    stem: int = 384,
    width: int = 256,
    dilations: tuple[int, ...] = (1, 2, 4, 8),
    kernel: int = 7,
    dropout: float = 0.0,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding, `2 * width` numbers.

    Args:
        shapes: one input `[frames, 80]`, log-mels in Whisper's scale.
        weights: a file as `whisper_weights.read` takes it, for the convolutions; `none`: from
            scratch.
        stem: width of the convolutions.
        width: of each step.
        dilations: one residual block each.
        kernel: steps that a block sees.
        dropout: of the embedding, 0…1.
    """
    name, (frames, size) = only(shapes, 2)
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    x = whisper.stem(framed.silenced(features, mask, scale=False), stem)
    if weights != "none":
        whisper.load_stem(keras.Model(inputs, x), Path(weights))
    kept = framed.strided(mask, whisper.STRIDE)
    x = layers.Multiply()([layers.Conv1D(width, 1)(x), kept])
    for dilation in dilations:
        y = layers.DepthwiseConv1D(kernel, padding="same", dilation_rate=dilation, use_bias=False)(
            x
        )
        y = layers.Conv1D(width, 1, use_bias=False)(layers.BatchNormalization()(y))
        x = layers.Add()([x, layers.ReLU()(layers.BatchNormalization()(y))])
    x = layers.Identity(name=STEPS)(x)
    return inputs, layers.Dropout(dropout)(framed.mean_and_spread(x, kept))
