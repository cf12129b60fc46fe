"""A whole experiment: every split of every protocol and the final network, audio to bundle.

Its run folder (see `runs`) keeps what is done, so that a run that was cut off goes on.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd import bundle
from serd.classifier import Classifier
from training import bundling, corpora, evaluate, provenance, splits
from training.config import Config, ConfigError
from training.convert import Kind
from training.corpora.clip import Clip
from training.corpora.duplicates import duplicates
from training.dataset import Dataset, Examples, load
from training.runs import FINAL, Fold, Run, Scores
from training.splits import Split


class Experiment:
    """One configuration on one set of data."""

    def __init__(self, config: Config, data: Path, run: Path, cache: Path, command: str) -> None:
        """Nothing is done yet.

        Args:
            config: what to make.
            data: the folder of the corpora.
            run: the run folder.
            cache: for features, shared by all runs.
            command: what the user typed, for the card.
        """
        self._config = config
        self._data = data
        self._run = Run(run)
        self._cache = cache
        self._command = command

    @cached_property
    def clips(self) -> list[Clip]:
        """Those of the configuration's labels."""
        data = self._config.data
        found = [
            clip
            for name in dict.fromkeys([*data.corpora, *data.test_only])
            for clip in corpora.load(name, self._data)
            if clip.emotion in self._config.labels
        ]
        if not found:
            raise ConfigError(f"{self._config.name}: no clip has one of its labels")
        return found

    @cached_property
    def labels(self) -> NDArray[np.int_]:
        """Places in the configuration's labels, int `[clips]`."""
        return np.array([self._config.labels.index(clip.emotion) for clip in self.clips])

    @cached_property
    def heard(self) -> Dataset:
        config = self._config
        return load(self.clips, config.specs, config.segments, self._cache)

    @cached_property
    def copies(self) -> dict[int, int]:
        """Clips that are another one's copy, and that one; nothing is done with copies."""
        groups = duplicates(self.heard.digests)
        return {copy: first for first, *copies in groups for copy in copies}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is measured: as it was trained, and as it is published."""
        return tuple(dict.fromkeys(("float32", self._config.conversion.kind)))

    def splits(self) -> Iterator[tuple[Fold, Split]]:
        """Every split to measure, and where its results are kept."""
        config = self._config
        for protocol, seeds in config.protocols.items():
            for seed in seeds:
                for split in splits.splits(
                    self.clips, protocol, seed, config.training.validators, config.data.test_only
                ):
                    yield self._run.fold(protocol, seed, split.name), self._checked(split)

    def final(self) -> tuple[Fold, Split]:
        """The network of the bundle."""
        config = self._config
        seed = next((s for seeds in config.protocols.values() for s in seeds), 1)
        split = splits.final(self.clips, seed, config.training.validators, config.data.test_only)
        return self._run.fold(FINAL, seed, FINAL), self._checked(split)

    def train(self) -> None:
        """Train what is not trained yet, the final network last."""
        self._write_facts({})
        for fold, split in [*self.splits(), self.final()]:
            self._fit(fold, split)

    def evaluate(self) -> dict[str, Any]:
        """Convert each network and measure it by the daemon's code on its test clips.

        Returns:
            Protocol → kind → figures with mean, deviation and folds; also in `results.json`.
        """
        for fold, split in self.splits():
            for kind in self.kinds:
                self._measure(fold, split, kind)
        said: dict[str, Any] = {}
        for protocol in self._config.protocols:
            for kind in self.kinds:
                folds = [fold for fold in self._run.measured(kind) if fold.protocol == protocol]
                scores = [(fold.seed, fold.scores(kind)) for fold in folds]
                said.setdefault(protocol, {})[kind] = evaluate.summary(scores)
        (self._run.path / "results.json").write_text(json.dumps(said, indent=2) + "\n")
        return said

    def bundle(self, output: Path, metrics: dict[str, Any]) -> None:
        """Write the final network's bundle, with its parity with Keras in the card."""
        fold, split = self.final()
        network = self._fit(fold, split)
        held_out = self._examples(split.validation)
        folders = {kind: self._convert(fold, split, kind) for kind in self.kinds}
        parity = bundling.parity(self._config, network, folders, held_out)
        said = {**metrics, "parity": parity}
        bundling.publish(folders[self._config.conversion.kind], output, said)
        self._write_facts(bundling.cost(network, folders))

    def _fit(self, fold: Fold, split: Split) -> Any:
        from training.train import MODEL_FILE, fit

        if not (fold.path / MODEL_FILE).is_file():
            print(
                f"{self._config.name}: {fold.protocol}, seed {fold.seed}, {fold.name}", flush=True
            )
        own, held_out = self._examples(split.train), self._examples(split.validation)
        return fit(self._config, own, held_out, fold.seed, self._data, fold.path)

    def _measure(self, fold: Fold, split: Split, kind: Kind) -> None:
        path = fold.path / f"{kind}.csv"
        if not path.is_file():
            classifier = Classifier(bundle.load(self._convert(fold, split, kind)))
            probabilities = evaluate.per_clip(classifier, self.heard.utterances, split.test)
            self._scores(split, probabilities).write(path)
        figures = evaluate.figures(*fold.scores(kind).known)
        said = ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
        print(f"{fold.protocol}, seed {fold.seed}, {fold.name}, {kind}: {said}", flush=True)

    def _scores(self, split: Split, probabilities: NDArray[np.float32]) -> Scores:
        clips = [self.clips[i] for i in split.test]
        return Scores(
            self._config.labels,
            tuple(clip.path.name for clip in clips),
            tuple(clip.corpus for clip in clips),
            tuple(clip.speaker for clip in clips),
            tuple(clip.sex for clip in clips),
            self.labels[list(split.test)],
            probabilities,
        )

    def _convert(self, fold: Fold, split: Split, kind: Kind) -> Path:
        held_out = sorted({self.clips[i].speaker for i in split.validation})
        return bundling.convert(
            self._config,
            fold,
            kind,
            self._examples(split.train),
            self._examples(split.validation),
            {
                "data": bundling.data_facts(self._config, held_out),
                "trained_by": {
                    "command": self._command,
                    "config": self._config.model_dump_json(),
                    "commit": provenance.commit(),
                },
            },
        )

    def _checked(self, split: Split) -> Split:
        """Without copies, and surely apart."""
        sides = ("train", "validation", "test")
        kept: dict[str, Any] = {
            side: tuple(i for i in getattr(split, side) if i not in self.copies) for side in sides
        }
        split = dataclasses.replace(split, **kept)
        splits.check(self.clips, split, self.heard.digests)
        return split

    def _examples(self, clips: Sequence[int]) -> Examples:
        wanted = set(clips)
        own = [u for u in self.heard.utterances if u.clip in wanted]
        return Examples(own, self.labels[[u.clip for u in own]])

    def _write_facts(self, more: dict[str, Any]) -> None:
        config = self._config
        copies = [
            f"{self.clips[copy].path.name} has the same sound as {self.clips[first].path.name}"
            " and is left out"
            for copy, first in self.copies.items()
        ]
        facts = {
            "name": config.name,
            "version": config.version,
            "title": config.title or config.name,
            "labels": config.labels,
            "kind": config.conversion.kind,
            "kinds": self.kinds,
            "command": self._command,
            **provenance.facts(self.clips, self.heard.digests),
            "notes": [*config.notes, *copies],
            **more,
        }
        self._run.path.mkdir(parents=True, exist_ok=True)
        (self._run.path / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
        (self._run.path / "config.json").write_text(config.model_dump_json(indent=2) + "\n")
