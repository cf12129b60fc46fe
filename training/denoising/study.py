"""From audio to a published denoiser: fitted, listened to, asked, given its threshold."""

import itertools
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from serd import audio, bundle, denoiser
from serd.audio import Pcm, float_to_pcm, pcm_to_float
from serd.classifier import Classifier
from training import provenance, recordings, whole
from training.bundling import sources
from training.convert import Kind
from training.denoising import bundling, grid, listening
from training.denoising.config import Study
from training.denoising.mixtures import Sides, sides
from training.denoising.others import OTHERS
from training.denoising.quality import MEASURES
from training.experiment import Experiment
from training.recordings import Recordings
from training.runs import Fold, Run
from training.sides import Split
from training.splits import Protocol
from training.surroundings import Surroundings

SOUND, RECOGNITION, EXAMPLES = "sound.csv", "recognition", "examples"
"""What a run folder holds."""
VERSIONS = ("speech", "in noise", "denoised")
"""Of each example, in files `CLIP-VERSION.flac`."""
_EXAMPLES_DB = 5
_PROTOCOL: Protocol = "cross-corpus"
_KINDS: tuple[Kind, ...] = ("float32", "float16", "int8")


class Denoising:
    """One study on one set of data; its run folder keeps what is done."""

    def __init__(self, study: Study, data: Path, run: Path, cache: Path, command: str) -> None:
        """Nothing is done yet; the arguments are as of `Experiment`."""
        self._study = study
        self._data = data
        self._run = Run(run)
        self._cache = cache
        self._command = command

    def train(self) -> None:
        """Fit every network that is not fitted yet.

        Raises:
            CorpusError, CacheError, NoiseError, SplitError, RunError: as their modules say.
        """
        todo = [name for name in self._study.networks if not self._fold(name).is_trained]
        own, held_out = map(self._utterances, (self._split.train, self._split.validation))
        around = self._sides
        from training.denoising.fit import fit  # slow: not before all is known to be there

        with self._run.lock():
            before = self._run.facts
            command = self._command if todo else before.get("command", self._command)
            self._run.write_facts({**before, **self._facts(), "command": command})
            for name in todo:
                print(f"{self._study.name}: {name}", flush=True)
                fold = self._fold(name)
                fold.begin(self._recordings.sides(self._split), provenance.made())
                fit(
                    self._study,
                    self._study.networks[name],
                    (own, around.train),
                    (held_out, around.validation),
                    fold.path,
                )
            made = provenance.joined([self._fold(name).made for name in self._study.networks])
            self._run.write_facts({**self._run.facts, **made})

    def listen(self) -> list[listening.Row]:
        """How every network, and what others use, sounds on the test; kept in `sound.csv`."""
        file = self._run.path / SOUND
        if not file.is_file():
            some = self._tested()
            methods = {**OTHERS, **self._methods()}
            listening.write(
                listening.measure(some, self._sides.test, methods, self._study.seed), file
            )
        return listening.read(file)

    def show(self) -> None:
        """Write three of the test's utterances, in noise and without it, to be listened to."""
        folder = self._run.path / EXAMPLES
        folder.mkdir(exist_ok=True)
        own = denoiser.load(self._published())
        some = self._tested()[: len(self._study.mixtures.test.noise)]
        found = listening.mixtures(some, self._sides.test, self._study.seed)
        for heard in itertools.islice((h for h in found if h.snr_db == _EXAMPLES_DB), 3):
            noisy = float_to_pcm(heard.mixture.noisy)
            sounds = (float_to_pcm(heard.mixture.speech), noisy, own(noisy))
            for version, sound in zip(VERSIONS, sounds, strict=True):
                audio.write_blocks(folder / f"{heard.kind}-{version}.flac", [sound])

    def ask(self, classifier: Experiment, *, decides: bool) -> dict[str, Any]:
        """What noise does to a classifier, and what taking it out does; in `recognition/NAME.json`.

        In every subject-independent fold of the classifier's first seed, the threshold of
        `auto` is chosen with the people who validated and the noises for validation, and then
        the others are tested in the noises for the test.

        Args:
            classifier: an experiment that is trained; where it knows the denoiser's corpora too,
                it is asked of none of their clips.
            decides: whether its final network's threshold is to be published.

        Returns:
            `title`, `folds`: `threshold_db` and UAR by mode and SNR, and perhaps `threshold_db`.
        """
        file = self._run.path / RECOGNITION / f"{classifier.name}.json"
        if not file.is_file():
            folds = []
            for fold, split in classifier.asked():
                threshold = self._threshold(classifier, fold, split)
                asked = self._answers(classifier, fold, split, split.test, self._sides.test)
                folds.append({"threshold_db": threshold, **grid.figures(asked, threshold)})
            said: dict[str, Any] = {"title": classifier.title, "folds": folds}
            if decides:
                said["threshold_db"] = self._threshold(classifier, *classifier.final())
            file.parent.mkdir(exist_ok=True)
            whole.write_json(file, said)
        return json.loads(file.read_text())

    def publish(self, output: Path, asked: Sequence[dict[str, Any]]) -> None:
        """Write the bundle of the first network, with what `listen` and `ask` have found.

        Args:
            output: the bundle's folder.
            asked: of each classifier; the first one's threshold is published.
        """
        published = f"{next(iter(self._study.networks))}, {self._study.conversion.kind}"
        rows = self.listen()
        metrics = {
            "published": published,
            "sound": {measure: listening.means(rows, measure) for measure in MEASURES},
            "rooms": listening.in_rooms(rows),
            "recognition": {said["title"]: said["folds"] for said in asked},
        }
        bundling.publish(self._published(), output, metrics, asked[0]["threshold_db"])

    def reproduce(self, classifiers: Iterable[Experiment], output: Path) -> None:
        """Everything, from audio to the bundle; what is done already is kept."""
        self.train()
        self.listen()
        self.show()
        asked: list[dict[str, Any]] = []
        for classifier in classifiers:
            classifier.train()
            asked.append(self.ask(classifier, decides=not asked))
            self.publish(output, asked)  # at once: the next may train with it

    @cached_property
    def _recordings(self) -> Recordings:
        study = self._study
        return recordings.gather(study.data, (), {}, study.segments, self._data, self._cache)

    @cached_property
    def _split(self) -> Split:
        """Trains and validates on some corpora, is tested on others."""
        study = self._study
        (split,) = self._recordings.splits({_PROTOCOL: [study.seed]}, study.training.validators)
        return split

    @cached_property
    def _sides(self) -> Sides:
        return sides(self._study.mixtures, self._data)

    def _utterances(self, clips: Sequence[int]) -> list[Pcm]:
        wanted = set(clips)
        return [u.samples for u in self._recordings.utterances if u.clip in wanted]

    def _tested(self) -> list[Pcm]:
        """The utterances that are listened to."""
        utterances = self._utterances(self._split.test)
        chosen = np.random.default_rng(self._study.seed).permutation(len(utterances))
        return [utterances[i] for i in chosen[: self._study.test_clips]]

    def _fold(self, name: str) -> Fold:
        return self._run.fold(_PROTOCOL, self._study.seed, name)

    def _methods(self) -> dict[str, listening.Method]:
        """Every network as it was trained, and the published one of every kind."""
        found: dict[str, listening.Method] = {}
        for name in self._study.networks:
            for kind, folder in self._bundles(name).items():
                own = denoiser.load(folder)
                found[f"{name}, {kind}"] = lambda x, own=own: pcm_to_float(own(float_to_pcm(x)))  # type: ignore[misc]
        return found

    def _published(self) -> Path:
        return self._bundles(next(iter(self._study.networks)))[self._study.conversion.kind]

    def _bundles(self, name: str) -> dict[Kind, Path]:
        """A fitted network as it is to be measured."""
        first = name == next(iter(self._study.networks))
        facts = self._run.facts
        made = {key: str(facts.get(key, "unknown")) for key in ("command", "commit")}
        return bundling.convert(
            self._study,
            self._fold(name),
            _KINDS if first else _KINDS[:1],
            self._utterances(self._split.train),
            self._sides.train,
            {
                "data": self._sources(),
                "trained_by": {**made, "config": self._study.model_dump_json()},
            },
        )

    def _threshold(self, classifier: Experiment, fold: Fold, split: Split) -> float:
        heard = self._answers(classifier, fold, split, split.validation, self._sides.validation)
        return grid.choose_threshold(heard)

    def _answers(
        self,
        classifier: Experiment,
        fold: Fold,
        split: Split,
        clips: Sequence[int],
        around: Surroundings,
    ) -> grid.Answers:
        """What a fold's published network says of some of its split's clips."""
        own = classifier.recordings
        spoken = [
            clip
            for clip in clips
            if clip in own.heard and own.clips[clip].corpus not in self._study.data.trained
        ]
        return grid.ask(
            own.played(spoken),
            own.truth(spoken),
            around,
            Classifier(bundle.load(classifier.published(fold, split))),
            denoiser.load(self._published()),
            self._study.segments,
        )

    def _sources(self) -> tuple[dict[str, str], ...]:
        """For the card: corpora, noises, rooms."""
        study = self._study
        held_out = (self._recordings.clips[i] for i in self._split.validation)
        return sources(study.data.trained, held_out, study.mixtures.sources)

    def _facts(self) -> dict[str, Any]:
        study = self._study
        return {
            "name": study.name,
            "version": study.version,
            "title": study.title or study.name,
            **self._recordings.facts,
            "notes": [*study.notes, *self._recordings.notes],
        }
