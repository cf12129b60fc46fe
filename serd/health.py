"""How the daemon is: counters, latencies, memory; as a JSON object for MQTT."""

import os
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from serd.events import iso

_LATENCIES = 1_000


@dataclass
class SourceHealth:
    """The accounts of one source since the start; samples at 16 kHz."""

    online: bool = False
    opened: int = 0
    """How often it was opened; more than 1 means that it came back."""
    samples: int = 0
    """Received."""
    samples_muted: int = 0
    """Received while it was not to listen."""
    samples_in_segments: int = 0
    """Received and part of an utterance."""
    samples_discarded: int = 0
    """Received and part of none. What is in neither account still waits for what follows."""
    gaps: int = 0
    """Places where sound is missing: what was lost, and absences from which it came back."""
    samples_lost: int = 0
    """Never received while it was online: overflows."""
    absent_s: float = 0
    """How long it gave nothing although it should have, all absences together, s; in a report
    one that goes on counts as far as it has come."""
    utterances: int = 0
    dropped: int = 0
    """Utterances that found the queue full."""
    failed: int = 0
    """Utterances that could not be recognised, and events that could be shown nowhere: without a
    broker, on a full disk."""

    def __post_init__(self) -> None:
        self._away_since: float | None = None
        self._lock = threading.Lock()  # of both accounts of absences

    def away(self, since: float) -> None:
        """It gives nothing since then, s on the monotonic clock; until `back`."""
        with self._lock:
            self._away_since = since

    def back(self) -> None:
        """It gives something again."""
        absent_s = self.accounts()["absent_s"]
        with self._lock:
            self.absent_s, self._away_since = absent_s, None

    def accounts(self) -> dict[str, Any]:
        """As they are now."""
        with self._lock:
            since = self._away_since
            goes_on_s = 0.0 if since is None else time.monotonic() - since
            return asdict(self) | {"absent_s": round(self.absent_s + goes_on_s, 3)}


@dataclass
class Health:
    """All accounts; the listeners write their own sources', one thread the rest."""

    sources: dict[str, SourceHealth]
    interval_s: float = 60
    """How often it is told, s; who hears nothing for much longer may worry."""
    _started: float = field(default_factory=time.monotonic)
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def published(self, latency_ms: float) -> None:
        """An event was handed over this long after the end of its utterance was certain, ms."""
        with self._lock:
            self._latencies.append(latency_ms)

    def report(
        self,
        outbox_depth: int,
        outbox_dropped: int,
        lost: int = 0,
        outbox_failure: str | None = None,
    ) -> dict[str, Any]:
        """What is published; latencies over the last 1,000 events."""
        with self._lock:
            latencies = list(self._latencies)
        median, p99 = np.percentile(latencies, [50, 99]).round(1) if latencies else (None, None)
        return {
            "schema": 1,
            "time": iso(datetime.now(UTC)),
            "interval_s": self.interval_s,
            "uptime_s": round(time.monotonic() - self._started),
            "latency_ms": {"median": median, "p99": p99},
            "outbox": {
                "depth": outbox_depth,
                "dropped": outbox_dropped,
                "lost": lost,
                "failure": outbox_failure,
            },
            "memory_mb": round(resident_mb(), 1),
            "sources": {name: source.accounts() for name, source in self.sources.items()},
        }


def resident_mb(pid: int | str = "self") -> float:
    """Memory that a process holds now, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
