"""What people see of `serd status`."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from serd.audio import SAMPLE_RATE
from serd.status import NodeStatus, SourceStatus, number
from serd.terminal import printable

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def lasting(seconds: float | None) -> str:
    """A duration in its two largest units.

    >>> lasting(93_784), lasting(61), lasting(0.5), lasting(None)
    ('1 d 2 h', '1 min 1 s', '0.5 s', '?')
    """
    if seconds is None:
        return "?"
    if seconds < 10:
        return f"{seconds:.1f} s"
    rest = int(seconds)
    words: list[str] = []
    for unit, length in _UNITS:
        whole, rest = divmod(rest, length)
        if whole or words:
            words.append(f"{whole} {unit}")
    return " ".join([*words, f"{rest} s"][:2])


def print_status(status: NodeStatus) -> None:
    """Print a node in a few lines, in colour on a terminal; in a pipe nothing is cut."""
    console = Console(width=None if sys.stdout.isatty() else 1_000, highlight=False)
    console.print(_headline(status))
    if status.sources:
        console.print(_table(status), soft_wrap=not sys.stdout.isatty())
    if status.health:
        console.print(Text(_events(status.health)))
    if status.online:  # else that is all there is to say
        for problem in status.problems:
            console.print(Text(printable(problem), "red"))


def _headline(status: NodeStatus) -> Text:
    told = [f"serd {_shown(status.info.get('version'))}", _shown(_of(status.info, "model", "name"))]
    if status.online and status.health:
        told.append(f"up {lasting(number(status.health.get('uptime_s')))}")
        told.append(f"{_shown(status.health.get('memory_mb'))} MB")
    if status.health:
        told.append(f"health of {lasting(status.health_age_s)} ago")
    word = ("online", "bold green") if status.online else ("offline", "bold red")
    return Text.assemble(f"{printable(status.node)} is ", word, f"  {', '.join(told)}")


def _table(status: NodeStatus) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("source", "status", "listening", "state"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for title in ("heard", "utterances", "dropped", "lost"):
        table.add_column(title, no_wrap=True, justify="right")
    for name, source in status.sources.items():
        accounts = _of(status.health, "sources", name)
        online = status.online and source.online
        table.add_row(
            Text(printable(name)),
            Text("online", "green") if online else Text("offline", "red"),
            Text("on") if source.listening else Text("off", "yellow"),
            Text(_state(source)),
            lasting(_seconds(_of(accounts, "samples"))),
            _count(_of(accounts, "utterances")),
            _count(_of(accounts, "dropped")),
            lasting(_seconds(_of(accounts, "samples_lost"))),
        )
    return table


def _state(source: SourceStatus) -> str:
    confidence = number(source.state.get("confidence"))
    certain = "" if confidence is None else f" {round(100 * confidence)} %"
    return _shown(source.state.get("emotion")) + certain


def _events(health: Mapping[str, Any]) -> str:
    depth, dropped = (_count(_of(health, "outbox", key)) for key in ("depth", "dropped"))
    median, p99 = (number(_of(health, "latency_ms", key)) for key in ("median", "p99"))
    said = f"outbox: {depth} waiting, {dropped} dropped"
    if median is None or p99 is None:
        return said
    return f"{said}; latency: {median:.0f} ms, 99th percentile {p99:.0f} ms"


def _of(found: object, *keys: str) -> object:
    """What lies below some keys; None where they lead nowhere."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _seconds(samples: object) -> float | None:
    count = number(samples)
    return None if count is None else count / SAMPLE_RATE


def _count(value: object) -> str:
    count = number(value)
    return "?" if count is None else f"{count:,.0f}"


def _shown(value: object) -> str:
    """What came over the network, short and harmless."""
    return "?" if value is None else printable(value)[:40]
