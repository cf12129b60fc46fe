"""Variation of features: masks, and mixing the examples of a batch."""

import numpy as np
from numpy.random import Generator

from serd.audio import Floats
from training.targets import UNKNOWN


def mask(features: Floats, time_masks: int, frequency_masks: int, rng: Generator) -> Floats:
    """Stretches of time and groups of neighbouring features set to their mean over time.

    Args:
        features: float32 `[t, size]`.
        time_masks: how many stretches, each of up to a tenth of the time.
        frequency_masks: how many groups, each of up to an eighth of the features.
        rng: chooses widths and places; a width may be 0.

    Returns:
        float32 `[t, size]`, new.

    Reference:
        Park et al., SpecAugment, Interspeech 2019.
    """
    x = features.copy()
    length, size = x.shape
    mean = x.mean(axis=0)
    for _ in range(time_masks):
        width = int(rng.integers(0, length // 10 + 1))
        start = int(rng.integers(0, length - width + 1))
        x[start : start + width] = mean
    for _ in range(frequency_masks):
        width = int(rng.integers(0, size // 8 + 1))
        start = int(rng.integers(0, size - width + 1))
        x[:, start : start + width] = mean[start : start + width]
    return x


def mixup(
    inputs: dict[str, Floats], targets: Floats, alpha: float, rng: Generator
) -> tuple[dict[str, Floats], Floats]:
    """Each example mixed with another one of the batch, and its target likewise.

    An example's share is at least one half, and it has the same partner and the same share in
    all inputs. Of masks (`mask`, `…_mask`) the larger holds: what either example fills is filled.

    Args:
        inputs: name → float32 `[b, …]`.
        targets: float32 `[b, labels]`, or `[b, 1, labels]` where some are `UNKNOWN`.
        alpha: of the beta distribution of the shares, above 0; near 0 hardly anything is mixed.
        rng: chooses shares and partners.

    Returns:
        Inputs and targets of the same shapes, new; but `[b, 2, labels]` where some are unknown:
        they are not the same ones in both examples, so that the two stay apart in the loss.

    Reference:
        Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """
    share = rng.beta(alpha, alpha, len(targets)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    partner = rng.permutation(len(targets))

    def shares(x: Floats) -> tuple[Floats, Floats]:
        own = share.reshape(-1, *[1] * (x.ndim - 1))
        return own * x, (1 - own) * x[partner]

    mixed = {
        name: np.maximum(x, x[partner]) if name.endswith("mask") else np.add(*shares(x))
        for name, x in inputs.items()
    }
    if targets.ndim == 2:
        return mixed, np.add(*shares(targets))
    both = np.concatenate(shares(targets), axis=1)
    unknown = np.concatenate([targets, targets[partner]], axis=1) == UNKNOWN
    return mixed, np.where(unknown, UNKNOWN, both)
