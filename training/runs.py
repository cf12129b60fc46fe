"""What an experiment leaves in its run folder, written and read in one place.

runs/NAME/
    run.json                    what was run, on what, by what
    config.json                 the settings that the networks were trained by
    PROTOCOL/seed-1/FOLD/
        fold.json               who was on which side, and what trained it
        model.keras             the trained network
        history.json            loss and accuracy of each epoch
        KIND/                   the bundle that it became, KIND as in `--kind`
        KIND.csv                the test clips' scores
        robustness.json         the published kind's UAR in other conditions
    teaching/seed-1/CORPORA/    what networks of that seed share that may hear these corpora
    final/seed-1/final/         the network of the bundle; tests on nobody
    results.json                the figures, of all the scores
"""

import csv
import fcntl
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from training import whole

FINAL = "final"
MODEL_FILE = "model.keras"
HISTORY_FILE = "history.json"
ADAPTATION_FILE = "adaptation.json"
_FOLD_FILE = "fold.json"


class RunError(Exception):
    """A run folder that is in use, or lacks what is asked for; one line."""


@dataclass(frozen=True)
class Scores:
    """What a network said of its test clips."""

    labels: tuple[str, ...]
    clips: tuple[str, ...]
    """File names."""
    corpora: tuple[str, ...]
    speakers: tuple[str, ...]
    sexes: tuple[str, ...]
    truth: NDArray[np.int_]
    """Places in `labels`, `[clips]`."""
    probabilities: Floats
    """float32 `[clips, labels]`; zeros where no speech was found, which counts as an error."""

    @property
    def known(self) -> tuple[Floats, NDArray[np.int_]]:
        """Probabilities and truth, as the functions of `evaluate` take them."""
        return self.probabilities, self.truth

    def write(self, path: Path) -> None:
        """As CSV: clip, corpus, speaker, sex, emotion, then a column for each label."""
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(["clip", "corpus", "speaker", "sex", "emotion", *self.labels])
        known = zip(self.clips, self.corpora, self.speakers, self.sexes, self.truth, strict=True)
        for (*facts, label), scores in zip(known, self.probabilities, strict=True):
            rows.writerow([*facts, self.labels[label], *(f"{s:.5f}" for s in scores)])
        whole.write(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> "Scores":
        """What `write` wrote."""
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        labels = tuple(header[5:])
        clips, corpora, speakers, sexes, emotions = zip(*(row[:5] for row in rows), strict=True)
        return cls(
            labels,
            clips,
            corpora,
            speakers,
            sexes,
            np.array([labels.index(emotion) for emotion in emotions]),
            np.array([row[5:] for row in rows], np.float32),
        )


@dataclass(frozen=True)
class Fold:
    """One trained split of a run."""

    protocol: str
    seed: int
    name: str
    path: Path

    @property
    def is_trained(self) -> bool:
        return (self.path / MODEL_FILE).is_file()

    @property
    def model(self) -> Path:
        """The file of the trained network; raises RunError where there is none."""
        if not self.is_trained:
            raise RunError(f"{self.path}: not trained yet: serd-train train does it")
        return self.path / MODEL_FILE

    @property
    def adaptation(self) -> dict[str, Any] | None:
        """Of a network that takes a baseline."""
        file = self.path / ADAPTATION_FILE
        return json.loads(file.read_text()) if file.is_file() else None

    @property
    def sides(self) -> dict[str, str] | None:
        """A hash of who is on which side; None where nothing was begun."""
        return self._facts.get("sides")

    @property
    def made(self) -> dict[str, Any]:
        """By which commit, machine and libraries it was trained."""
        return self._facts.get("made", {})

    def begin(self, sides: dict[str, str], made: dict[str, Any]) -> None:
        """Before training: keep of what is there only backups that are of these sides."""
        before = self._facts
        for old in self.path.glob("*"):
            if before.get("sides") == sides and old.name.startswith("backup"):
                begun = before["made"]["commit"]
                if made["commit"] not in begun.split(", "):
                    made = {**made, "commit": f"{begun}, {made['commit']}"}
            elif old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()
        whole.write_json(self.path / _FOLD_FILE, {"sides": sides, "made": made})

    def drop(self, kind: str) -> None:
        """Remove the bundle of this kind and what it said."""
        shutil.rmtree(self.path / kind, ignore_errors=True)
        (self.path / f"{kind}.csv").unlink(missing_ok=True)

    def scores(self, kind: str) -> Scores:
        return Scores.read(self.path / f"{kind}.csv")

    @property
    def _facts(self) -> dict[str, Any]:
        file = self.path / _FOLD_FILE
        return json.loads(file.read_text()) if file.is_file() else {}


class Run:
    """A run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def facts(self) -> dict[str, Any]:
        """`run.json`: see `training.experiment` and `training.classical` for what is in it.

        Empty where there is none.
        """
        file = self.path / "run.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Replace `run.json`."""
        whole.write_json(self.path / "run.json", facts)

    @property
    def begun(self) -> bool:
        """Whether something was trained, if only in part."""
        return any(file.name != _FOLD_FILE for file in self.path.glob("*/seed-*/*/*"))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep others from training into the same folder; raises RunError."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"{self.path}: another serd-train is training in it") from error
            yield

    def fold(self, protocol: str, seed: int, name: str) -> Fold:
        return Fold(protocol, seed, name, self.path / protocol / f"seed-{seed}" / name)

    def measured(self, kind: str) -> Iterator[Fold]:
        """The folds that have scores of this kind, in order."""
        for file in sorted(self.path.glob(f"*/seed-[0-9]*/*/{kind}.csv")):
            protocol, seed, name = file.parts[-4:-1]
            yield Fold(protocol, int(seed.removeprefix("seed-")), name, file.parent)
