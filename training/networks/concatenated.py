"""Several networks side by side, each with an input of its own; their embeddings joined."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from training.networks import NetworkError, Shapes
from training.networks import embed as embed_branch


def embed(
    shapes: Shapes,
    branches: Mapping[str, Mapping[str, Any]],
    width: int = 128,
    dropout: float = 0.3,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs of all and the joined embedding.

    Args:
        shapes: of the inputs.
        branches: for each input a network, its `kind` and options.
        width: of the layer that joins them.
        dropout: of the embedding, 0…1.
    """
    if set(branches) != set(shapes):
        raise NetworkError(f"branches {sorted(branches)} do not fit the inputs {sorted(shapes)}")
    inputs: dict[str, keras.KerasTensor] = {}
    embeddings = []
    for name, options in branches.items():
        own, embedding = embed_branch({name: shapes[name]}, **options)
        inputs |= own
        # Each brings the same weight, whatever its width and scale.
        embeddings.append(layers.Dense(width, activation="relu")(embedding))
    return inputs, layers.Dropout(dropout)(layers.Concatenate()(embeddings))
