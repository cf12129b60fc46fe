"""What stands in a run folder, as far as it is there and readable."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from serd.audio import Floats
from serd.bundle import CARD_FILE
from training import evaluate, robustness
from training.report.measures import Doubles, Truth, before_temperature
from training.runs import HISTORY_FILE, Fold, Run, Scores

STRICT, RANDOM = "subject-independent", "random"
PROTOCOLS = (STRICT, RANDOM, "cross-corpus", "statement-held-out")
"""In the order in which they are shown; others follow."""


class ReportError(Exception):
    """A run folder that is none, or a report that cannot be written; one line."""


@dataclass(frozen=True)
class Measured:
    """What one fold's network said of its test clips."""

    fold: Fold
    scores: Scores
    temperature: float | None
    """From the fold's card; None where it was never fitted."""

    @cached_property
    def figures(self) -> dict[str, float]:
        return evaluate.figures(self.scores.probabilities, self.scores.truth)


class Pool:
    """All folds of a protocol together: every clip as often as it was tested."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self.measured = measured
        self.labels = measured[0].scores.labels
        self.probabilities: Floats = np.concatenate([m.scores.probabilities for m in measured])
        self.truth: Truth = np.concatenate([m.scores.truth for m in measured])
        self.speakers = np.array([s for m in measured for s in m.scores.speakers])
        self.sexes = np.array([s for m in measured for s in m.scores.sexes])

    @property
    def silent(self) -> int:
        """Clips in which no speech was found."""
        return int((self.probabilities.sum(axis=1) == 0).sum())

    def before(self) -> Doubles | None:
        """Probabilities before each fold's temperature; None where a fold has none."""
        parts = [
            before_temperature(m.scores.probabilities, m.temperature)
            for m in self.measured
            if m.temperature is not None
        ]
        return np.concatenate(parts) if len(parts) == len(self.measured) else None


class System:
    """One run folder."""

    def __init__(self, path: Path) -> None:
        """Read everything but the histories.

        Raises:
            ReportError: there is no such folder, or it holds something else.
        """
        if not path.is_dir():
            raise ReportError(f"{path}: no such run folder")
        self.path = path
        self.problems: list[str] = []
        """What could not be read, one line each."""
        kinds = sorted({file.stem for file in path.glob("*/seed-*/*/*.csv")})
        described = (path / "run.json").exists()
        if not described and not kinds and any(path.iterdir()):
            raise ReportError(f"{path}: not a run folder (neither run.json nor scores in it)")
        self.facts: dict[str, Any] = self._json(path / "run.json") if described else {}
        self.name = str(self.facts.get("name") or path.resolve().name)
        self.title = str(self.facts.get("title") or self.name)
        self.kind = str(self.facts.get("kind") or next(iter(kinds), ""))
        self.kinds = sorted(kinds, key=lambda kind: (kind != self.kind, kind))
        self._measured = {kind: list(self._read(kind)) for kind in self.kinds}

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of those that were tested on."""
        return tuple(self.facts.get("corpora") or ())

    @property
    def protocols(self) -> list[str]:
        """Those that are measured, in the order of `PROTOCOLS`."""
        found = {m.fold.protocol for measured in self._measured.values() for m in measured}
        return sorted(found, key=lambda p: (PROTOCOLS.index(p) if p in PROTOCOLS else 99, p))

    def measured(self, protocol: str, kind: str = "") -> list[Measured]:
        """The folds of a protocol, by default of the published kind."""
        found = self._measured.get(kind or self.kind, [])
        return [m for m in found if m.fold.protocol == protocol]

    def histories(self, protocol: str) -> list[dict[str, list[float]]]:
        """What was kept of the epochs of each fold."""
        kept = (self._json(m.fold.path / HISTORY_FILE) for m in self.measured(protocol))
        return [history for history in kept if history]

    def kept(self, name: str) -> dict[str, dict[str, Any]]:
        """JSON files of this name, of the run or of its folds, by where they stand."""
        files = [self.path / name, *sorted(self.path.glob(f"*/seed-*/*/{name}"))]
        found = {str(file.parent.relative_to(self.path)): self._json(file) for file in files}
        return {where.strip("."): content for where, content in found.items() if content}

    @property
    def robustness(self) -> list[dict[str, float]]:
        """UAR by condition, of each fold that was tried in some."""
        found = (content.get("uar") for content in self.kept(robustness.FILE).values())
        return [uar for uar in found if isinstance(uar, dict)]

    def of_kind(self, key: str) -> Any:
        """What `run.json` says under this key of the published kind; None where it does not."""
        by_kind = self.facts.get(key)
        return by_kind.get(self.kind) if isinstance(by_kind, dict) else None

    def _read(self, kind: str) -> Iterator[Measured]:
        labels: tuple[str, ...] = tuple(self.facts.get("labels") or ())
        for fold in Run(self.path).measured(kind):
            try:
                scores = fold.scores(kind)
            except (OSError, ValueError, IndexError) as error:
                why = error if isinstance(error, OSError) else "not readable as scores"
                self._complain(fold.path / f"{kind}.csv", why)
                continue
            labels = labels or scores.labels
            if scores.labels != labels:
                self._complain(fold.path / f"{kind}.csv", "other labels than the run's")
                continue
            card = self._json(fold.path / kind / CARD_FILE)
            yield Measured(fold, scores, card.get("temperature"))

    def _json(self, file: Path) -> dict[str, Any]:
        """An object; empty where there is no file, or none that can be read."""
        try:
            content = json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self._complain(file, error)
            return {}
        return content if isinstance(content, dict) else {}

    def _complain(self, file: Path, why: object) -> None:
        line = f"{file.relative_to(self.path)}: not used: {' '.join(str(why).split())}"
        if line not in self.problems:
            self.problems.append(line)
