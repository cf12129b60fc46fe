"""One system on one set of features: its run folder."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from serd.audio import Floats
from serd.features import FeatureSpec
from training import evaluate, provenance, whole
from training.classical import curves, models
from training.classical.config import Parameters, Study, System
from training.classical.models import Part
from training.config import ConfigError
from training.dataset import Utterance
from training.recordings import Recordings
from training.runs import Run
from training.sides import Split

KIND = "sklearn"
_SHARED = {"labels", "segments", "inner_folds", "learning_shares"}
"""Settings of the study that a system's results depend on."""


@dataclass(frozen=True)
class Material:
    """What all systems learn from and are tested on."""

    heard: Recordings
    splits: Sequence[Split]

    @cached_property
    def owners(self) -> list[Split]:
        """For each split the first with the same training part, whose choice it shares."""
        first: dict[frozenset[int], Split] = {}
        return [first.setdefault(frozenset(_learnt(split)), split) for split in self.splits]


class Cell:
    """Measures one system on one set of features, as far as that is not done yet."""

    def __init__(
        self, study: Study, system: str, features: str, material: Material, runs: Path
    ) -> None:
        self.name = f"{system}-{features}"
        self.path = runs / self.name
        self.system: System = study.systems[system]
        self.spec: FeatureSpec = study.features[features]
        self._study = study
        self._features = features
        self._material = material

    def open(self) -> None:
        """Make the run folder.

        Raises:
            ConfigError: it holds what another configuration or other data gave.
        """
        study = self._study
        shared = study.model_dump(mode="json", include=_SHARED)
        own = {"system": self.system, "features": self.spec}
        told = {key: table.model_dump(mode="json") for key, table in own.items()}
        config = shared | told | {"data": self._material.heard.facts["data"]}
        if study.data.train_only:
            config["train_only"] = list(study.data.train_only)
        file = self.path / "config.json"
        if file.is_file() and json.loads(file.read_text()) != config:
            raise ConfigError(f"{self.path}: made with other settings or data; remove it first")
        whole.write_json(file, config)

    def measure(self, split: Split, owner: Split) -> bool:
        """Choose, learn and be tested; the scores are written last.

        Args:
            split: into training part (validation is part of it) and test.
            owner: the split whose choice is taken.

        Returns:
            Whether that was not done already.
        """
        folder = self._folder(split)
        file = folder / f"{KIND}.csv"
        if file.is_file():
            return False
        parameters = self._parameters(owner)
        part = self._part(_learnt(split))
        fitted = models.fit(
            models.build(self.system.kind, parameters, split.seed), part, self._study.inner_folds
        )
        heard = self._material.heard.examples(split.test)
        count = len(self._study.labels)
        said = models.probabilities(fitted, self._stack(heard.utterances), count)
        oob, made = models.out_of_bag(fitted), provenance.made()
        fit = {"parameters": parameters, "oob": oob, "made": made}
        whole.write_json(folder / "fit.json", {key: v for key, v in fit.items() if v is not None})
        by_clip = evaluate.by_clip(said, heard.utterances, split.test)
        self._material.heard.scores(split.test, by_clip).write(file)
        return True

    def draw_curves(self) -> None:
        """Write `curves.json`, of the first training part alone: no test is looked at."""
        first, folds = self._material.splits[0], self._study.inner_folds
        kept = self.path / "curves.json"
        if kept.is_file():
            return
        part = self._part(_learnt(first))
        parameters = self._parameters(first)
        pipeline = models.build(self.system.kind, parameters, first.seed)
        shares = self._study.learning_shares
        drawn = {
            "parameters": parameters,
            "learning": curves.learning(pipeline, shares, part, folds, first.seed),
        }
        if self.system.curve:
            drawn["validation"] = curves.validation(pipeline, self.system.curve, part, folds)
        whole.write_json(kept, drawn)

    def facts(self) -> dict[str, Any]:
        """What `run.json` says of this system alone."""
        heard = self._material.heard
        fits = {
            "/".join(file.parts[-4:-1]): json.loads(file.read_text())
            for file in sorted(self.path.glob("*/seed-*/*/fit.json"))
        }
        out_of_bag = {where: fit["oob"] for where, fit in fits.items() if "oob" in fit}
        return {
            "title": f"{self.system.title} on {self._features} statistics",
            **({"oob": out_of_bag} if out_of_bag else {}),
            **provenance.joined([fit["made"] for fit in fits.values()]),
            "notes": [*self._notes(), *heard.notes, *heard.untested(self._material.splits)],
        }

    def figures(self, protocol: str) -> dict[str, Any]:
        """Means and spreads over all folds and seeds of a protocol."""
        folds = [fold for fold in Run(self.path).measured(KIND) if fold.protocol == protocol]
        return evaluate.summary([(fold.seed, fold.scores(KIND)) for fold in folds])

    def _notes(self) -> list[str]:
        system = self.system
        notes = [_chosen(system, self._study.inner_folds)]
        if system.grid and not system.tuned:
            notes.append("The grid search is shown for comparison; nothing was taken from it.")
        if system.kind == "svm":
            notes.append("Probabilities by Platt's scaling, from training speakers held out of it.")
        if system.kind == "random-forest":
            same = "Out-of-bag accuracy is by utterance, the same speakers being on both sides"
            notes.append(f"{same}: to be held against the random split.")
        return notes

    def _parameters(self, owner: Split) -> Parameters:
        """The reported ones: fixed, or with what the owner's training part chose."""
        first = owner == self._material.splits[0]
        if not self.system.grid or not (self.system.tuned or first):
            return self.system.parameters
        kept = self._folder(owner) / "search.json"
        if not kept.is_file():
            pipeline = models.build(self.system.kind, self.system.parameters, owner.seed)
            part = self._part(_learnt(owner))
            found = models.search(pipeline, self.system.grid, part, self._study.inner_folds)
            whole.write_json(kept, found)
        best = json.loads(kept.read_text())["best"]
        return self.system.parameters | best if self.system.tuned else self.system.parameters

    def _folder(self, split: Split) -> Path:
        return Run(self.path).fold(split.protocol, split.seed, split.name).path

    def _part(self, clips: Sequence[int]) -> Part:
        own = self._material.heard.examples(clips)
        speakers = [clip.speaker for clip in own.clips]
        return Part(self._stack(own.utterances), own.labels, speakers)

    def _stack(self, heard: Sequence[Utterance]) -> Floats:
        rows = [u.features[self._features] for u in heard]
        return np.array(rows, np.float32).reshape(-1, self.spec.size)


def _chosen(system: System, folds: int) -> str:
    if not system.tuned:
        fixed = ", ".join(f"{name} = {value}" for name, value in system.parameters.items())
        return f"Parameters fixed beforehand: {fixed or 'those of scikit-learn'}."
    count = math.prod(len(values) for values in system.grid.values())
    how = f"by UAR over {folds} groups of its own training speakers"
    return f"Parameters: the best of {count} combinations, chosen for each fold {how}."


def _learnt(split: Split) -> list[int]:
    """The training part: these systems need no validation, they divide this by speakers."""
    return sorted((*split.train, *split.validation))
