"""Long short-term memory over frames, then attention over its states.

Reference:
    Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 9(8), 1997.
    Mirsamadi et al., Automatic speech emotion recognition using recurrent neural networks
    with local attention, ICASSP 2017.
"""

import keras
from keras import layers

from training.networks import Shapes, framed, only


def embed(
    shapes: Shapes,
    units: tuple[int, ...] = (96, 96),
    dropout: float = 0.3,
) -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """The inputs and the embedding.

    Args:
        shapes: one input `[frames, size]`; it is scaled to mean 0 and deviation 1.
        units: of each layer.
        dropout: after each layer and of the embedding, 0…1.
    """
    name, (frames, size) = only(shapes, 2)
    inputs = framed.inputs(name, frames, size)
    features, mask = inputs.values()
    x = framed.silenced(features, mask, scale=True)
    for width in units:
        # Without Keras' own masking, which the TFLite converter turns into a slow loop:
        # what the cells make of the filling behind the utterance gets no attention.
        x = layers.Dropout(dropout)(layers.LSTM(width, return_sequences=True)(x))
    return inputs, layers.Dropout(dropout)(framed.attend(x, framed.strided(mask, 1), units[-1]))
