"""The smoothed present state of a source, from one utterance to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from serd.events import compact, iso, rounded
from serd.settings import StateSettings

IDLE = "idle"
"""The state when nobody has spoken for a while."""


@dataclass(frozen=True)
class State:
    """What is published as a source's state."""

    emotion: str
    """A label, or `IDLE`."""
    confidence: float | None
    """The smoothed score of that label, 0…1; None while idle."""
    scores: Mapping[str, float]
    """Smoothed, sum to 1; empty while idle."""
    since: datetime
    """When this emotion took over."""

    def to_json(self) -> str:
        """One line of JSON."""
        confidence = None if self.confidence is None else round(self.confidence, 4)
        return compact(
            {
                "emotion": self.emotion,
                "confidence": confidence,
                "scores": rounded(self.scores),
                "since": iso(self.since),
            }
        )


class SmoothedState:
    """Averages the scores of the latest utterances, each counting less as time goes by.

    It has no clock: the same utterances at the same times give the same states.
    """

    def __init__(self, settings: StateSettings, start: datetime) -> None:
        self._half_life_s = settings.half_life_s
        self._idle_after = timedelta(seconds=settings.idle_after_s)
        self._weights: dict[str, float] = {}
        self._last = start
        self._state = State(IDLE, None, {}, start)

    def feed(self, time: datetime, scores: Mapping[str, float]) -> State:
        """Take an utterance.

        Args:
            time: when it ended; if that is before the one fed last, they count alike.
            scores: over the labels, the same labels each time, not all 0.
        """
        self.at(time)
        elapsed_s = max(0.0, (time - self._last).total_seconds())
        decay = 0.5 ** (elapsed_s / self._half_life_s)
        self._weights = {
            label: self._weights.get(label, 0) * decay + score for label, score in scores.items()
        }
        self._last = max(time, self._last)
        total = sum(self._weights.values())
        smoothed = {label: weight / total for label, weight in self._weights.items()}
        emotion = max(smoothed, key=lambda label: smoothed[label])
        since = self._state.since if emotion == self._state.emotion else self._last
        self._state = State(emotion, smoothed[emotion], smoothed, since)
        return self._state

    def at(self, time: datetime) -> State:
        """The state at a time, which turns idle by itself."""
        idle_since = self._last + self._idle_after
        if self._weights and time >= idle_since:
            self._weights = {}
            self._state = State(IDLE, None, {}, idle_since)
        return self._state
