"""A whole experiment: every split of every protocol and the final network, audio to bundle.

Its run folder (see `runs`) keeps what is done, so that a run that was cut off goes on.
"""

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from serd import bundle
from serd.classifier import Classifier
from training import bundling, evaluate, provenance, recordings
from training.config import Config, ConfigError
from training.convert import Kind
from training.recordings import Recordings
from training.runs import FINAL, Fold, Run
from training.splits import Split

_TRAINED_BY = ("labels", "segments", "data", "inputs", "network", "augmentation", "training")


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
    def recordings(self) -> Recordings:
        config = self._config
        return recordings.gather(
            config.data, config.labels, config.specs, config.segments, self._data, self._cache
        )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is measured: as it was trained, and as it is published."""
        return tuple(dict.fromkeys(("float32", self._config.conversion.kind)))

    def splits(self) -> list[tuple[Fold, Split]]:
        """Every split to measure, and where its results are kept."""
        config = self._config
        found = self.recordings.splits(config.protocols, config.training.validators)
        return [(self._run.fold(s.protocol, s.seed, s.name), s) for s in found]

    def final(self) -> tuple[Fold, Split]:
        """The network of the bundle."""
        config = self._config
        seed = next((s for seeds in config.protocols.values() for s in seeds), 1)
        split = self.recordings.final(seed, config.training.validators)
        return self._run.fold(FINAL, seed, FINAL), split

    def train(self) -> None:
        """Train what is not trained yet, the final network last."""
        self._open()
        self._write_facts({})
        for fold, split in [*self.splits(), self.final()]:
            self._fit(fold, split)

    def evaluate(self) -> dict[str, Any]:
        """Convert each network and measure it by the daemon's code on its test clips.

        Returns:
            Protocol → kind → figures with mean, deviation and folds; also in `results.json`.
        """
        for fold, split in self.splits():
            self._measure(fold, split)
        said: dict[str, Any] = {}
        for protocol in self._config.protocols:
            for kind in self.kinds:
                folds = [fold for fold in self._run.measured(kind) if fold.protocol == protocol]
                scores = [(fold.seed, fold.scores(kind)) for fold in folds]
                said.setdefault(protocol, {})[kind] = evaluate.summary(scores)
        (self._run.path / "results.json").write_text(json.dumps(said, indent=2) + "\n")
        return said

    def bundle(self, output: Path, kind: Kind, metrics: dict[str, Any]) -> None:
        """Write the final network's bundle, with its parity with Keras in the card."""
        fold, split = self.final()
        network = self._fit(fold, split)
        held_out = self.recordings.examples(split.validation)
        folders = self._convert(fold, split, dict.fromkeys((*self.kinds, kind)))
        parity = bundling.parity(self._config, network, folders, held_out)
        bundling.publish(folders[kind], output, {**metrics, "parity": parity})

    def note_cost(self) -> None:
        """Add to `run.json` what the final network costs, as trained and as published."""
        fold, split = self.final()
        folders = self._convert(fold, split, self.kinds)
        self._write_facts(bundling.cost(self._fit(fold, split), folders))

    def _fit(self, fold: Fold, split: Split) -> Any:
        from training.train import MODEL_FILE, fit

        if not (fold.path / MODEL_FILE).is_file():
            where = f"{fold.protocol}, seed {fold.seed}, {fold.name}"
            print(f"{self._config.name}: {where}", flush=True)
        own, held_out = map(self.recordings.examples, (split.train, split.validation))
        return fit(self._config, own, held_out, fold.seed, self._data, fold.path)

    def _measure(self, fold: Fold, split: Split) -> None:
        files = {kind: fold.path / f"{kind}.csv" for kind in self.kinds}
        todo = [kind for kind, file in files.items() if not file.is_file()]
        for kind, folder in self._convert(fold, split, todo).items():
            classifier = Classifier(bundle.load(folder))
            probabilities = evaluate.per_clip(classifier, self.recordings.utterances, split.test)
            self.recordings.scores(split.test, probabilities).write(files[kind])
        for kind in self.kinds:
            figures = evaluate.figures(*fold.scores(kind).known)
            said = ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
            print(f"{fold.protocol}, seed {fold.seed}, {fold.name}, {kind}: {said}", flush=True)

    def _convert(self, fold: Fold, split: Split, kinds: Iterable[Kind]) -> dict[Kind, Path]:
        held_out = sorted({self.recordings.clips[i].speaker for i in split.validation})
        return bundling.convert(
            self._config,
            fold,
            kinds,
            self.recordings.examples(split.train),
            self.recordings.examples(split.validation),
            {
                "data": bundling.data_facts(self._config, held_out),
                "trained_by": {
                    "command": self._command,
                    "config": self._config.model_dump_json(),
                    "commit": provenance.commit(),
                },
            },
        )

    def _write_facts(self, more: dict[str, Any]) -> None:
        config = self._config
        facts = {
            "name": config.name,
            "version": config.version,
            "title": config.title or config.name,
            "labels": config.labels,
            "kind": config.conversion.kind,
            "kinds": self.kinds,
            "command": self._command,
            **self.recordings.facts,
            "notes": [*config.notes, *self.recordings.notes],
            **more,
        }
        (self._run.path / "run.json").write_text(json.dumps(facts, indent=2) + "\n")

    def _open(self) -> None:
        """Make the run folder; refuse one whose networks were trained otherwise."""
        kept = self._run.path / "config.json"
        if kept.is_file():
            before = Config.model_validate_json(kept.read_text())
            for part in _TRAINED_BY:
                if getattr(before, part) != getattr(self._config, part):
                    raise ConfigError(
                        f"{self._run.path}: its networks were trained with another {part};"
                        " name another folder with --run, or remove it"
                    )
        self._run.path.mkdir(parents=True, exist_ok=True)
        kept.write_text(self._config.model_dump_json(indent=2) + "\n")
