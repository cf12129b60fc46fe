"""A whole experiment: every split of every protocol and the final network, audio to bundle.

Its run folder (see `runs`) keeps what is done, so that a run that was cut off goes on.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from serd import bundle
from serd.classifier import Classifier
from serd.wording import reason
from training import bundling, conditions, evaluate, provenance, recordings, whole
from training.config import Config, ConfigError
from training.convert import Kind
from training.recordings import Recordings
from training.runs import FINAL, Fold, Run
from training.sides import Split
from training.splits import CROSS, STRICT

_CONFIG_FILE = "config.json"
_TRAINED_BY = (
    "labels",
    "segments",
    "data",
    "inputs",
    "network",
    "augmentation",
    "training",
    "teaching",
    "head",
)


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
        self.config = config
        self.data = data
        self._run = Run(run)
        self._cache = cache
        self._command = command

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def title(self) -> str:
        return self.config.title or self.config.name

    @cached_property
    def recordings(self) -> Recordings:
        config = self.config
        found = recordings.gather(
            config.data, config.labels, config.specs, config.segments, self.data, self._cache
        )
        if config.training.votes and not any(clip.votes for clip in found.clips):
            raise ConfigError(f"{config.name}: training.votes: nobody was asked about these clips")
        return found

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is measured: as it was trained, and as it is published."""
        return tuple(dict.fromkeys(("float32", self.config.conversion.kind)))

    def splits(self) -> list[tuple[Fold, Split]]:
        """Every split to measure, and where its results are kept."""
        config = self.config
        found = self.recordings.splits(config.protocols, config.training.validators)
        return [(self._run.fold(s.protocol, s.seed, s.name), s) for s in found]

    def unheard(self) -> list[tuple[Fold, Split]]:
        """Those that test people whom nobody has heard: subject-independent, or across corpora."""
        found = self.splits()
        protocol = next((p for p in (STRICT, CROSS) if p in self.config.protocols), None)
        return [(f, s) for f, s in found if f.protocol == protocol]

    def asked(self) -> list[tuple[Fold, Split]]:
        """Those of the first seed, for what is asked of no others."""
        found = self.unheard()
        return [(f, s) for f, s in found if f.seed == found[0][0].seed]

    def final(self) -> tuple[Fold, Split]:
        """The network of the bundle."""
        config = self.config
        seed = next((s for seeds in config.protocols.values() for s in seeds), 1)
        split = self.recordings.final(seed, config.training.validators)
        return self._run.fold(FINAL, seed, FINAL), split

    def train(self) -> None:
        """Train what is not trained yet, the final network last."""
        if self.config.robustness:  # what it needs is missed before the training, not after it
            conditions.conditions(self.config.robustness, self.data)
        splits = [*self.splits(), self.final()]
        todo = [(fold, split) for fold, split in splits if not fold.is_trained]

        with self.going_on():
            command = self._command if todo else self._run.facts.get("command", self._command)
            self._run.write_facts({**self._run.facts, **self._facts(), "command": command})
            for note in self._notes if todo else ():
                print(f"{self.config.name}: {note}", flush=True)
            for fold, split in todo:
                where = f"{fold.protocol}, seed {fold.seed}, {fold.name}"
                print(f"{self.config.name}: {where}", flush=True)
                fold.begin(self.recordings.sides(split), provenance.made())
                self._fit(fold, split)
            self._run.write_facts({**self._run.facts, **self._made()})

    def evaluate(self) -> dict[str, Any]:
        """Convert each network and measure it by the daemon's code on its test clips.

        Returns:
            Protocol → kind → figures with mean, deviation and folds; also in `results.json`.
        """
        splits = self.splits()
        with self.going_on():
            for fold, split in splits:
                self._measure(fold, split)
            said: dict[str, Any] = {}
            for protocol in self.config.protocols:
                folds = [fold for fold, _ in splits if fold.protocol == protocol]
                for kind in self.kinds:
                    scores = [(fold.seed, fold.scores(kind)) for fold in folds]
                    said.setdefault(protocol, {})[kind] = evaluate.summary(scores)
            whole.write_json(self._run.path / "results.json", said)
        return said

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Nobody else works in the run folder, and what is in it fits; raises ConfigError."""
        with self._run.lock():
            self._continue()
            yield

    def bundle(self, output: Path, kind: Kind, metrics: dict[str, Any]) -> None:
        """Write the final network's bundle, with its parity with Keras in the card."""
        from training.train import trained

        config = self.config
        fold, split = self.final()
        held_out = self.recordings.examples(split.validation)
        with self.going_on():
            network = trained(fold.model)
            folders = self._convert(fold, split, dict.fromkeys((*self.kinds, kind)))
            parity = bundling.parity(config, network, folders, held_out)
        clips = (self.recordings.clips[i] for i in split.validation)
        bundling.publish(
            config,
            folders[kind],
            output,
            {
                "data": bundling.sources(
                    config.data.trained, clips, (*config.pretrained, *config.sources)
                ),
                "metrics": {**metrics, "parity": parity},
                "trained_by": {
                    "command": self._run.facts["command"],
                    "config": config.model_dump_json(),
                    "commit": self._made()["commit"],
                },
            },
        )

    def published(self, fold: Fold, split: Split) -> Path:
        """The bundle, of the published kind, of a trained fold or of the final network."""
        kind = self.config.conversion.kind
        return self._convert(fold, split, [kind])[kind]

    def note_cost(self) -> None:
        """Add to `run.json` what the final network costs, as trained and as published."""
        from training.train import trained

        fold, split = self.final()
        folders = self._convert(fold, split, self.kinds)
        network = trained(fold.model)
        self._run.write_facts({**self._run.facts, **bundling.cost(network, folders)})

    def _fit(self, fold: Fold, split: Split) -> None:
        """Slow to import, too: not before the clips are known to be fit."""
        config = self.config
        if config.head is not None:
            from training.heads.fit import fit as solve

            solve(config, self.recordings, split, fold, self._run, self.data, self._cache)
            return
        from training.train import fit

        own, held_out = map(self.recordings.examples, (split.train, split.validation))
        fit(config, own, held_out, fold.seed, self.data, fold.path)

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
        own, held_out = map(self.recordings.examples, (split.train, split.validation))
        return bundling.convert(self.config, fold, kinds, own, held_out)

    def _made(self) -> dict[str, Any]:
        """By what the networks were trained, as far as they are."""
        folds = (fold for fold, _ in [*self.splits(), self.final()])
        return provenance.joined([fold.made for fold in folds if fold.is_trained])

    def _facts(self) -> dict[str, Any]:
        config = self.config
        return {
            "name": config.name,
            "version": config.version,
            "title": self.title,
            "labels": config.labels,
            "kind": config.conversion.kind,
            "kinds": self.kinds,
            **self.recordings.facts,
            "notes": [*config.notes, *self._notes],
        }

    @property
    def _notes(self) -> list[str]:
        """What a reader of the figures has to know of clips and splits."""
        own = self.recordings
        return [*own.notes, *own.untested(split for _, split in self.splits())]

    def _continue(self) -> None:
        """Go on with the run folder by this configuration, where what is there allows it.

        Raises:
            ConfigError: its networks were trained otherwise, or on other clips.
        """
        kept = self._run.path / _CONFIG_FILE
        if self._run.begun:
            self._keep_what_fits(kept)
        whole.write(kept, self.config.model_dump_json(indent=2))

    def _keep_what_fits(self, kept: Path) -> None:
        """Drop what another conversion left; raises ConfigError as `_continue`."""
        try:
            before = Config.model_validate_json(kept.read_text())
            data = self._run.facts["data"]
        except (OSError, ValueError, KeyError) as error:
            why = reason(error) if isinstance(error, OSError) else "damaged"
            raise ConfigError(
                f"{self._run.path}: by what its networks were trained cannot be told"
                f" ({kept.name} or run.json: {why}); put the file back, or remove the folder"
            ) from error
        others = [
            "other labels" if part == "labels" else f"another [{part}]"
            for part in _TRAINED_BY
            if getattr(before, part) != getattr(self.config, part)
        ]
        if not others and data != self.recordings.facts["data"]:
            others = ["other clips"]
        splits = [*self.splits(), self.final()]
        if any(f.is_trained and f.sides != self.recordings.sides(split) for f, split in splits):
            others.append("other people on its sides")
        if others:
            weights = ", or give the same --weights" if "[network]" in others[0] else ""
            raise ConfigError(
                f"{self._run.path}: its networks were trained with {others[0]};"
                f" name another folder with --run, or remove it{weights}"
            )
        if before.conversion.float_ops != self.config.conversion.float_ops:
            for fold, _ in splits:
                fold.drop("int8")
