"""From a trained network to a bundle: converted, calibrated, described, compared."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serd import bundle
from serd.audio import SAMPLE_RATE
from serd.bundle import Bundle, Card, Facts, Input
from serd.classifier import Classifier, Floats, softmax
from serd.tflite import Network
from training import corpora, evaluate, whole
from training.card import readme
from training.config import Config, Pretrained
from training.convert import Kind, to_tflite
from training.corpora.clip import Clip
from training.dataset import Examples
from training.runs import Fold
from training.targets import Targets

_CALIBRATION = 200
"""Utterances of training speakers that give the int8 ranges."""


class BundlingError(Exception):
    """A bundle that would replace something else; one line."""


def convert(
    config: Config, fold: Fold, kinds: Iterable[Kind], own: Examples, held_out: Examples
) -> dict[Kind, Path]:
    """A fold's network as bundles, those that it is not already.

    Args:
        config: that it was trained by.
        fold: with a trained network.
        kinds: what weights and activations become.
        own: what it was trained on, for the ranges of activations.
        held_out: of speakers it was not trained on, for temperature and threshold.

    Returns:
        Kind → the bundle's folder, `KIND` in the fold's; where the data come from is not in
        these cards.

    Raises:
        RunError: the fold has no network yet.
        ConversionError: as in `convert`.
    """
    folders = {kind: fold.path / kind for kind in kinds}
    files = {
        kind: folder / bundle.MODEL_FILE
        for kind, folder in folders.items()
        if not (folder / bundle.CARD_FILE).is_file()
    }
    if files:
        model = fold.model
        for file in files.values():
            file.parent.mkdir(exist_ok=True)
        examples = _calibration_inputs(config, own, fold)
        to_tflite(model, examples, files, config.conversion.float_ops)
    for kind, file in files.items():
        card = Card(
            name=config.name,
            version=config.version,
            labels=config.labels,
            inputs=_inputs(config, fold.adaptation),
            outputs=("scores", "embedding") if fold.adaptation else ("scores",),
            adaptation=fold.adaptation,
            quantization=kind,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        lacking = Targets(config, own).lacking(held_out)
        said_of = _logits(Classifier(Bundle(card, Network(file), file.parent)), held_out)
        # Nobody can tell whether what is never called calm in its corpus was calm.
        logits = [np.where(out, -np.inf, x) for out, x in zip(lacking, said_of, strict=True)]
        temperature = evaluate.fit_temperature(logits, held_out.labels)
        said = evaluate.by_window(logits, temperature).max(axis=1)
        threshold = round(float(np.quantile(said, config.training.uncertain_share)), 3)
        fitted = {"temperature": temperature, "uncertain_below": threshold}
        write(card.model_copy(update=fitted), file.parent)
    return folders


def publish(config: Config, folder: Path, output: Path, facts: dict[str, Any]) -> None:
    """Copy a bundle to where people find it, with its card for people.

    Args:
        config: as it is now: name, version and reasons may be newer than the training.
        folder: of a bundle that `convert` made.
        output: where to.
        facts: for the card: `data`, `metrics`, `trained_by`.

    Raises:
        BundlingError: there is something else already, or nothing can be written.
    """
    named = {
        "name": config.name,
        "version": config.version,
        "licence": licence(config.data.trained),
        **facts,
    }
    card = bundle.read_card(folder).model_copy(update=named)
    copy(folder, output, card, readme(card))


def copy(folder: Path, output: Path, card: Facts, about: str) -> None:
    """A bundle's network with this card and this text for people; raises BundlingError."""
    check_output(output)
    whole.write(output / bundle.MODEL_FILE, (folder / bundle.MODEL_FILE).read_bytes())
    write(card, output)
    whole.write(output / "README.md", about)


def write(card: Facts, folder: Path) -> None:
    """A card, as `bundle.read_any_card` reads it."""
    whole.write(folder / bundle.CARD_FILE, card.model_dump_json(indent=2) + "\n")


def licence(names: Sequence[str]) -> str:
    """Of a network that was trained on these corpora."""
    licences = dict.fromkeys(corpora.licence(name)["licence"] for name in names)
    use = ": not for commercial use" if any("NC" in own for own in licences) else ""
    return f"{' and '.join(licences)}, as its training data{use}"


