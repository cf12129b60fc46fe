"""What serd says of an utterance, and its JSON, which other people's programs read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from ulid import ULID

SCHEMA = 1
"""Version of the JSON; keys are only ever added to it."""

UNCERTAIN = "uncertain"
"""The event type when no label is likely enough."""


def new_id() -> str:
    """A ULID: unique, and sorts by time."""
    return str(ULID())


@dataclass(frozen=True, kw_only=True)
class EmotionEvent:
    """One utterance and the emotion that it carries."""

    id: str = field(default_factory=new_id)
    """A ULID; the same utterance delivered twice has the same."""
    node: str
    source: str
    event_type: str
    """A label, or `UNCERTAIN`."""
    confidence: float
    """The best label's score, 0…1."""
    scores: Mapping[str, float]
    """Over the model's labels, in the card's order; sum to 1."""
    start: datetime
    """When the utterance began, aware."""
    end: datetime
    duration_ms: int
    dbfs: float
    """Its level, dB re full scale."""
    snr_db: float | None
    """Speech over noise, dB, where it can be told."""
    truncated: bool
    """Speech went on beyond its end."""
    denoised: bool
    queued: bool = False
    """Published later than at the first try."""
    model: str
    latency_ms: int
    """From when the end of the utterance was certain, after the hangover, to this event."""

    @property
    def best(self) -> str:
        """The label with the highest score."""
        return max(self.scores, key=lambda label: self.scores[label])

    def to_json(self) -> str:
        """One line of JSON.

        Raises:
            ValueError: a number is infinite or not a number.
        """
        said: dict[str, Any] = {
            "schema": SCHEMA,
            "id": self.id,
            "node": self.node,
            "source": self.source,
            "event_type": self.event_type,
            "confidence": round(self.confidence, 4),
            "scores": rounded(self.scores),
            "start": iso(self.start),
            "end": iso(self.end),
            "duration_ms": self.duration_ms,
            "dbfs": round(self.dbfs, 1),
            "snr_db": None if self.snr_db is None else round(self.snr_db, 1),
            "truncated": self.truncated,
            "denoised": self.denoised,
            "queued": self.queued,
            "model": self.model,
            "latency_ms": self.latency_ms,
        }
        if self.event_type == UNCERTAIN:
            said["best"] = self.best
        return compact(said)

    @classmethod
    def from_json(cls, payload: str | bytes) -> "EmotionEvent":
        """Read an event; keys that are not known are passed over.

        Raises:
            ValueError: it is not an event, or one of another schema.
        """
        said = json.loads(payload)
        if not isinstance(said, dict) or said.get("schema") != SCHEMA:
            raise ValueError(f"not an event of schema {SCHEMA}")
        try:
            values = {key.name: said[key.name] for key in fields(cls)}
            times = {key: datetime.fromisoformat(said[key]) for key in ("start", "end")}
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event: {error}") from error
        return cls(**values | times)


def as_queued(payload: str) -> str:
    """The same event, saying that it is published late; all else stays as it was.

    >>> as_queued('{"schema":1,"queued":false}')
    '{"schema":1,"queued":true}'
    """
    return compact(json.loads(payload) | {"queued": True})


def rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores to four places: eight of them still sum to 1 within 0.0004."""
    return {label: round(float(score), 4) for label, score in scores.items()}


def compact(said: Mapping[str, Any]) -> str:
    """JSON without blanks; NaN and infinity, which JSON has not, are refused."""
    return json.dumps(said, separators=(",", ":"), allow_nan=False)


def iso(time: datetime) -> str:
    """UTC, to the millisecond.

    >>> iso(datetime(2026, 1, 1, 10, 0, 0, 120_000, UTC))
    '2026-01-01T10:00:00.120Z'
    """
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
