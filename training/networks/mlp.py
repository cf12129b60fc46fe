"""A multi-layer perceptron on the statistics of a whole utterance."""

import keras
from keras import layers

from training.networks import Shapes, only


def embed(
    shapes: Shapes,
    hidden: tuple[int, ...] = (300,),
    dropout: float = 0.3,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[size]`; it is scaled to mean 0 and deviation 1.
        hidden: widths of the layers.
        dropout: after each, 0…1.
    """
    name, (size,) = only(shapes, 1)
    features = keras.Input((size,), name=name)
    x = layers.Normalization(name=f"scale_{name}")(features)
    for width in hidden:
        x = layers.Dropout(dropout)(layers.Dense(width, activation="relu")(x))
    return {name: features}, x
