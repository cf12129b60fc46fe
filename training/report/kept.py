"""What the tables say of one run, kept as JSON: run folders do not last as long as results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from training import whole
from training.report import denoisers, tables
from training.report.denoisers import Denoisers
from training.report.markup import slug
from training.report.systems import RANDOM, STRICT, ReportError, System
from training.tables import NONE, Table

ALL = ""
"""The heading of what compares all systems."""
MADE = "How each row was made"


@dataclass(frozen=True)
class Kept:
    """A run's own rows of every table."""

    title: str
    rank: tuple[int, float]
    """The lower the further up."""
    tables: Mapping[str, Sequence[Table]]
    """By the heading that they stand below."""
    notes: Sequence[str] = ()
    """What a reader of the figures has to know."""

    def write(self, folder: Path) -> None:
        """As a file of its own, instead of an earlier one of this title."""
        whole.write(folder / f"{slug(self.title)}.json", _KEPT.dump_json(self, indent=1) + b"\n")


_KEPT = TypeAdapter(Kept)


def read(folder: Path) -> list[Kept]:
    """All that were written there, best first; raises ReportError."""
    found = []
    for file in folder.glob("*.json"):
        try:
            found.append(_KEPT.validate_json(file.read_bytes()))
        except ValidationError as error:
            raise ReportError(f"{file}: not results as serd-train report keeps them") from error
    return sorted(found, key=lambda kept: (kept.rank, kept.title))


def of_system(system: System) -> Kept:
    """Those of more classes, whose task is harder, stand first; then the best."""
    others = [protocol for protocol in system.protocols if protocol not in (STRICT, RANDOM)]
    found = {ALL: [tables.comparison([system])]}
    found |= {p.capitalize(): [tables.of_protocol([system], p)] for p in sorted(others)}
    if robust := tables.robust([system]):
        found["Robustness"] = robust
    notes = *(system.facts.get("notes") or ()), *system.problems
    return Kept(
        system.title,
        tables.place(system),
        {**found, MADE: [_made(system)]},
        tuple(map(str, notes)),
    )


def of_study(run: Denoisers) -> Kept:
    """A denoiser's, behind all systems."""
    title = str(run.facts["title"])
    return Kept(title, (1, 0.0), {title: denoisers.tables_of(run)})


def _made(system: System) -> Table:
    """Command, commit, machine and data."""
    facts = system.facts
    hashes = facts.get("data") or dict.fromkeys(facts.get("corpora") or [], "")
    data = ", ".join(f"{name} {sha[:12]}".strip() for name, sha in hashes.items())
    libraries = ", ".join(f"{name} {v}" for name, v in (facts.get("libraries") or {}).items())
    known = [facts.get(key) for key in ("command", "commit", "machine")]
    known += [facts.get("clips"), data, libraries]
    row = (system.title, *(str(fact) if fact else NONE for fact in known))
    head = ("system", "command", "commit", "machine", "clips", "data, SHA-256", "libraries")
    return Table(MADE, head, [row])
