"""How good a network is: per clip, as `serd classify` would answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.classifier import Classifier, softmax
from training.dataset import Utterance
from training.runs import Scores

Floats = NDArray[np.float32]


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


def figures(probabilities: Floats, labels: NDArray[np.int_]) -> dict[str, float]:
    """Accuracy, unweighted average recall and expected calibration error, 0…1."""
    heard = probabilities.sum(axis=1) > 0
    right = (probabilities.argmax(axis=1) == labels) & heard
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return {
        "accuracy": float(right.mean()),
        "uar": float(np.mean(recalls)),
        "ece": calibration_error(probabilities.max(axis=1), right),
    }


def confusion(probabilities: Floats, labels: NDArray[np.int_]) -> NDArray[np.int_]:
    """Counts `[true, heard as]`; clips without speech are left out."""
    size = probabilities.shape[1]
    heard = probabilities.sum(axis=1) > 0
    counts = np.zeros((size, size), int)
    np.add.at(counts, (labels[heard], probabilities[heard].argmax(axis=1)), 1)
    return counts


def calibration_error(confidence: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over equally wide bins.

    Reference:
        Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = places == b
        if inside.any():
            gap = abs(float(confidence[inside].mean()) - float(right[inside].mean()))
            total += gap * float(inside.mean())
    return total


def fit_temperature(logits: Floats, labels: NDArray[np.int_]) -> float:
    """The temperature that makes held-out labels most likely.

    Args:
        logits: float32 `[n, labels]` of speakers who were not trained on.
        labels: int `[n]`.
    """
    candidates = np.geomspace(0.25, 4, 81)
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(logits / t)[rows, labels] + 1e-9).mean() for t in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 3)


def choose_threshold(probabilities: Floats, uncertain_share: float) -> float:
    """The confidence below which this share of held-out utterances falls.

    Args:
        probabilities: `[n, labels]` of speakers who were not trained on, calibrated.
        uncertain_share: how much may be called uncertain, 0…1.
    """
    return round(float(np.quantile(probabilities.max(axis=1), uncertain_share)), 3)


def summary(measured: Sequence[tuple[int, Scores]]) -> dict[str, Any]:
    """Every figure over all folds and seeds.

    Args:
        measured: a seed and the scores of one of its folds, at least one.

    Returns:
        For each of `figures`: `mean` and `sd` over all (None of a single one), the `folds`
        themselves, and the mean of each of the `seeds`. `confusion`: counts over all.
    """
    each = [(seed, figures(*scores.known)) for seed, scores in measured]
    seeds = sorted({seed for seed, _ in each})
    said: dict[str, Any] = {}
    for key in each[0][1]:
        values = [fold[key] for _, fold in each]
        said[key] = {
            "mean": round(float(np.mean(values)), 4),
            "sd": round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None,
            "folds": [round(value, 4) for value in values],
            "seeds": {
                str(seed): round(float(np.mean([f[key] for s, f in each if s == seed])), 4)
                for seed in seeds
            },
        }
    counts = [confusion(*scores.known) for _, scores in measured]
    said["confusion"] = np.sum(counts, axis=0).tolist()
    return said
