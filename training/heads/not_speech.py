"""Sounds that pass the voice detection and are no speech: they must not get an emotion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serd import audio
from serd.audio import Floats, Pcm
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training import noises
from training.heads import logistic
from training.heads.solve import Dense, Heard
from training.sides import Split

GROUPS = 5
"""Every kind of sound is kept out of one of so many folds, and tested there."""
_PENALTY = 1e-3
_OPEN = 0.99
"""How much of all speech the gate leaves more than half open for."""


@dataclass(frozen=True)
class Sounds:
    """What the daemon would take for utterances."""

    kinds: tuple[str, ...]
    """Of each sound."""
    samples: Sequence[Pcm]

    def kept_out(self, group: int | None) -> list[bool]:
        """Which sounds are of this group's kinds; none where it is None."""
        names = sorted(set(self.kinds))
        kinds = set() if group is None else set(names[group::GROUPS])
        return [kind in kinds for kind in self.kinds]


def group(split: Split) -> int | None:
    """Which kinds a split must not learn: in each fold others, in the final network none.

    >>> group(Split("subject-independent", 1, "fold-2", (), (), ()))
    1
    """
    number = split.name.removeprefix("fold-")
    return int(number) - 1 if number.isdecimal() else None


def load(folders: Sequence[Path], settings: SegmentSettings) -> Sounds:
    """Cut recordings as the daemon does; what it passes over is left out.

    Raises:
        NoiseError: there are none.
    """
    found = [
        (kind, segment.samples)
        for folder in folders
        for kind, paths in noises.files(folder).items()
        for path in paths
        for segment in segments_of([audio.read(path)], settings)
    ]
    return Sounds(tuple(kind for kind, _ in found), [samples for _, samples in found])


def gate(heard: Heard, sounds: Sounds, found: Sequence[Floats], group: int | None) -> Dense:
    """What tells speech from the rest, by its logit.

    Args:
        heard: speech.
        sounds: what is none; all kinds count alike, and together as much as all speech.
        found: their embeddings, scaled as those of speech, as they are and varied, each
            `[sounds, size]`.
        group: of the kinds that are not learnt.
    """
    learnt = ~np.array(sounds.kept_out(group))
    kinds = np.tile(np.array(sounds.kinds)[learnt], len(found))
    x = np.concatenate([heard.embeddings, *(rows[learnt] for rows in found)])
    is_speech = np.arange(len(x)) < len(heard.weights)
    _, places, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    own = 1 / counts[places]
    weights, bias = logistic.solve(
        x,
        np.stack([is_speech, ~is_speech], axis=1).astype(np.float32),
        np.ones((len(x), 2), bool),
        np.concatenate([heard.weights / heard.weights.sum(), own / own.sum()]),
        _PENALTY,
    )
    direction = weights[:, 0] - weights[:, 1]
    usual = bias[0] - bias[1]
    # Speech matters more than what is taken for it: nearly all of it must pass.
    least = -np.quantile(heard.embeddings @ direction, 1 - _OPEN)
    return direction[:, None].astype(np.float32), np.array([max(usual, least)], np.float32)
