"""How well a network recognises people the more it has heard of them, by the daemon's own code.

Each test clip is heard after others by the same person, in a random order, as a source would have
kept them; and in the situations that are hard for a baseline.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.adaptation import Speaker, recognise
from serd.audio import Floats
from serd.baseline import Baseline
from serd.classifier import Classifier
from serd.company import Company
from training import evaluate
from training.recordings import Recordings

HEARD = (0, 1, 3, 5, 10, 30)
"""So many clips before."""
_THREE = ("angry", "happy", "neutral")
_LONG = 30
_EACH = 10
"""Of each of two who take turns."""

Situation = Callable[[int, np.random.Generator], Speaker]


def measure(
    classifier: Classifier, recordings: Recordings, clips: Sequence[int], seed: int
) -> dict[str, float]:
    """UAR, 0…1, in every situation.

    Args:
        classifier: whose network takes a baseline.
        recordings: of the study.
        clips: the test.
        seed: of what is heard before.

    Returns:
        By situation: `0` … `30` clips heard; `calm`: all calm and neutral ones of the same person,
        as somebody is enrolled who reads a text; `one emotion`: eight that are of the clip's own
        emotion, so that it could be taken for the voice; `another person`: thirty clips by somebody
        else, who shares the microphone; `in turns`: ten clips each by two who take turns.
        `…, three`: the same of clips of three emotions, told apart from each other alone.
    """
    people = _People(classifier, recordings, clips)
    truth = recordings.truth(clips)
    few = [recordings.labels.index(name) for name in _THREE if name in recordings.labels]
    among = np.isin(truth, few)
    found = {}
    for name, situation in people.situations.items():
        rng = np.random.default_rng(seed)
        rows = np.stack([people.said(clip, situation, rng) for clip in clips])
        found[name] = evaluate.figures(rows, truth)["uar"]
        if among.any():
            places = np.searchsorted(np.sort(few), truth[among])
            found[f"{name}, three"] = evaluate.figures(rows[among][:, np.sort(few)], places)["uar"]
    return found


class _People:
    """Who says what in the test, and how each clip is embedded."""

    def __init__(
        self, classifier: Classifier, recordings: Recordings, clips: Sequence[int]
    ) -> None:
        if classifier.card.adaptation is None:
            raise ValueError(f"{classifier.card.id} takes no baseline")
        self._adaptation = classifier.card.adaptation
        self._classifier = classifier
        self._labels = len(classifier.card.labels)
        self.samples: dict[int, list[Any]] = {clip: [] for clip in clips}
        for utterance in recordings.utterances:
            if utterance.clip in self.samples:
                self.samples[utterance.clip].append(utterance.samples)
        self._embeddings = {
            clip: [classifier.classify(own).embedding for own in samples]
            for clip, samples in self.samples.items()
        }
        self._speaker = {clip: recordings.clips[clip].speaker for clip in clips}
        self._emotion = {clip: recordings.clips[clip].emotion for clip in clips}
        self.situations: Mapping[str, Situation] = {
            **{str(count): self._after(count) for count in HEARD},
            "calm": self._enrolled,
            "one emotion": self._one_emotion,
            "another person": self._another,
            "in turns": self._in_turns,
        }

    def said(self, clip: int, situation: Situation, rng: np.random.Generator) -> Floats:
        """Probabilities `[labels]`; zeros where no speech is found."""
        speaker = situation(clip, rng)
        own = self.samples[clip]
        if not own:
            return np.zeros(self._labels, np.float32)
        rows = [list(recognise(self._classifier, x, speaker).scores.values()) for x in own]
        return np.average(rows, axis=0, weights=[x.size for x in own]).astype(np.float32)

    def _others(self, clip: int) -> list[int]:
        return [c for c in self._speaker if self._speaker[c] == self._speaker[clip] and c != clip]

    def _baseline(self, clips: Iterable[int]) -> Floats:
        heard = [e for clip in clips for e in self._embeddings[clip] if e is not None]
        return Baseline.of(self._adaptation, heard).value(self._adaptation)

    def _after(self, count: int) -> Situation:
        return lambda clip, rng: self._baseline(rng.permutation(self._others(clip))[:count])

    def _enrolled(self, clip: int, rng: np.random.Generator) -> Speaker:  # noqa: ARG002
        return self._baseline(
            [c for c in self._others(clip) if self._emotion[c] in ("neutral", "calm")]
        )

    def _one_emotion(self, clip: int, rng: np.random.Generator) -> Speaker:
        same = [c for c in self._others(clip) if self._emotion[c] == self._emotion[clip]]
        return self._baseline(rng.permutation(same)[:8])

    def _somebody_else(self, clip: int, rng: np.random.Generator) -> NDArray[np.int_]:
        """Their clips, in a random order."""
        people = sorted(set(self._speaker.values()) - {self._speaker[clip]})
        other = people[rng.integers(len(people))]
        return rng.permutation([c for c in self._speaker if self._speaker[c] == other])

    def _company(self, clips: Iterable[int]) -> Company:
        company = Company(self._adaptation)
        for embedding in (e for clip in clips for e in self._embeddings[clip] if e is not None):
            company.add(company.who(embedding), embedding)
        return company

    def _another(self, clip: int, rng: np.random.Generator) -> Speaker:
        return self._company(self._somebody_else(clip, rng)[:_LONG])

    def _in_turns(self, clip: int, rng: np.random.Generator) -> Speaker:
        own = rng.permutation(self._others(clip))[:_EACH]
        other = self._somebody_else(clip, rng)[:_EACH]
        return self._company([c for pair in zip(own, other, strict=False) for c in pair])
