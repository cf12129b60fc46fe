"""What people see: tables in a terminal, plain lines in a pipe."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from serd.classifier import UNCERTAIN
from serd.events import EmotionEvent
from serd.recording import Recording

_SHOWN = 15
_BAR = 10

Item = TypeVar("Item")


def bar(share: float) -> str:
    """A share, 0…1, as a bar of fixed width.

    >>> bar(0.25)
    '██▌·······'
    """
    eighths = round(share * _BAR * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]
    return drawn.ljust(_BAR, "·")


def top(scores: dict[str, float] | None, count: int = 3) -> str:
    """The most probable labels.

    >>> top({"sad": 0.2, "calm": 0.7, "happy": 0.1}, 2)
    'calm 70 %, sad 20 %'
    """
    ranked = sorted((scores or {}).items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{label} {round(100 * score)} %" for label, score in ranked)


def event_line(event: EmotionEvent) -> str:
    """An event as one line of text."""
    time = event.start.astimezone().strftime("%H:%M:%S")
    what = event.event_type if event.event_type != UNCERTAIN else f"uncertain ({event.best}?)"
    return (
        f"{time}  {event.node}/{event.source:<10}  {what:<10}  {bar(event.confidence)} "
        f"{event.confidence:4.0%}  {event.duration_ms / 1000:4.1f} s  "
        f"{event.dbfs:5.1f} dBFS  {top(dict(event.scores))}"
    )


class EventTable:
    """The latest events, redrawn in place; a context manager."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._events: deque[EmotionEvent] = deque(maxlen=_SHOWN)
        self._live = Live(self._table(), auto_refresh=False, console=Console())

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def add(self, event: EmotionEvent) -> None:
        self._events.append(event)
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table(title=self._title, title_justify="left", expand=False)
        for name in ("time", "source", "emotion", "confidence", "length", "level", "scores"):
            table.add_column(name, justify="right" if name in ("length", "level") else "left")
        for event in self._events:
            table.add_row(
                event.start.astimezone().strftime("%H:%M:%S"),
                event.source,
                event.event_type,
                f"{bar(event.confidence)} {event.confidence:4.0%}",
                f"{event.duration_ms / 1000:.1f} s",
                f"{event.dbfs:.0f} dBFS",
                top(dict(event.scores)),
            )
        return table


class Report(Protocol):
    """Prints recordings, one after the other."""

    def print(self, recording: Recording) -> None: ...


class JsonReport:
    """One JSON object a file."""

    def print(self, recording: Recording) -> None:
        print(json.dumps(recording.as_dict()), flush=True)


class CsvReport:
    """One row a file, one column a label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(["file", "duration_s", "emotion", "best", "confidence", *labels])

    def print(self, recording: Recording) -> None:
        whole = recording.whole
        found = ["", "", ""]
        scores = [""] * len(self._labels)
        if whole is not None:
            found = [whole.emotion, whole.best, f"{whole.confidence:.4f}"]
            scores = [f"{whole.scores[label]:.4f}" for label in self._labels]
        self._writer.writerow([recording.path, f"{recording.duration_s:.3f}", *found, *scores])


class TextReport:
    """One line a file, in columns."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._width = min(48, max(len(str(path)) for path in paths))

    def print(self, recording: Recording) -> None:
        whole = recording.whole
        name = str(recording.path)
        name = name if len(name) <= self._width else "…" + name[1 - self._width :]
        line = f"{name:<{self._width}}  {recording.duration_s:6.1f} s  "
        if whole is None:
            line += "no speech"
        else:
            shown = f"{bar(whole.confidence)} {whole.confidence:4.0%}"
            line += f"{whole.emotion:<10}  {shown}  {top(whole.scores)}"
        print(line, flush=True)


def progress(items: Iterable[Item], total: int, shown: bool) -> Iterator[Item]:
    """Pass items on, with a progress bar on stderr where that is wanted."""
    columns = (TextColumn("classify"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as p:
        yield from p.track(items, total=total)
