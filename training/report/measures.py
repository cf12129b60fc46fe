"""What the probabilities of test clips tell beyond accuracy: pure functions of arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from training.evaluate import confusion

Doubles = NDArray[np.float64]
Truth = NDArray[np.int_]


def per_class(probabilities: Floats, truth: Truth) -> Doubles:
    """Precision, recall, F1 (0…1) and number of clips of each label.

    Returns:
        float64 `[labels, 4]`; NaN where there is nothing to divide by.
    """
    from sklearn.metrics import precision_recall_fscore_support

    # A clip without speech is heard as no label: it lowers the recall and no precision.
    heard_as = np.where(probabilities.sum(axis=1) > 0, probabilities.argmax(axis=1), -1)
    every = range(probabilities.shape[1])
    said = precision_recall_fscore_support(truth, heard_as, labels=every, zero_division=np.nan)
    return np.stack(said, axis=1).astype(np.float64)


def confusion_shares(probabilities: Floats, truth: Truth) -> Doubles:
    """How the clips of each label were heard, 0…1, each row summing to 1.

    Returns:
        float64 `[labels, labels + 1]`: the last column is "no speech was found"; NaN in the
        row of a label without clips.
    """
    size = probabilities.shape[1]
    silent = np.bincount(truth[probabilities.sum(axis=1) == 0], minlength=size)
    counts = np.column_stack([confusion(probabilities, truth), silent])
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def before_temperature(probabilities: Floats, temperature: float) -> Doubles:
    """Undo a temperature: softmax(z) from softmax(z / T), as softmax(z / T) ** T, normalised.

    Exact for one softmax; for a mean over several windows it is an approximation.

    Args:
        probabilities: `[clips, labels]`; rows of zeros stay.
        temperature: T, above 0.
    """
    raised = probabilities.astype(np.float64) ** temperature
    total = raised.sum(axis=1, keepdims=True)
    return np.divide(raised, total, out=np.zeros_like(raised), where=total > 0)


@dataclass(frozen=True)
class RiskCoverage:
    """The error among the clips that are answered, the least certain being refused first."""

    coverage: Doubles
    """Answered, share of all clips: 1/n, 2/n, …, 1."""
    risk: Doubles
    """Errors, share of the answered."""
    area: float
    """Mean risk over all coverages; 0 is perfect."""


def risk_coverage(confidence: Any, correct: NDArray[np.bool_]) -> RiskCoverage:
    """Risk at every coverage.

    Clips of equal confidence share their errors evenly, so that their order does not matter.

    Reference:
        Geifman, Uziel and El-Yaniv, Bias-reduced uncertainty estimation for deep neural
        classifiers, ICLR 2019.
    """
    _, groups, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    errors = np.bincount(groups, ~correct) / counts
    answered = np.arange(1, len(correct) + 1)
    risk = np.repeat(errors, counts).cumsum() / answered
    return RiskCoverage(answered / len(correct), risk, float(risk.mean()))
