"""What tells one voice from another, and how little of that an utterance alone can tell.

Reference:
    Ioffe, Probabilistic linear discriminant analysis, ECCV 2006.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from serd.audio import Floats

_SHRINKAGE = 0.05
"""Of the variation within a voice towards the same in every direction."""


@dataclass(frozen=True)
class Voices:
    """A projection in which a voice's utterances have variance 1 around it in every direction."""

    weights: Floats
    """`[size, directions]`, the direction that tells most first."""
    mean: Floats
    """Of all voices, `[directions]`."""
    spread: Floats
    """Variance of the voices around that mean, `[directions]`."""

    def __call__(self, embeddings: Floats) -> Floats:
        """`[n, size]` to `[n, directions]`."""
        return embeddings @ self.weights


def fit(embeddings: Floats, speakers: NDArray[Any], directions: int) -> Voices:
    """Find the directions in which speakers differ most, for how much each of them varies.

    What an emotion does to a voice is variation within it: directions that tell emotions are
    avoided by themselves, so that a long run of one emotion is not taken for a voice.

    Args:
        embeddings: `[n, size]`, of mean 0 and deviation 1.
        speakers: who said each, `[n]`.
        directions: how many, at most.
    """
    names, place, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), embeddings.shape[1]))
    np.add.at(means, place, embeddings)
    means /= counts[:, None]
    within = np.cov((embeddings - means[place]).T)
    level = np.trace(within) / len(within)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * level * np.eye(len(within))
    # What few utterances leave of the variation within a voice is no difference between voices.
    between = np.cov(means.T) - within * np.mean(1 / counts)
    values, vectors = scipy.linalg.eigh(between, within)
    chosen = np.argsort(values)[::-1][:directions]
    spread = np.maximum(values[chosen], 1e-3)
    weights = vectors[:, chosen]
    return Voices(
        weights.astype(np.float32),
        (means.mean(0) @ weights).astype(np.float32),
        spread.astype(np.float32),
    )
