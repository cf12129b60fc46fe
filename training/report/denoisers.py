"""The part of the page that shows what a denoiser does to sound and to recognition."""

import base64
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from serd.audio import SAMPLE_RATE, Floats, pcm_to_float, read
from serd.features import FeatureSpec, extract
from training.denoising import grid, listening, tables
from training.denoising.quality import MEASURES
from training.denoising.study import EXAMPLES, RECOGNITION, SOUND, VERSIONS
from training.report.figures import BLUE, GREY, ORANGE, Axes, Figure, blank, render
from training.report.markup import Html, element, picture, terms
from training.report.markup import table as html_table
from training.tables import Table

_LEGEND = (
    ("SI-SDR", "how far what is not speech lies below it, dB, whatever the loudness."),
    ("PESQ", "quality as people would judge it, wide-band, 1 to 4.6."),
    ("STOI", "how much of it can be understood, 0 to 1."),
    ("off, on, auto", "noise is taken out of no utterance, of all, of those estimated noisy."),
)
_STYLES = ((GREY, "s"), (ORANGE, "^"), (BLUE, "o"))


@dataclass(frozen=True)
class Denoisers:
    """What a study of denoisers left in its folder."""

    path: Path

    @classmethod
    def are_in(cls, run: Path) -> bool:
        """Whether a run folder is of this kind."""
        return (run / SOUND).is_file()

    @cached_property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.path / "run.json").read_text())

    @cached_property
    def sound(self) -> list[listening.Row]:
        return listening.read(self.path / SOUND)

    @cached_property
    def recognition(self) -> dict[str, list[dict[str, Any]]]:
        """Of each classifier that was asked, by its title, the folds."""
        files = sorted((self.path / RECOGNITION).glob("*.json"))
        asked = (json.loads(file.read_text()) for file in files)
        return {said["title"]: said["folds"] for said in asked}


def tables_of(run: Denoisers) -> list[Table]:
    """Sound by measure, and recognition."""
    means = {measure: listening.means(run.sound, measure) for measure in MEASURES}
    found = [*tables.of_sound(means), tables.of_rooms(listening.in_rooms(run.sound))]
    return [*found, tables.of_recognition(run.recognition)] if run.recognition else found


def section(run: Denoisers, anchor: str, output: Path) -> Html:
    """Tables and pictures."""
    parts = [terms(_LEGEND), *map(html_table, tables_of(run))]
    name = f"{anchor}-sound"
    caption = "What is heard, before and after, by the signal-to-noise ratio before."
    parts.append(picture(render(output, name, _draw_sound, run.sound), caption, name))
    if run.recognition:
        name = f"{anchor}-recognition"
        caption = "Emotions of people never heard, in noise never heard."
        parts.append(
            picture(render(output, name, _draw_recognition, run.recognition), caption, name)
        )
    examples = element("div", *_examples(run.path / EXAMPLES, anchor, output), class_="rows")
    return element("section", element("h2", str(run.facts["title"])), *parts, examples, id=anchor)


def _draw_sound(rows: Sequence[listening.Row]) -> Figure:
    figure = blank(7.5)
    panels = figure.subplots(len(MEASURES), 1, sharex=True)
    for axes, measure in zip(panels, MEASURES, strict=True):
        means = listening.means(rows, measure)
        for marker, (method, own) in zip(itertools.cycle("sdv^oPX*"), means.items(), strict=False):
            axes.plot(list(own), list(own.values()), marker=marker, markersize=4, label=method)
        axes.set(ylabel=tables.TITLES[measure][0])
    panels[-1].set_xlabel("SNR before (dB)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _draw_recognition(asked: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    figure = blank(0.6 + 2.8 * len(asked))
    panels = figure.subplots(len(asked), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (title, folds) in zip(panels, asked.items(), strict=True):
        _draw_modes(axes, folds)
        axes.set(title=title, ylabel="UAR (%)")
    panels[-1].set_xlabel("SNR")
    panels[0].legend()
    return figure


def _draw_modes(axes: Axes, folds: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(len(grid.SNRS_DB))
    for offset, mode, (color, marker) in zip((-0.06, 0, 0.06), tables.MODES, _STYLES, strict=True):
        each = 100 * np.array(
            [[fold[mode][str(snr_db)] for snr_db in grid.SNRS_DB] for fold in folds]
        )
        axes.errorbar(
            places + offset,
            each.mean(axis=0),
            yerr=each.std(axis=0, ddof=1) if len(each) > 1 else None,
            color=color,
            marker=marker,
            capsize=2,
            label=mode,
        )
    axes.set(xticks=places, xticklabels=map(tables.snr_name, grid.SNRS_DB))


def _examples(folder: Path, anchor: str, output: Path) -> Iterator[Html]:
    """Spectrograms, and the sounds themselves."""
    for first in sorted(folder.glob(f"*-{VERSIONS[0]}.flac")):
        clip = first.name.removesuffix(f"-{VERSIONS[0]}.flac")
        sounds = [pcm_to_float(read(folder / f"{clip}-{version}.flac")) for version in VERSIONS]
        name = f"{anchor}-{clip}"
        svg = render(output, name, _draw_example, sounds)
        players = (
            element("figcaption", f"{version} ", _player(sound))
            for version, sound in zip(VERSIONS, sounds, strict=True)
        )
        yield element("div", picture(svg, clip.replace("-", " "), name), *players)


def _draw_example(sounds: Sequence[Floats]) -> Figure:
    figure = blank(6)
    panels = figure.subplots(len(sounds), 1, sharex=True)
    spec = FeatureSpec(kinds=("stft",), log_mel_scale="db")
    views = [20 * np.log10(np.maximum(extract(sound, spec), 1e-6)) for sound in sounds]
    loudest = max(view.max() for view in views)
    for axes, view, sound, version in zip(panels, views, sounds, VERSIONS, strict=True):
        axes.imshow(
            view.T,
            origin="lower",
            aspect="auto",
            extent=(0, sound.size / SAMPLE_RATE, 0, 8),
            cmap="magma",
            vmin=loudest - 80,
            vmax=loudest,
        )
        axes.set(ylabel="kHz", title=version)
        axes.grid(visible=False)
    panels[-1].set_xlabel("time (s)")
    return figure


def _player(sound: Floats) -> Html:
    """The sound itself, inside the page."""
    encoded = io.BytesIO()
    soundfile.write(encoded, sound, SAMPLE_RATE, format="OGG", subtype="OPUS")
    data = base64.b64encode(encoded.getvalue()).decode()
    return element("audio", controls="", src=f"data:audio/ogg;base64,{data}")