def check_output(output: Path) -> None:
    """Make sure that a bundle may be written there; raises BundlingError."""
    if output.is_dir() and any(output.iterdir()) and not (output / bundle.CARD_FILE).is_file():
        raise BundlingError(f"{output}: holds something that is no bundle; name another folder")
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise BundlingError(f"{output}: cannot be written; name another folder")


def parity(
    config: Config, network: Any, folders: Mapping[Kind, Path], held_out: Examples
) -> dict[str, Any]:
    """How far conversion moved the probabilities of held-out speakers' utterances.

    Args:
        config: of the network.
        network: as Keras trained it.
        folders: bundles made of it.
        held_out: utterances; of long ones the first window.

    Returns:
        Kind → the largest and the mean difference of a probability, the share of utterances
        with the same best label, and the UAR; for `keras` only the latter.
    """
    from training.train import predict

    truth = held_out.labels
    adaptation = bundle.read_card(next(iter(folders.values()))).adaptation
    baseline = None if adaptation is None else np.array(adaptation.mean, np.float32)
    expected = softmax(predict(network, held_out.utterances, config, baseline))
    said: dict[str, Any] = {"utterances": len(truth)}
    said["keras"] = {"uar": round(evaluate.figures(expected, truth)["uar"], 4)}
    for kind, folder in folders.items():
        first = [rows[0] for rows in _logits(Classifier(bundle.load(folder)), held_out)]
        found = softmax(np.stack(first))
        moved = np.abs(found - expected)
        said[kind] = {
            "max_difference": round(float(moved.max()), 5),
            "mean_difference": round(float(moved.mean()), 6),
            "same_label": round(float((found.argmax(1) == expected.argmax(1)).mean()), 4),
            "uar": round(evaluate.figures(found, truth)["uar"], 4),
        }
    return said


def cost(network: Any, folders: Mapping[Kind, Path]) -> dict[str, Any]:
    """Parameters, multiplications, bytes, and milliseconds for 3 s of sound, for `run.json`."""
    from training.cost import macs, quantiles_ms

    noise = np.random.default_rng(0).normal(0, 3000, 3 * SAMPLE_RATE).astype(np.int16)
    latency = {}
    for kind, folder in folders.items():
        classifier = Classifier(bundle.load(folder))
        latency[kind] = quantiles_ms(lambda c=classifier: c.classify(noise))  # type: ignore[misc]
    sizes = {kind: (f / bundle.MODEL_FILE).stat().st_size for kind, f in folders.items()}
    return {
        "parameters": int(network.count_params()),
        "macs": macs(network),
        "sizes": sizes,
        "latency_ms": latency,
    }


def sources(
    names: Iterable[str], held_out: Iterable[Clip], others: Iterable[Pretrained]
) -> tuple[dict[str, str], ...]:
    """What the card says of corpora, of who was kept out of them, and of what else went in."""
    kept_out: dict[str, set[str]] = {name: set() for name in names}
    for clip in held_out:
        kept_out[clip.corpus].add(clip.speaker)
    heard = [
        {"name": name, **corpora.licence(name), "held_out": ", ".join(sorted(people))}
        for name, people in kept_out.items()
    ]
    return (*heard, *(table.model_dump() for table in others))


def _logits(classifier: Classifier, examples: Examples) -> list[Floats]:
    return [classifier.logits(u.samples) for u in examples.utterances]


def _calibration_inputs(config: Config, own: Examples, fold: Fold) -> dict[str, Floats]:
    from training.batches import stacked

    rng = np.random.default_rng(fold.seed)
    chosen = rng.permutation(len(own.utterances))[:_CALIBRATION]
    baselines = None
    if adaptation := fold.adaptation:  # as far apart as voices are
        deviation = np.sqrt(adaptation["spread"])
        drawn = rng.normal(adaptation["mean"], deviation, (len(chosen), deviation.size))
        baselines = drawn.astype(np.float32)
    return stacked([own.utterances[i] for i in chosen], config.inputs, baselines)


def _inputs(config: Config, adaptation: Mapping[str, Any] | None) -> tuple[Input, ...]:
    found = []
    for name, window in config.inputs.items():
        found.append(Input(name=name, features=window.features))
        if window.frames is not None:
            found.append(Input(name=f"{name}_mask", mask_of=name))
    if adaptation is not None:
        found.append(Input(name="baseline", baseline=len(adaptation["mean"])))
    return tuple(found)
