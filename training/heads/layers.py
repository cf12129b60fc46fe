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
    # All by name: Keras, counting, would give some that layers of a body read from disk have.
    # In 8 bits numbers of different sizes, side by side, would leave the small ones no room.
    scaled = layers.Normalization(
        mean=scale.mean, variance=np.square(scale.deviation), name="scaled"
    )(body.output)
    found = layers.Reshape((1, -1), name="found")(scaled)
    baseline = keras.Input((len(head.mean),), name=BASELINE)
    usual = layers.Reshape((1, -1), name="usual")(baseline)
    first = layers.Softmax(name="first_said")(_dense(found, "first", *head.first))
    voice = layers.Add(name="calm_voice")(
        [_dense(found, "voice", head.voice), _dense(first, "mood", head.mood)]
    )
    scores = layers.Add(name="all_scores")(
        [_dense(found, "own_scores", *head.scores), _dense(usual, "usual_scores", head.baseline)]
    )
    if gate is not None:
        is_speech = layers.Activation("sigmoid", name="is_speech")(_dense(found, "gate", *gate))
        scores = layers.Multiply(name="gated_scores")([scores, is_speech])
    outputs = {
        "scores": layers.Flatten(name="flat_scores")(scores),
        EMBEDDING: layers.Flatten(name="flat_voice")(voice),
    }
    return keras.Model({**inputs, BASELINE: baseline}, outputs)


def _dense(
    x: keras.KerasTensor, name: str, weights: Floats, bias: Floats | None = None
) -> keras.KerasTensor:
    """Of `[b, 1, size]`; as a convolution, which in 8 bits both runtimes know."""
    layer = layers.Conv1D(weights.shape[1], 1, use_bias=bias is not None, name=name)
    made = layer(x)
    layer.set_weights([weights[None]] if bias is None else [weights[None], bias])
    return made
