"""Pictures of how well a system does."""

from collections.abc import Sequence

import numpy as np

from training.evaluate import Reliability
from training.report.figures import BLUE, GREY, INK, ORANGE, SHARES, Figure, blank
from training.report.measures import Doubles, RiskCoverage

_SEXES = {"female": (BLUE, "o"), "male": (ORANGE, "^"), "unknown": (GREY, "s")}
_NAMED_SPEAKERS = 32
_POINTS = 250


def comparison(
    names: Sequence[str], pairs: Sequence[Sequence[Sequence[float]]], chances: Sequence[float]
) -> Figure:
    """UAR of each system, random and subject-independent, and what guessing would reach.

    Args:
        names: of the systems, from top to bottom.
        pairs: for each, the UARs by the random and by the subject-independent protocol, 0…1.
        chances: UAR of guessing, 0…1.
    """
    figure = blank(1.1 + 0.55 * len(names))
    axes = figure.subplots()
    rows = np.arange(len(names))
    for side, (color, marker, label) in enumerate(
        ((ORANGE, "s", "random"), (BLUE, "o", "subject-independent"))
    ):
        known = [100 * np.array(pair[side]) for pair in pairs]
        mean = np.array([uar.mean() if uar.size else np.nan for uar in known])
        sd = np.array([uar.std(ddof=1) if uar.size > 1 else 0 for uar in known])
        y = rows + (side - 0.5) * 0.26
        axes.errorbar(mean, y, xerr=sd, fmt=marker, color=color, label=label, capsize=2)
    axes.plot(100 * np.array(chances), rows, "|", color=INK, markersize=14, label="guessing")
    for row, name in enumerate(names):
        axes.text(1, row - 0.3, name, va="bottom")  # above its row: names are long
    axes.set(yticks=[], xlim=(0, 100), xlabel="UAR (%), mean ± sd")
    axes.set_ylim(len(names) - 0.5, -0.9)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, handletextpad=0.2, columnspacing=1)
    return figure


def confusion(shares: Doubles, labels: Sequence[str]) -> Figure:
    """Heard as, in percent of each true label: `[labels, labels + 1]`, the last is no speech."""
    columns = [*labels, "no speech"] if np.nansum(shares[:, -1]) else list(labels)
    shares = np.nan_to_num(shares[:, : len(columns)])
    figure = blank(1.3 + 0.4 * len(labels))
    axes = figure.subplots()
    axes.pcolormesh(shares, cmap=SHARES, vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            color="white" if share > 0.6 else INK,
            alpha=1 if share >= 0.005 else 0.35,
        )
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=45, ha="right")
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels)
    axes.set(xlabel="heard as", ylabel="played")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return figure


def speakers(names: Sequence[str], sexes: Sequence[str], accuracies: Sequence[float]) -> Figure:
    """Accuracy (0…1) of each speaker, best on top; dashed lines are the means of the sexes."""
    order = np.argsort(accuracies, kind="stable")
    named = len(names) <= _NAMED_SPEAKERS
    figure = blank(1.1 + 0.17 * len(names) if named else 5)
    axes = figure.subplots()
    place = {int(index): row for row, index in enumerate(order)}
    for sex, (color, marker) in _SEXES.items():
        own = [i for i, s in enumerate(sexes) if (s if s in _SEXES else "unknown") == sex]
        if own:
            x = [100 * accuracies[i] for i in own]
            axes.plot(x, [place[i] for i in own], marker, color=color, label=sex, clip_on=False)
            axes.axvline(float(np.mean(x)), color=color, linestyle="--", linewidth=1)
    if named:
        axes.set_yticks(range(len(names)), [names[i] for i in order], fontsize=8)
    else:
        axes.set(yticks=[], ylabel=f"{len(names)} speakers")
    axes.set(xlim=(0, 100), xlabel="accuracy (%)")
    axes.margins(y=0.02)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def reliability(after: Reliability, before: Reliability | None, errors: Sequence[float]) -> Figure:
    """Accuracy by confidence where at least 0.5 % of the clips had it, and how many had it.

    Args:
        after: with the temperature.
        before: without; None where none was fitted.
        errors: ECE after and before, 0…1.
    """
    figure = blank(5.1)
    axes, shares = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", label="perfectly calibrated")
    lines = [
        (after, BLUE, "o-", "after" if before else "as given"),
        (before, ORANGE, "s--", "before"),
    ]
    for (found, color, style, when), error in zip(lines, [*errors, 0], strict=False):
        if found:
            # Of few clips the accuracy says nothing, and of those without speech nothing was said.
            enough = (found.share >= 0.005) & (found.confidence > 0)
            x, y = 100 * found.confidence[enough], 100 * found.accuracy[enough]
            label = f"{when}, ECE {100 * error:.1f} %"
            axes.plot(x, y, style, color=color, label=label, fillstyle="none")
            offset, hatch = (0, "") if found is after else (3.2, "///")
            left = 10 * np.floor(10 * np.minimum(found.confidence, 0.999)) + 1.8 + offset
            shares.bar(left, 100 * found.share, 3.2, align="edge", color=color, hatch=hatch)
    axes.set(ylabel="accuracy (%)", ylim=(0, 100), xlim=(0, 100))
    shares.set(xlabel="confidence (%)", ylabel="clips (%)")
    figure.legend(loc="outside upper left")
    return figure


def risk_coverage(found: RiskCoverage) -> Figure:
    """Errors among the clips that are answered, when the least certain are refused."""
    figure = blank(3.4)
    axes = figure.subplots()
    few = np.linspace(0, len(found.risk) - 1, _POINTS).astype(int)
    x, y = 100 * found.coverage[few], 100 * found.risk[few]
    axes.plot(x, y, color=BLUE, linewidth=2)
    axes.fill_between(x, y, color=BLUE, alpha=0.15, linewidth=0)
    axes.axhline(100 * found.risk[-1], color=GREY, linestyle=":")
    axes.set(xlim=(0, 100), xlabel="clips answered (%)", ylabel="errors among them (%)")
    axes.set_ylim(0, None)
    return figure
