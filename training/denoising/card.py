"""A denoiser's card for people."""

import textwrap

from serd.audio import SAMPLE_RATE
from serd.bundle import DenoiserCard
from training.denoising import tables
from training.tables import markdown


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
        lines += ["", "## What it does to the sound", ""]
        lines += ["Of people, in kinds of noise and in rooms that nothing was trained on.", ""]
        for table in tables.of_sound(card.metrics["sound"]):
            lines += [f"{table.caption}:", "", markdown(table), ""]
        table = tables.of_rooms(card.metrics["rooms"])
        lines += [f"{table.caption}:", "", markdown(table), ""]
        lines += [f"The published network is *{card.metrics['published']}*.", ""]
        table = tables.of_recognition(card.metrics["recognition"])
        lines += ["## What it does to recognition", ""]
        lines += ["Emotions of people never heard, in noise never heard.", ""]
        lines += [f"{table.caption}:", "", markdown(table), ""]
    trained = card.trained_by
    lines += ["## Made by", "", f"`{trained['command']}` at commit {trained['commit']}."]
    return "\n".join(lines) + "\n"
