"""What a clip looks like: its waveform, and what is computed of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from serd.audio import SAMPLE_RATE, AudioError, Floats, pcm_to_float, read
from serd.features import FeatureSpec, Kind, extract
from serd.filterbanks import hz_to_mel
from training.corpora.clip import EMOTIONS, Clip
from training.report.figures import GREY, Figure, blank, render
from training.report.markup import Html, element, picture, slug, terms

# Longer windows for pitch classes: at 400 samples a bin of 40 Hz spans several low semitones.
_N_FFT: dict[Kind, int] = {"chroma": 2048}
_HOP = FeatureSpec().hop_length
_FLOOR_DB = -80
_LEGEND = (
    ("Waveform", "the sound pressure as recorded, 1 being the loudest a file can hold."),
    ("Spectrogram", "each frequency, dB from the loudest, every 10 ms, from windows of 25 ms."),
    ("Mel", "the same in 80 bands as wide as the ear's; this is what most networks here see."),
    ("MFCC", "the shape of each mel column in few numbers; the first is loudness, not shown."),
    ("Chroma", "energy by pitch class of any octave, of the strongest; windows of 128 ms."),
)


def first_of_each(clips: Sequence[Clip]) -> list[Clip]:
    """One clip for each emotion, in the order of `EMOTIONS`."""
    found: dict[str, Clip] = {}
    for clip in clips:
        found.setdefault(clip.emotion, clip)
    return [found[emotion] for emotion in EMOTIONS if emotion in found]


def section(clips: Sequence[Clip], folder: Path) -> Html:
    """The part of the page that shows one clip of each emotion."""
    grid = element("div", *_pictures(first_of_each(clips), folder), class_="rows")
    title = element("h2", "What the sound looks like")
    return element("section", title, terms(_LEGEND), grid, id="sounds")


def _pictures(clips: Sequence[Clip], folder: Path) -> Iterator[Html]:
    for clip in clips:
        name = slug(f"sound-{clip.emotion}")
        caption = f"{clip.emotion}: {clip.path.name} ({clip.speaker}, {clip.sex})"
        try:
            samples = pcm_to_float(read(clip.path))
        except AudioError as error:
            yield element("p", f"{caption}: {error}", class_="problem")
            continue
        if samples.size:
            yield picture(render(folder, name, draw, samples, clip.emotion), caption, name)
        else:
            yield element("p", f"{caption}: no sound in it", class_="problem")


def draw(samples: Floats, title: str) -> Figure:
    """Five views of a sound, one below the other.

    Args:
        samples: float32 `[n]` at 16 kHz, -1…1.
        title: above all.
    """
    figure = blank(9)
    figure.suptitle(title, fontsize=12)
    wave, *panels = figure.subplots(5, 1, sharex=True, height_ratios=[2, 3, 3, 2, 2])
    starts = np.arange(0, samples.size, _HOP)  # the range of each 10 ms tells as much as all
    lowest, highest = (f.reduceat(samples, starts) for f in (np.minimum, np.maximum))
    wave.fill_between(starts / SAMPLE_RATE, lowest, highest, color=GREY, linewidth=0.5)
    peak = 1.05 * float(np.abs(samples).max()) or 1
    wave.set(ylabel="amplitude", ylim=(-peak, peak), xlim=(0, samples.size / SAMPLE_RATE))
    spectrum = 20 * np.log10(np.maximum(_frames(samples, "stft"), 1e-6))
    mel = _frames(samples, "log_mel")
    views = (
        (spectrum - spectrum.max(), (0, 8), "frequency (kHz)", "magma", (_FLOOR_DB, 0), "dB"),
        (mel - mel.max(), None, "mel band (Hz)", "magma", (_FLOOR_DB, 0), "dB"),
        (_frames(samples, "mfcc")[:, 1:20], (0.5, 19.5), "MFCC", "RdBu_r", (-80, 80), "dB"),
        (_frames(samples, "chroma"), None, "pitch class", "cividis", (0, 1), "share"),
    )
    for axes, (frames, span, label, colors, limits, unit) in zip(panels, views, strict=True):
        # Frame t is centred on sample t * hop.
        ends = np.array([-0.5, len(frames) - 0.5]) * _HOP / SAMPLE_RATE
        low, high = span or (-0.5, frames.shape[1] - 0.5)
        image = axes.imshow(
            frames.T,
            origin="lower",
            aspect="auto",
            extent=(*ends, low, high),
            cmap=colors,
            vmin=limits[0],
            vmax=limits[1],
        )
        axes.set(ylabel=label, xlim=(0, samples.size / SAMPLE_RATE))
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, pad=0.01, fraction=0.05, label=unit)
    hertz = (250, 500, 1000, 2000, 4000)
    n_mels = FeatureSpec().n_mels
    places = [hz_to_mel(hz) / hz_to_mel(SAMPLE_RATE / 2) * (n_mels + 1) - 1 for hz in hertz]
    panels[1].set_yticks(places, [str(hz) for hz in hertz])
    panels[3].set_yticks((0, 4, 7, 11), "CEGB")
    panels[-1].set_xlabel("time (s)")
    figure.align_ylabels()
    return figure


def _frames(samples: Floats, kind: Kind) -> Floats:
    """float32 `[frames, size]` of one kind of feature."""
    n_fft = _N_FFT.get(kind, FeatureSpec().n_fft)
    spec = FeatureSpec(kinds=(kind,), n_fft=n_fft, hop_length=_HOP, log_mel_scale="db")
    return extract(samples, spec)
