"""The last layers: what an utterance sounds like, less what its speaker always sounds like.

All are linear in the embedding `z` but for one: at first hearing, without any baseline, an
utterance gets probabilities `p`, and what its emotion is expected to do to the embedding,
`p @ mood`, is taken out of what is kept of the voice. So a long run of one emotion is not taken for
the voice.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from serd.classifier import softmax
from training.heads import logistic, maturity, voices

_DRAWS = 3
"""Baselines of each utterance."""
_TAKEN = 0.8
"""How much of what an emotion is expected to do is taken out of the voice. All of it costs a
point of what ten words bring; without, ten angry words make the next angry one a calm one."""


Dense = tuple[Floats, Floats]
"""Weights `[from, to]` and biases of a layer."""


@dataclass(frozen=True)
class Heard:
    """Utterances as the layers before the last ones find them, and what they are."""

    embeddings: Floats
    """`[n, size]`, of mean 0 and deviation 1."""
    speakers: NDArray[Any]
    emotions: NDArray[np.int_]
    """Places in the labels, `[n]`."""
    targets: Floats
    """Probabilities `[n, labels]`."""
    known: NDArray[np.bool_]
    """Which labels the utterance's corpus has, `[n, labels]`."""
    weights: Floats
    """`[n]`."""
    sessions: NDArray[np.int_]
    """Utterances are compared with others of the same session by the same speaker, `[n]`."""


@dataclass(frozen=True)
class Head:
    """The last layers; those without biases are weights alone."""

    first: Dense
    """Embedding → logits at first hearing."""
    mood: Floats
    """Their probabilities → what they take out of the voice."""
    voice: Floats
    """Embedding → voice."""
    scores: Dense
    """Embedding → scores."""
    baseline: Floats
    """A source's mean voice → scores."""
    mean: Floats
    """The mean voice of all speakers, `[directions]`."""
    spread: Floats
    """Variance of the speakers' voices around it, where one speaker's utterances have 1."""


def solve(heard: Heard, *, penalty: float, directions: int, prior: float, seed: int) -> Head:
    """Solve all layers, one after the other.

    Args:
        heard: what to learn from.
        penalty: of the weights, as in `logistic.solve`.
        directions: of the voice that tell people apart, beside those that the scores need.
        prior: with how many utterances the mean of all voices weighs in a baseline.
        seed: of the baselines.
    """
    rng = np.random.default_rng(seed)
    z = heard.embeddings
    first, first_bias = logistic.solve(z, heard.targets, heard.known, heard.weights, penalty)
    said = softmax(z @ first + first_bias)
    mood = _TAKEN * _mood(z, said, heard)
    calm = z - said @ mood
    drawn = [
        maturity.baselines(calm, heard.speakers, heard.emotions, heard.sessions, prior, rng)
        for _ in range(_DRAWS)
    ]
    scores, bias = logistic.solve(
        np.concatenate([z - baseline for baseline in drawn]),
        np.tile(heard.targets, (_DRAWS, 1)),
        np.tile(heard.known, (_DRAWS, 1)),
        np.tile(heard.weights, _DRAWS),
        penalty,
    )
    # Scores that all grow alike say the same: those of the first label stay 0.
    scores, bias = scores - scores[:, :1], bias - bias[:1]
    # Of the voice only what the scores need is kept, and what tells people apart.
    who = voices.fit(calm, heard.speakers, directions).weights
    kept = np.concatenate([scores[:, 1:], who], axis=1)
    found = voices.fit(calm @ kept, heard.speakers, kept.shape[1])
    turned = kept @ found.weights
    back = np.linalg.inv(found.weights)[:, : scores.shape[1] - 1]

    return Head(
        first=(first, first_bias),
        mood=(-mood @ turned).astype(np.float32),
        voice=turned.astype(np.float32),
        scores=(scores, bias),
        baseline=np.pad(-back, ((0, 0), (1, 0))).astype(np.float32),
        mean=found.mean,
        spread=found.spread,
    )


def _mood(z: Floats, said: Floats, heard: Heard) -> Floats:
    """What the probabilities tell of the distance from the speaker's mean, `[labels, size]`."""
    apart = z.copy()
    for speaker in np.unique(heard.speakers):
        own = heard.speakers == speaker
        each = [z[own & (heard.emotions == e)].mean(axis=0) for e in set(heard.emotions[own])]
        apart[own] -= np.mean(each, axis=0)
    weights = (heard.weights / heard.weights.sum())[:, None]
    centred = said - (weights * said).sum(axis=0)
    square = centred.T @ (weights * centred) + 1e-3 * np.eye(said.shape[1])
    return np.linalg.solve(square, centred.T @ (weights * apart)).astype(np.float32)
