"""People who share a microphone: whose baseline an utterance is to be held against."""

from collections.abc import Sequence

import numpy as np

from serd.baseline import Adaptation, Baseline, Floats

MOST = 3
"""Voices that a source keeps: a household; more are seldom told apart."""

# Chosen on statistics of Whisper's first layers in 32 to 192 directions, of RAVDESS's and nEMO's
# voices: where one voice is alone, it stays one, whatever its emotions; where voices change or
# take turns, their baselines come nearer to what they should be than a common one.
_ANOTHER = 0.1
"""How likely one of the other known voices is, where the one that spoke last is 1: people
say several sentences before it is somebody else's turn."""
_NEW = 1e-4
"""How likely somebody is whom nobody has heard yet."""
_DIRECTIONS = 30
"""An embedding tells no more than so many directions of it would, were they independent, as the
model has it. Else one voice in a language never met falls into several."""


class Company:
    """The voices of one source."""

    def __init__(self, adaptation: Adaptation, voices: Sequence[Baseline] = ()) -> None:
        """Go on with these voices, who spoke last first."""
        self.voices = tuple(voices)[:MOST]
        """Who spoke last is first; replaced as a whole, so that any thread may read it."""
        self.adaptation = adaptation
        self._nobody = Baseline.of(adaptation, [])

    @property
    def last(self) -> Baseline:
        """Who spoke last; somebody new as long as nobody has."""
        return self.voices[0] if self.voices else self._nobody

    def who(self, embedding: Floats) -> Baseline:
        """The likeliest speaker: one of `voices`, or somebody new."""
        known = [*self.voices, self._nobody]
        odds = [1.0, *[_ANOTHER] * (len(self.voices) - 1), _NEW][-len(known) :]
        likelihoods = [log_likelihood(embedding, voice, self.adaptation) for voice in known]
        told = min(1.0, _DIRECTIONS / len(embedding))
        return known[int(np.argmax(told * np.array(likelihoods) + np.log(odds)))]

    def add(self, voice: Baseline, embedding: Floats) -> None:
        """Take an utterance of whom `who` named.

        When there is no room for somebody new, the voice goes that has been heard least, or
        was long ago.
        """
        others = [
            other.model_copy(update={"silent": other.silent + 1})
            for other in self.voices
            if other is not voice
        ]
        if len(others) == MOST:
            others.remove(min(others, key=lambda other: other.weight / (1 + other.silent)))
        self.voices = (voice.add(embedding, self.adaptation.keep), *others)


def log_likelihood(embedding: Floats, voice: Baseline, adaptation: Adaptation) -> float:
    """Of an utterance of a voice that is known this far, up to a constant.

    What is not known yet of the voice's mean makes the utterance's place as much less certain;
    of a voice that was never heard, only how voices are spread is known.

    Reference:
        Ioffe, Probabilistic linear discriminant analysis, ECCV 2006; with diagonal covariances.
    """
    mean, spread = np.array(adaptation.mean), np.array(adaptation.spread)
    known = voice.weight * spread / (1 + voice.weight * spread)
    expected = mean + known * (np.array(voice.mean) - mean)
    variance = 1 + spread * (1 - known)
    return float(-0.5 * (np.square(embedding - expected) / variance + np.log(variance)).sum())
