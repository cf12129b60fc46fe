"""Logistic regression over labels of which some clips' corpora have only a few."""

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from serd.audio import Floats

_STEPS = 300


def solve(
    x: Floats, targets: Floats, known: NDArray[np.bool_], weights: Floats, penalty: float
) -> tuple[Floats, Floats]:
    """The weights and biases that make the targets likeliest.

    Args:
        x: `[n, size]`, every column of deviation about 1.
        targets: probabilities of the labels, `[n, labels]`.
        known: which labels are possible for each, `[n, labels]`; the probabilities of the others
            are neither raised nor lowered.
        weights: how much each counts, `[n]`; only their proportions matter.
        penalty: half of it times the squares of the weights is added to the mean loss.

    Returns:
        `[size, labels]`, `[labels]`.
    """
    size, labels = x.shape[1], targets.shape[1]
    share = (weights / weights.sum()).astype(np.float32)[:, None]
    barred = np.where(known, 0, -np.inf).astype(np.float32)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        own = flat.reshape(size + 1, labels).astype(np.float32)
        logits = x @ own[:size] + own[size] + barred
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        logs = np.where(known, logits - total, 0)
        error = share * (np.exp(logits - total) - targets)
        slope = np.concatenate([x.T @ error, error.sum(axis=0, keepdims=True)])
        slope[:size] += penalty * own[:size]
        value = -float((share * targets * logs).sum()) + penalty / 2 * float(
            (own[:size] ** 2).sum()
        )
        return value, slope.ravel().astype(np.float64)

    start = np.zeros((size + 1) * labels)
    found = scipy.optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    solved = found.x.reshape(size + 1, labels).astype(np.float32)
    return solved[:size], solved[size]
