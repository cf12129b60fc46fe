"""Baselines of every maturity: as of sources that have heard nothing yet, or few words, or many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats

_HEARD = (0, 0, 1, 2, 3, 5, 10, 20, 40)
"""So many utterances were heard before, each entry as likely as any other."""
_SKEWED = 0.3
"""How often those are all of one emotion."""


def baselines(
    voices: Floats,
    speakers: NDArray[Any],
    emotions: NDArray[np.int_],
    sessions: NDArray[np.int_],
    prior: float,
    rng: np.random.Generator,
) -> Floats:
    """One for each utterance, of others by the same speaker in the same session.

    Args:
        voices: what is kept of each utterance, `[n, size]`.
        speakers: `[n]`.
        emotions: `[n]`.
        sessions: `[n]`.
        prior: with how many utterances the mean of all weighs.
        rng: chooses.

    Returns:
        float32 `[n, size]`.
    """
    mean = voices.mean(axis=0)
    found = np.empty_like(voices)
    names = np.unique(speakers, return_inverse=True)[1]
    for place in np.unique(np.stack([names, sessions]), axis=1).T:
        own = np.flatnonzero((names == place[0]) & (sessions == place[1]))
        moods = {mood: own[emotions[own] == mood] for mood in np.unique(emotions[own])}
        for i in own:
            others = moods[rng.choice(list(moods))] if rng.random() < _SKEWED else own
            heard = rng.permutation(others[others != i])[: rng.choice(_HEARD)]
            found[i] = (voices[heard].sum(axis=0) + prior * mean) / (len(heard) + prior)
    return found
