"""A denoiser's card for people."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from serd.audio import SAMPLE_RATE
from serd.bundle import DenoiserCard

_TITLES = {"si_sdr": ("SI-SDR, dB", 1), "pesq": ("PESQ, wide-band", 2), "stoi": ("STOI", 2)}


def readme(card: DenoiserCard) -> str:
    """Markdown: what it is, what it was trained on, what it brings, what it cannot do."""
    window_s = card.frames * card.n_fft / 2 / SAMPLE_RATE
    said = (
        f"""Takes noise out of speech at 16 kHz: `serd denoise IN OUT`, and `serd` itself before it
        recognises an utterance whose signal it estimates to be less than {card.below_snr_db:g} dB
        above the noise.""",
        f"Weights and activations: {card.quantization}. Licence: {card.licence}.",
        f"""It looks at {window_s:.1f} s at a time, and makes nothing softer than by
        {-card.least_gain_db:g} dB. A room's echo is left as it is. It was made for one voice in
        noise: other people's voices and music are not noise to it, or spoil what it does.""",
    )
    lines = [f"# {card.name} {card.version}", ""]
    for paragraph in said:
        lines += [textwrap.fill(" ".join(paragraph.split()), 100), ""]
    lines += ["## Data", ""]
    for data in card.data:
        lines += [f"- {data['name']}, {data['licence']} ({data['source']})."]
        if held_out := data.get("held_out"):
            lines += [f"  Kept out of training, for the learning curve only: {held_out}."]
    if card.metrics:
        lines += ["", *_sound(card.metrics["sound"], card.metrics["published"])]
        lines += _recognition(card.metrics["recognition"])
    trained = card.trained_by
    lines += ["## Made by", "", f"`{trained['command']}` at commit {trained['commit']}."]
    return "\n".join(lines) + "\n"


def _sound(means: Mapping[str, Any], published: str) -> list[str]:
    lines = ["## What it does to the sound", "", "Speakers, kinds of noise and rooms that nothing"]
    lines += ["was trained on; columns: how far the noise lay below the speech before.", ""]
    for measure, (title, digits) in _TITLES.items():
        snrs = list(next(iter(means[measure].values())))
        lines += [f"| {title} | {' | '.join(f'{snr} dB' for snr in snrs)} |"]
        lines += ["|---" * (len(snrs) + 1) + "|"]
        for method, own in means[measure].items():
            name = f"**{method}**" if method == published else method
            lines += [f"| {name} | {' | '.join(f'{own[s]:.{digits}f}' for s in snrs)} |"]
        lines += [""]
    return lines


def _recognition(folds: Any) -> list[str]:
    """UAR by mode and SNR."""
    modes = [key for key in folds[0] if key != "threshold_db"]
    snrs = list(folds[0][modes[0]])
    heads = ["clean" if int(snr) >= 100 else f"{snr} dB" for snr in snrs]
    lines = ["## What it does to recognition", "", "UAR of emotions of people never heard, in"]
    lines += ["percent, mean ± standard deviation over folds.", ""]
    lines += [f"| noise is taken out | {' | '.join(heads)} |", "|---" * (len(snrs) + 1) + "|"]
    for mode in modes:
        each = [100 * np.array([fold[mode][snr] for fold in folds]) for snr in snrs]
        cells = (f"{x.mean():.1f} ± {x.std(ddof=1) if x.size > 1 else 0:.1f}" for x in each)
        lines += [f"| {mode} | {' | '.join(cells)} |"]
    return [*lines, ""]
