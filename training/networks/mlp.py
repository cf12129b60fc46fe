"""A multi-layer perceptron on the statistics of a whole utterance."""

import keras
from keras import layers

from training.networks import Shapes, only


def embed(
    shapes: Shapes,
    hidden: tuple[int, ...] = (300,),
    dropout: float = 0.3,
    l2: float = 0.0,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[size]`; it is scaled to mean 0 and deviation 1.
        hidden: widths of the layers.
        dropout: after each, 0…1.
        l2: penalty on the squares of their weights.
    """
    name, (size,) = only(shapes, 1)
    features = keras.Input((size,), name=name)
    x = layers.Normalization(name=f"scale_{name}")(features)
    for width in hidden:
        dense = layers.Dense(width, "relu", kernel_regularizer=keras.regularizers.L2(l2))
        x = layers.Dropout(dropout)(dense(x))
    return {name: features}, x
