"""training/RESULTS.md: every system in tables."""

from collections.abc import Sequence

from training.report import denoisers, tables
from training.report.denoisers import Denoisers
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


def results_markdown(systems: Sequence[System], studies: Sequence[Denoisers] = ()) -> str:
    """The tables of all, best system first, denoisers last."""
    systems = tables.by_strict_uar(systems)
    others = {p for s in systems for p in s.protocols} - {STRICT, RANDOM}
    parts = ["# Results", "Written by `serd-train report`: change the runs, not this file."]
    table = tables.comparison(systems)
    parts += [f"{table.caption}.", markdown(table)]
    parts += ["\n".join(f"- **{name}**: {text}" for name, text in HOW_TO_READ)]
    for protocol in sorted(others):
        table = tables.of_protocol(systems, protocol)
        parts += [f"## {protocol.capitalize()}", f"{table.caption}:", markdown(table)]
    for table in tables.robust(systems):
        parts += ["## Robustness", f"{table.caption}:", markdown(table)]
    notes: dict[str, list[str]] = {}
    for system in systems:
        for note in [*(system.facts.get("notes") or []), *system.problems]:
            notes.setdefault(str(note), []).append(system.title)
    lines = [
        f"- **{'All' if len(who) == len(systems) else cell('; '.join(who))}**: {cell(note)}"
        for note, who in notes.items()
    ]
    parts += ["## Notes", "\n".join(lines)] if lines else []
    for run in studies:
        parts += [f"## {run.facts['title']}"]
        parts += [part for t in denoisers.tables_of(run) for part in (f"{t.caption}:", markdown(t))]
    parts += ["## How each row was made", markdown(made(systems), code=True)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def made(systems: Sequence[System]) -> Table:
    """Command, commit, machine and data of each system; those of one run share a row."""
    titles: dict[tuple[str, ...], list[str]] = {}
    for system in systems:
        facts = system.facts
        hashes = facts.get("data") or dict.fromkeys(facts.get("corpora") or [], "")
        data = ", ".join(f"{name} {sha[:12]}".strip() for name, sha in hashes.items())
        libraries = ", ".join(f"{name} {v}" for name, v in (facts.get("libraries") or {}).items())
        known = [facts.get(key) for key in ("command", "commit", "machine")]
        known += [facts.get("clips"), data, libraries]
        row = tuple(str(fact) if fact else NONE for fact in known)
        titles.setdefault(row, []).append(system.title)
    rows = [("; ".join(who), *row) for row, who in titles.items()]
    head = ("system", "command", "commit", "machine", "clips", "data, SHA-256", "libraries")
    return Table("How each row was made", head, rows)
