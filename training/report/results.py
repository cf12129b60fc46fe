"""training/RESULTS.md: every system in tables, of the runs at hand and of those before."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from training import whole
from training.report import kept
from training.report.denoisers import Denoisers
from training.report.kept import ALL, MADE, Kept
from training.report.systems import RANDOM, STRICT, System
from training.tables import NONE, Table, cell, markdown

HOW_TO_READ = (
    (STRICT, "nobody who is tested was heard in training or calibration."),
    (RANDOM, "the same people stand on both sides; here only because others report it."),
    ("UAR", "unweighted average recall: accuracy that counts every emotion alike."),
    ("clips", "judged as serd classify answers; one in which no speech is found is an error."),
    ("classes", "a system of fewer has an easier task: guessing reaches a UAR of 1 / classes."),
    ("size, MACs, latency", "of the published kind; MACs and latency of one window."),
)
"""What the columns mean."""


def write(file: Path, systems: Sequence[System], studies: Sequence[Denoisers] = ()) -> None:
    """Write the tables of all, best system first, denoisers last.

    Args:
        file: Markdown. In `results`, a folder beside it, stands what it says of each run; what is
            there of other runs stays in it.
        systems: runs to add, or to put in the place of earlier ones of the same title.
        studies: of denoisers; the same.

    Raises:
        ReportError: what is in the folder cannot be read.
        OSError: nothing can be written.
    """
    folder = file.parent / "results"
    for own in (*map(kept.of_system, systems), *map(kept.of_study, studies)):
        own.write(folder)
    whole.write(file, _text(kept.read(folder)))


def _text(runs: Sequence[Kept]) -> str:
    parts = ["# Results", "Written by `serd-train report`: change the runs, not this file."]
    for heading in dict.fromkeys(heading for run in runs for heading in run.tables):
        if heading != MADE:
            parts += [f"## {heading}"] if heading != ALL else []
            for table in _joined(table for run in runs for table in run.tables.get(heading, ())):
                parts += [f"{table.caption}:", markdown(table)]
        if heading == ALL:
            parts += ["\n".join(f"- **{name}**: {text}" for name, text in HOW_TO_READ)]
    parts += _notes([run for run in runs if MADE in run.tables])
    for table in _joined(table for run in runs for table in run.tables.get(MADE, ())):
        parts += [f"## {MADE}", markdown(_shared(table), code=True)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _joined(parts: Iterable[Table]) -> Iterable[Table]:
    """Those of one caption as one; nothing is known where a row has no such column."""
    by_caption: dict[str, list[Table]] = {}
    for table in parts:
        by_caption.setdefault(table.caption, []).append(table)
    for caption, own in by_caption.items():
        head = tuple(dict.fromkeys(name for table in own for name in table.head))
        rows = [dict(zip(table.head, row, strict=True)) for table in own for row in table.rows]
        yield Table(caption, head, [tuple(row.get(name, NONE) for name in head) for row in rows])


def _notes(systems: Sequence[Kept]) -> list[str]:
    """What has to be known of whose figures, each thing once."""
    who: dict[str, list[str]] = {}
    for system in systems:
        for note in system.notes:
            who.setdefault(note, []).append(system.title)
    lines = [
        f"- **{'All' if len(own) == len(systems) else cell('; '.join(own))}**: {cell(note)}"
        for note, own in who.items()
    ]
    return ["## Notes", "\n".join(lines)] if lines else []


def _shared(table: Table) -> Table:
    """Rows that differ in their first cells alone, as one."""
    titles: dict[tuple[str, ...], list[str]] = {}
    for title, *row in table.rows:
        titles.setdefault(tuple(row), []).append(title)
    return Table(table.caption, table.head, [("; ".join(own), *row) for row, own in titles.items()])
