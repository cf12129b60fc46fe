"""How good a network is: per clip, as `serd classify` would answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from serd.classifier import Classifier, softmax
from training.dataset import Utterance
from training.runs import Scores

_BINS = 10
"""Of confidence."""


def per_clip(
    classifier: Classifier, utterances: Sequence[Utterance], clips: Sequence[int]
) -> Floats:
    """Probabilities `[clips, labels]` by the daemon's own code, as `serd classify` answers."""
    wanted = set(clips)
    own = [u for u in utterances if u.clip in wanted]
    rows = [list(classifier.classify(u.samples).scores.values()) for u in own]
    size = len(classifier.card.labels)
    return by_clip(np.array(rows, np.float32).reshape(-1, size), own, clips)


def by_clip(probabilities: Floats, utterances: Sequence[Utterance], clips: Sequence[int]) -> Floats:
    """Each clip's mean over its utterances, weighted by their length.

    Args:
        probabilities: `[utterances, labels]`.
        utterances: of these clips.
        clips: their indices, in the order of the answer.

    Returns:
        float32 `[clips, labels]`; zeros where no speech was found, which counts as an error.
    """
    places = {clip: row for row, clip in enumerate(clips)}
    total = np.zeros((len(clips), probabilities.shape[1]))
    lengths = np.zeros((len(clips), 1))
    for row, utterance in zip(probabilities, utterances, strict=True):
        total[places[utterance.clip]] += row * utterance.samples.size
        lengths[places[utterance.clip]] += utterance.samples.size
    return (total / np.maximum(lengths, 1)).astype(np.float32)


def right(probabilities: Floats, truth: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Which clips were recognised; one in which no speech was found was not."""
    return (probabilities.argmax(axis=1) == truth) & (probabilities.sum(axis=1) > 0)


def figures(probabilities: Floats, labels: NDArray[np.int_]) -> dict[str, float]:
    """Accuracy, unweighted average recall and expected calibration error, 0…1."""
    correct = right(probabilities, labels)
    recalls = [correct[labels == label].mean() for label in np.unique(labels)]
    return {
        "accuracy": float(correct.mean()),
        "uar": float(np.mean(recalls)),
        "ece": calibration_error(probabilities.max(axis=1), correct),
    }


def confusion(probabilities: Floats, labels: NDArray[np.int_]) -> NDArray[np.int_]:
    """Counts `[true, heard as]`; clips without speech are left out."""
    size = probabilities.shape[1]
    heard = probabilities.sum(axis=1) > 0
    counts = np.zeros((size, size), int)
    np.add.at(counts, (labels[heard], probabilities[heard].argmax(axis=1)), 1)
    return counts


@dataclass(frozen=True)
class Reliability:
    """Clips grouped by confidence in equally wide bins; empty bins are left out."""

    confidence: NDArray[np.float64]
    """Mean of each bin, 0…1."""
    accuracy: NDArray[np.float64]
    share: NDArray[np.float64]
    """Of all clips."""


def reliability(confidence: Any, correct: NDArray[np.bool_]) -> Reliability:
    """How often what was said with some confidence was right.

    Args:
        confidence: `[clips]`, 0…1.
        correct: `[clips]`.
    """
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    filled = counts > 0
    sums = (np.bincount(places, w, minlength=_BINS)[filled] for w in (confidence, correct))
    means = [total / counts[filled] for total in sums]
    return Reliability(means[0], means[1], counts[filled] / counts.sum())


def calibration_error(confidence: Any, correct: NDArray[np.bool_]) -> float:
    """Mean distance of confidence and accuracy over equally wide bins.

    Reference:
        Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    found = reliability(confidence, correct)
    return float((found.share * np.abs(found.accuracy - found.confidence)).sum())


def by_window(logits: Sequence[Floats], temperature: float) -> NDArray[np.float64]:
    """Each utterance's mean over its windows, as `serd.classifier` answers.

    Args:
        logits: of each utterance float32 `[windows, labels]`.
        temperature: they are divided by it.

    Returns:
        Probabilities `[utterances, labels]`.
    """
    counts = np.array([len(windows) for windows in logits])
    each = softmax(np.concatenate(logits) / temperature).astype(np.float64)
    return np.add.reduceat(each, np.cumsum(counts) - counts) / counts[:, None]


def fit_temperature(logits: Sequence[Floats], labels: NDArray[np.int_]) -> float:
    """The temperature that makes held-out labels most likely.

    Args:
        logits: of each utterance float32 `[windows, labels]`, of speakers not trained on.
        labels: int `[utterances]`.
    """
    candidates = np.geomspace(0.25, 4, 81)
    rows = np.arange(len(labels))
    losses = [-np.log(by_window(logits, t)[rows, labels] + 1e-9).mean() for t in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 3)


def summary(measured: Sequence[tuple[int, Scores]]) -> dict[str, Any]:
    """Every figure over all folds and seeds.

    Args:
        measured: a seed and the scores of one of its folds, at least one.

    Returns:
        For each of `figures`: `mean` and `sd` over all (None of a single one), the `folds`
        themselves, and the mean of each of the `seeds`. `confusion`: counts over all. `sexes` and
        `speakers`: `figures` of each one's clips, of all seeds.
    """
    each = [(seed, figures(*scores.known)) for seed, scores in measured]
    seeds = sorted({seed for seed, _ in each})
    said: dict[str, Any] = {}
    for key in each[0][1]:
        said[key] = {
            **spread([fold[key] for _, fold in each]),
            "seeds": {
                str(seed): round(float(np.mean([f[key] for s, f in each if s == seed])), 4)
                for seed in seeds
            },
        }
    counts = [confusion(*scores.known) for _, scores in measured]
    said["confusion"] = np.sum(counts, axis=0).tolist()
    probabilities, truth = (
        np.concatenate(x) for x in zip(*(s.known for _, s in measured), strict=True)
    )
    for key in ("sexes", "speakers"):
        groups = [name for _, scores in measured for name in getattr(scores, key)]
        found = by_group(groups, probabilities, truth)
        said[key] = {
            group: {name: round(value, 4) for name, value in own.items()}
            for group, own in found.items()
        }
    return said


def by_group(
    groups: Iterable[str], probabilities: Floats, labels: NDArray[np.int_]
) -> dict[str, dict[str, float]]:
    """Figures of the clips of each group, as of each sex or speaker; `[clips]` and `[clips, …]`."""
    names = np.array(list(groups))
    each = {str(name): names == name for name in np.unique(names)}
    return {name: figures(probabilities[own], labels[own]) for name, own in each.items()}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Of a figure of every fold: `mean`, `sd` (None of a single one) and the `folds` themselves."""
    return {
        "mean": round(float(np.mean(values)), 4),
        "sd": round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None,
        "folds": [round(value, 4) for value in values],
    }
