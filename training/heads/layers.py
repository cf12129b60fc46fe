"""The layers that `solve` gives weights to, on top of a network's embedding."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from serd.audio import Floats
from training.batches import BASELINE
from training.heads.solve import Dense, Head

EMBEDDING = "embedding"


@dataclass(frozen=True)
class Scale:
    """Of embeddings, number by number."""

    mean: Floats
    """`[size]`."""
    deviation: Floats
    """`[size]`, above 0."""

    def __call__(self, embeddings: Floats) -> Floats:
        """`[n, size]` with mean 0 and deviation 1."""
        return ((embeddings - self.mean) / self.deviation).astype(np.float32)


def scale_of(embeddings: Floats) -> Scale:
    """That gives these, `[n, size]`, mean 0 and deviation 1."""
    return Scale(embeddings.mean(axis=0), embeddings.std(axis=0) + np.float32(1e-6))


def added(body: keras.Model, scale: Scale, head: Head, gate: Dense | None = None) -> keras.Model:
    """A whole network that takes a baseline and gives scores and the speaker's voice.

    Args:
        body: from inputs to an embedding `[b, size]`.
        scale: of the embedding.
        head: the solved layers.
        gate: what tells speech from the rest, if that was learnt; it flattens the scores.

    Returns:
        From the inputs and `baseline` `[b, directions]` to `scores` `[b, labels]`, logits, and
        `embedding` `[b, directions]`.
    """
    inputs = {x.name: x for x in body.inputs}
    # In 8 bits numbers of different sizes, side by side, would leave the small ones no room.
    found = layers.Normalization(mean=scale.mean, variance=np.square(scale.deviation))(body.output)
    found = layers.Reshape((1, -1))(found)
    baseline = keras.Input((len(head.mean),), name=BASELINE)
    first = layers.Softmax()(_dense(found, "first", *head.first))
    voice = layers.Add()([_dense(found, "voice", head.voice), _dense(first, "mood", head.mood)])
    usual = _dense(layers.Reshape((1, -1))(baseline), "usual_scores", head.baseline)
    scores = layers.Add()([_dense(found, "own_scores", *head.scores), usual])
    if gate is not None:
        scores = layers.Multiply()(
            [scores, layers.Activation("sigmoid")(_dense(found, "gate", *gate))]
        )
    outputs = {"scores": layers.Flatten()(scores), EMBEDDING: layers.Flatten()(voice)}
    return keras.Model({**inputs, BASELINE: baseline}, outputs)


def _dense(
    x: keras.KerasTensor, name: str, weights: Floats, bias: Floats | None = None
) -> keras.KerasTensor:
    """Of `[b, 1, size]`; as a convolution, which in 8 bits both runtimes know."""
    layer = layers.Conv1D(weights.shape[1], 1, use_bias=bias is not None, name=name)
    made = layer(x)
    layer.set_weights([weights[None]] if bias is None else [weights[None], bias])
    return made
