"""A whole experiment: every fold and the final network, from audio to bundle.

Its run folder keeps what is done, so that a run that was cut off goes on where it was.
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd import bundle
from serd.bundle import Card, Input
from serd.classifier import Classifier, softmax
from training import corpora, evaluate
from training.card import readme
from training.config import Config
from training.convert import Kind, to_tflite
from training.corpora import ravdess
from training.corpora.clip import EMOTIONS, Clip
from training.dataset import Utterance, utterances
from training.splits import Split, by_speaker

PROTOCOL = "ravdess subject-independent"
FINAL = "final"
_CALIBRATION = 200
"""Utterances of training speakers that give the int8 ranges."""


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
        self._run = run
        self._cache = cache
        self._command = command

    @cached_property
    def clips(self) -> list[Clip]:
        return [c for name in self._config.data.corpora for c in corpora.load(name, self._data)]

    @cached_property
    def labels(self) -> NDArray[np.int_]:
        """Places in `EMOTIONS`, int `[clips]`."""
        return np.array([EMOTIONS.index(clip.emotion) for clip in self.clips])

    @cached_property
    def heard(self) -> list[Utterance]:
        return utterances(self.clips, self._config.features, self._config.segments, self._cache)

    @cached_property
    def splits(self) -> list[Split]:
        """The folds, then the final one, which tests on nobody."""
        options = self._config.training
        tests = {f"fold-{n}": fold for n, fold in enumerate(ravdess.FOLDS, 1)} | {FINAL: ()}
        return [
            by_speaker(
                self.clips,
                name,
                [ravdess.speaker(actor) for actor in actors],
                options.validators,
                options.seed,
            )
            for name, actors in tests.items()
        ]

    def train(self) -> None:
        """Train what is not trained yet."""
        from training.train import fit

        self._run.mkdir(parents=True, exist_ok=True)
        (self._run / "config.json").write_text(self._config.model_dump_json(indent=2))
        for split in self.splits:
            print(f"{self._config.name}: {split.name}", flush=True)
            own = self._of(split.train)
            labels = self.labels[[u.clip for u in own]]
            fit(self._config, own, labels, len(EMOTIONS), self._run / split.name)

    def evaluate(self) -> dict[str, Any]:
        """Convert each fold's network and measure it by the daemon's code on its test speakers."""
        kinds: tuple[Kind, ...] = ("float32", "int8")
        said: dict[str, Any] = {}
        for kind in kinds:
            folds = []
            counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), int)
            for split in self.splits[:-1]:
                classifier = self._classifier(split, kind)
                probabilities = evaluate.per_clip(classifier, self.heard, split.test)
                truth = self.labels[list(split.test)]
                folds.append(evaluate.figures(probabilities, truth))
                counts += evaluate.confusion(probabilities, truth)
                print(f"{split.name} {kind}: {_percent(folds[-1])}", flush=True)
            said[kind] = evaluate.mean_sd(folds) | {"confusion": counts.tolist()}
        (self._run / "results.json").write_text(json.dumps(said, indent=2))
        return said

    def bundle(self, output: Path, metrics: dict[str, Any]) -> None:
        """Write the final network's bundle."""
        split = self.splits[-1]
        folder = self._bundle(split, "int8", metrics)
        output.mkdir(parents=True, exist_ok=True)
        for name in (bundle.MODEL_FILE, bundle.CARD_FILE):
            (output / name).write_bytes((folder / name).read_bytes())
        (output / "README.md").write_text(readme(bundle.read_card(folder)))

    def _of(self, clips: Sequence[int]) -> list[Utterance]:
        wanted = set(clips)
        return [u for u in self.heard if u.clip in wanted]

    def _classifier(self, split: Split, kind: Kind) -> Classifier:
        return Classifier(bundle.load(self._bundle(split, kind, {})))

    def _bundle(self, split: Split, kind: Kind, metrics: dict[str, Any]) -> Path:
        """A split's network as a bundle, calibrated on its validation speakers."""
        folder = self._run / split.name / kind
        file = folder / bundle.MODEL_FILE
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(self._config.training.seed)
            own = self._of(split.train)
            calibration = [own[i] for i in rng.permutation(len(own))[:_CALIBRATION]]
            length = self._config.data.window_frames
            to_tflite(self._run / split.name / "model.keras", kind, calibration, length, file)
        card = self._card(file, kind, metrics)
        self._write_card(folder, card)
        temperature, threshold = self._calibrate(Classifier(bundle.load(folder)), split)
        update = {"temperature": temperature, "uncertain_below": threshold}
        self._write_card(folder, card.model_copy(update=update))
        return folder

    def _calibrate(self, classifier: Classifier, split: Split) -> tuple[float, float]:
        """Temperature and threshold, from speakers that were not trained on."""
        held_out = self._of(split.validation)
        logits = np.stack([classifier.logits(u.samples) for u in held_out])
        temperature = evaluate.fit_temperature(logits, self.labels[[u.clip for u in held_out]])
        share = self._config.training.uncertain_share
        return temperature, evaluate.choose_threshold(softmax(logits / temperature), share)

    def _card(self, file: Path, kind: Kind, metrics: dict[str, Any]) -> Card:
        config = self._config
        held_out = sorted({self.clips[i].speaker for i in self.splits[-1].validation})
        return Card(
            name=config.name,
            version=config.version,
            labels=EMOTIONS,
            inputs=(
                Input(name="log_mel", features=config.features),
                Input(name="mask", mask_of="log_mel"),
            ),
            quantization=kind,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            data=tuple(
                {"name": name, **corpora.LICENCES[name], "held_out": ", ".join(held_out)}
                for name in config.data.corpora
            ),
            licence="CC BY-NC-SA 4.0, as its training data: not for commercial use",
            metrics={PROTOCOL: metrics} if metrics else {},
            trained_by={
                "command": self._command,
                "config": config.model_dump_json(),
                "commit": _commit(),
            },
        )

    @staticmethod
    def _write_card(folder: Path, card: Card) -> None:
        (folder / bundle.CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")


def _commit() -> str:
    """The commit that this was made from, marked when files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _percent(figures: dict[str, float]) -> str:
    return ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
