"""The report's pictures: the only place that knows matplotlib.

Letters are drawn in `INK`, which becomes the colour of the page's text, and the ground is
transparent, so that a picture suits light and dark pages. Blue and orange differ for every kind
of colour vision, and shapes differ too.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from serd.wording import reason
from training.report.systems import ReportError

__all__ = ["BLUE", "GREY", "INK", "ORANGE", "SHARES", "Axes", "Figure", "blank", "render"]

INK = "#020202"
BLUE, ORANGE, GREY = "#3b82c4", "#d9730d", "#808080"
WIDTH = 4.6
"""Inches: letters of 10 points stay readable where a phone shows this across."""
SHARES = LinearSegmentedColormap.from_list("shares", [(0.13, 0.4, 0.67, a) for a in (0, 1)])
"""From nothing to blue; what is light lets the ground through."""
_STYLE = {
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # names may hold any sign
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "serd",  # the same picture is the same file
}


def render(folder: Path, name: str, draw: Callable[..., Figure], *arguments: Any) -> str:
    """Draw a picture, write it as PNG (on white), and give it as an SVG element.

    Args:
        folder: where `NAME.png` goes.
        name: unique in the page: every id in the element begins with it.
        draw: makes it.
        arguments: of `draw`.

    Raises:
        ReportError: the file cannot be written.
    """
    written = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure = draw(*arguments)
        try:
            figure.savefig(folder / f"{name}.png", dpi=150, facecolor="white")
        except OSError as error:
            raise ReportError(f"{folder / name}.png: {reason(error)}") from error
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", dpi=80, transparent=True, metadata=nothing)
    text = written.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # would hold for the page
    text = re.sub(r' (xmlns|xmlns:xlink|width="[\d.]+pt" height)="[^"]*"', "", text, count=3)
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)


def blank(height: float) -> Figure:
    """An empty picture, `height` inches high."""
    return Figure(figsize=(WIDTH, height), layout="constrained")
