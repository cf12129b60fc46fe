"""What a network is to say of utterances.

Mostly what the actors meant. Where people were asked what they heard, their answers can have a
share. Corpora differ in their emotions: that an utterance of one without `calm` is not calm is no
more than that nobody was asked to be, so that nothing is known there. Only of labels that no
corpus has is it said that they are not there, or they would come by chance.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from training.config import Config
from training.dataset import Examples

UNKNOWN = np.float32(-1)
"""Target of a label of which nothing is known."""


class Targets:
    """Of any utterances, as a configuration and what is trained on make them."""

    def __init__(self, config: Config, trained: Examples) -> None:
        self._labels = config.labels
        self._votes = config.training.votes
        self._lacking = _lacking(trained, len(config.labels))
        self.masked = config.training.mask_lacking and any(map(np.any, self._lacking.values()))
        """Whether there are labels of which nothing is known."""

    def __call__(self, examples: Examples) -> Floats:
        """Shares of each label.

        Returns:
            float32 `[utterances, labels]`, which sum to 1; where something is `masked`
            `[utterances, 1, labels]` with `UNKNOWN` among them, as `training.losses` takes them.
        """
        meant = np.eye(len(self._labels), dtype=np.float32)[examples.labels]
        targets = self._with_votes(meant, examples) if self._votes else meant
        if not self.masked:
            return targets
        return np.where(self.lacking(examples) & (targets == 0), UNKNOWN, targets)[:, None]

    def lacking(self, examples: Examples) -> NDArray[np.bool_]:
        """Which labels an utterance's corpus has none of, but another one has, `[n, labels]`."""
        if not self.masked:
            return np.zeros((len(examples.clips), len(self._labels)), bool)
        nothing = np.zeros(len(self._labels), bool)
        return np.array([self._lacking.get(clip.corpus, nothing) for clip in examples.clips])

    def _with_votes(self, meant: Floats, examples: Examples) -> Floats:
        """Of clips that nobody was asked about, or nobody heard a label in, what was meant."""
        votes = [dict(clip.votes) for clip in examples.clips]
        counts = np.array([[own.get(label, 0) for label in self._labels] for own in votes])
        total = counts.sum(axis=1, keepdims=True)
        heard = np.where(total > 0, counts / np.maximum(total, 1), meant)
        return ((1 - self._votes) * meant + self._votes * heard).astype(np.float32)


def _lacking(trained: Examples, count: int) -> Mapping[str, NDArray[np.bool_]]:
    """By corpus: which labels it has none of, but another one has."""
    has = {clip.corpus: np.zeros(count, bool) for clip in trained.clips}
    for clip, label in zip(trained.clips, trained.labels, strict=True):
        has[clip.corpus][label] = True
    somewhere = np.any(list(has.values()), axis=0)
    return {corpus: somewhere & ~own for corpus, own in has.items()}
