"""A picture of a recording: its sound, its utterances and their emotions."""

from pathlib import Path

import numpy as np

from serd.audio import SAMPLE_RATE, pcm_to_float, read
from serd.recording import Recording


class PlotError(Exception):
    """No picture can be drawn; one line."""


def draw(recording: Recording, path: Path) -> None:
    """Write a PNG.

    Raises:
        PlotError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError("--plot needs matplotlib: install serd[plot]") from error
    sound = pcm_to_float(read(recording.path))
    labels = list(recording.whole.scores) if recording.whole else []
    figure = Figure(figsize=(10, 5), layout="constrained")
    wave, scores = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.4])
    wave.plot(np.arange(sound.size) / SAMPLE_RATE, sound, color="0.4", linewidth=0.4)
    wave.set(title=recording.path.name, ylabel="amplitude", xlim=(0, recording.duration_s))
    for part in recording.parts:
        emotion = f"{part.prediction.emotion} {part.prediction.confidence:.0%}"
        wave.axvspan(part.start_s, part.end_s, color="tab:blue", alpha=0.15)
        middle = (part.start_s + part.end_s) / 2
        wave.annotate(
            emotion, (middle, 0.95), xycoords=("data", "axes fraction"), ha="center", va="top"
        )
        column = np.array(list(part.prediction.scores.values()))[:, None]
        edges = [part.start_s, part.end_s], np.arange(len(labels) + 1) - 0.5
        mesh = scores.pcolormesh(*edges, column, vmin=0, vmax=1, cmap="Blues")
    scores.set(yticks=range(len(labels)), yticklabels=labels, xlabel="time (s)")
    scores.invert_yaxis()
    if recording.parts:
        figure.colorbar(mesh, ax=scores, label="probability", pad=0.01)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise PlotError(f"{path}: {error}") from error
