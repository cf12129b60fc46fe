"""Pictures of how a system was trained and chosen."""

from collections.abc import Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

import numpy as np

from training.report.figures import BLUE, ORANGE, Figure, blank


def history(folds: Sequence[Mapping[str, Sequence[float]]]) -> Figure:
    """Loss and accuracy by epoch: each fold thin, their mean thick while most of them last."""
    figure = blank(5)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, key in zip(panels, ("loss", "accuracy"), strict=True):
        scale = 100 if key == "accuracy" else 1
        for prefix, color, label in (("", BLUE, "training"), ("val_", ORANGE, "validation")):
            kept = [fold[prefix + key] for fold in folds if fold.get(prefix + key)]
            curves = [scale * np.array(values, float) for values in kept]
            for curve in curves:
                axes.plot(range(1, len(curve) + 1), curve, color=color, alpha=0.3, linewidth=0.6)
            if curves:
                length = int(np.median([len(curve) for curve in curves]))
                by_epoch = zip_longest(*curves, fillvalue=np.nan)
                mean = [np.nanmean(values) for values in islice(by_epoch, length)]
                style = "-" if prefix else "--"
                axes.plot(range(1, length + 1), mean, style, color=color, linewidth=2, label=label)
        axes.set_ylabel("accuracy (%)" if key == "accuracy" else "loss")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    return figure


def curve(values: Sequence[Any], scores: Mapping[str, Any], label: str) -> Figure:
    """Score of training and held-out parts along a parameter or the training size.

    Args:
        values: of the parameter, or sizes in clips.
        scores: `train` and `test`, each `[values, folds]`, 0…1.
        label: of the horizontal axis.
    """
    figure = blank(3.4)
    axes = figure.subplots()
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    x = list(values) if numbers else list(range(len(values)))
    for key, color, style in (("train", BLUE, "s--"), ("test", ORANGE, "o-")):
        folds = 100 * np.array(scores[key], float).reshape(len(x), -1)
        mean, sd = folds.mean(axis=1), folds.std(axis=1, ddof=1)
        said = "training part" if key == "train" else "held-out part"
        axes.plot(x, mean, style, color=color, label=said)
        axes.fill_between(x, mean - sd, mean + sd, color=color, alpha=0.2, linewidth=0)
    if not numbers:
        axes.set_xticks(x, [str(v) for v in values])
    elif min(x) > 0 and max(x) > 20 * min(x):
        axes.set_xscale("log")
        axes.set_xticks(list(x), [f"{v:g}" for v in x])
        axes.minorticks_off()
    axes.set(xlabel=label, ylabel="score (%), mean ± sd")
    axes.legend()
    return figure
