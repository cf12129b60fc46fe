"""What people see: tables in a terminal, plain lines in a pipe."""

import csv
import json
import logging
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO, TypeVar

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from serd.events import EmotionEvent
from serd.recording import Recording

_SHOWN = 15
_AROUND = 3  # lines of title, header and what the shell leaves
_BAR = 10

Item = TypeVar("Item")


def printable(name: object) -> str:
    r"""A file's name in one line, whatever it is made of.

    >>> printable("two\nlines")
    'two\\nlines'
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(name)
    )


def bar(share: float) -> str:
    """A share as a bar of fixed width; what is not in 0…1 counts as the nearer end.

    >>> bar(0.25)
    '██▌·······'
    """
    eighths = round(min(max(share, 0), 1) * _BAR * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]
    return drawn.ljust(_BAR, "·")


def top(scores: Mapping[str, float], count: int = 3, *, but: str | None = None) -> str:
    """The most probable labels.

    Args:
        scores: 0…1 of each label.
        count: of labels to name.
        but: a label to pass over.

    >>> top({"sad": 0.2, "calm": 0.7, "happy": 0.1}, 2)
    'calm 70 %, sad 20 %'
    """
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    ranked = [(label, score) for label, score in ranked if label != but][:count]
    return ", ".join(f"{label} {round(100 * score)} %" for label, score in ranked)


def event_line(event: EmotionEvent) -> str:
    """An event as one line of text, with what else it might be at the end."""
    time = event.start.astimezone().strftime("%H:%M:%S")
    return (
        f"{time}  {printable(event.node + '/' + event.source):<14}  "
        f"{printable(event.event_type):<9}  "
        f"{bar(event.confidence)} {event.confidence:4.0%}  {event.duration_ms / 1000:4.1f} s  "
        f"{printable(top(event.scores, 1, but=event.event_type))}"
    )


class EventTable:
    """The latest events, redrawn in place; a context manager."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._events: deque[EmotionEvent] = deque(maxlen=_SHOWN)
        self._live = Live(
            console=Console(), auto_refresh=False, redirect_stderr=sys.stderr.isatty()
        )

    def __enter__(self) -> Self:
        before = sys.stderr
        self._live.start()
        _log_to(sys.stderr, before)  # above the table, not into it
        self._live.update(self._table(), refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        before = sys.stderr
        self._live.stop()
        _log_to(sys.stderr, before)

    def add(self, event: EmotionEvent) -> None:
        self._events.append(event)
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table(
            title=self._title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False
        )
        table.add_column("time", width=8)
        table.add_column("source", min_width=6, max_width=12)
        table.add_column("emotion", width=9)
        table.add_column("confidence", width=15)
        table.add_column("length", width=6, justify="right")
        table.add_column("dBFS", width=4, justify="right")
        table.add_column("or")  # gives way where it is narrow; 14 of 80 columns
        for event in list(self._events)[-max(1, self._live.console.height - _AROUND) :]:
            table.add_row(
                event.start.astimezone().strftime("%H:%M:%S"),
                _clipped(event.source),
                event.event_type,
                f"{bar(event.confidence)} {event.confidence:4.0%}",
                f"{event.duration_ms / 1000:.1f} s",
                f"{event.dbfs:.0f}",
                _clipped(top(event.scores, but=event.event_type)),
            )
        return table


def _clipped(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _log_to(stream: TextIO, instead_of: TextIO) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is instead_of:
            handler.setStream(stream)


def shown_events(stack: ExitStack) -> Callable[[EmotionEvent, bool], None]:
    """A live table in a terminal; in a pipe plain lines, as JSON while no broker takes them."""
    if sys.stdout.isatty():
        table = stack.enter_context(EventTable("serd: latest utterances (Ctrl+C ends)"))
        return lambda event, _connected: table.add(event)

    return lambda event, connected: print(
        event_line(event) if connected else event.to_json(), flush=True
    )


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
        self._width = max(len(printable(path)) for path in paths)
        if sys.stdout.isatty():  # in a pipe names stay whole
            room = shutil.get_terminal_size().columns - 56  # what stands beside the name
            self._width = min(self._width, max(16, room))

    def print(self, recording: Recording) -> None:
        whole = recording.whole
        name = printable(recording.path)
        name = name if len(name) <= self._width else "…" + name[1 - self._width :]
        line = f"{name:<{self._width}}  {recording.duration_s:6.1f} s  "
        if whole is None:
            line += "no speech"
        else:
            shown = f"{bar(whole.confidence)} {whole.confidence:4.0%}"
            line += f"{whole.emotion:<10}  {shown}  {top(whole.scores, 1, but=whole.emotion)}"
        print(line, flush=True)


def progress(items: Iterable[Item], total: int, shown: bool) -> Iterator[Item]:
    """Pass items on, with a progress bar on stderr where that is wanted."""
    columns = (TextColumn("classify"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as p:
        yield from p.track(items, total=total)
