"""Tables of text, and how Markdown writes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NONE = "–"
"""Stands where nothing is known."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of each says what the row is about."""

    caption: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def markdown(table: Table, code: bool = False) -> str:
    """A table without its caption; with `code`, the second column is what is typed."""
    lines = [_row(table.head), "|---" + "|---:" * (len(table.head) - 1) + "|"]
    if code:
        lines[1] = "|---" * len(table.head) + "|"
    for row in table.rows:
        cells = [cell(text) for text in row]
        if code and row[1] != NONE:
            cells[1] = f"`{row[1]}`".replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that is only text in Markdown."""
    for sign in "\\|<*`[":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def percent(value: float | None) -> str:
    """A share in percent, without the sign.

    >>> percent(0.5912), percent(None), percent(float("nan"))
    ('59.1', '–', '–')
    """
    return NONE if value is None or np.isnan(value) else f"{100 * value:.1f}"


def mean_sd(numbers: Sequence[float]) -> str:
    """Mean ± standard deviation, in percent.

    >>> mean_sd([0.5, 0.6]), mean_sd([0.5]), mean_sd([])
    ('55.0 ± 7.1', '50.0', '–')
    """
    if not numbers:
        return NONE
    mean = percent(float(np.mean(numbers)))
    return f"{mean} ± {percent(float(np.std(numbers, ddof=1)))}" if len(numbers) > 1 else mean


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(cell, cells))} |"
