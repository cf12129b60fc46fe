"""The model card for people, written from the card for programs."""

from typing import Any

from serd.bundle import Card

_LIMITS = """\
## What it is for, and what not

It tells which of the emotions above an utterance *sounds like*, as actors play them. It does not
tell what a person feels, and it must not be used to judge people: not in hiring, policing,
insurance, education or at work. Acted speech is clearer than everyday speech; expect less than the
figures below on spontaneous speech, other languages, children, far microphones and noise.
"""


def readme(card: Card) -> str:
    """Markdown: what the model is, what it was trained on, how well it does, what it cannot do."""
    lines = [f"# {card.name} {card.version}", "", f"Labels: {', '.join(card.labels)}.", ""]
    lines += [f"Weights and activations: {card.quantization}. Licence: {card.licence}.", ""]
    lines += [_LIMITS, "## Data", ""]
    for data in card.data:
        lines += [f"- {data['name']}, {data['licence']} ({data['source']}).", ""]
        held_out = data["held_out"]
        lines += [f"  Kept out of training, for temperature and threshold only: {held_out}.", ""]
    for protocol, kinds in card.metrics.items():
        lines += _figures(protocol, kinds, card.labels)
    trained = card.trained_by
    lines += ["## Made by", "", f"`{trained['command']}` at commit {trained['commit']}."]
    return "\n".join(lines) + "\n"


def _figures(protocol: str, kinds: dict[str, Any], labels: tuple[str, ...]) -> list[str]:
    lines = [f"## How well: {protocol}", ""]
    lines += ["Per clip, by the daemon's own code, on speakers that were neither trained nor"]
    lines += ["calibrated on; mean ± standard deviation over the folds, in percent.", ""]
    lines += ["| network | accuracy | UAR | calibration error | UAR of each fold |"]
    lines += ["|---|---|---|---|---|"]
    for kind, figures in kinds.items():
        cells = [_mean_sd(figures[name]) for name in ("accuracy", "uar", "ece")]
        folds = ", ".join(f"{100 * uar:.1f}" for uar in figures["uar"]["folds"])
        lines += [f"| {kind} | {' | '.join(cells)} | {folds} |"]
    counts = list(kinds.values())[-1]["confusion"]
    lines += [
        "",
        f"Heard as (columns), in percent of what was played (rows), {list(kinds)[-1]}:",
        "",
    ]
    lines += [f"| | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    for label, row in zip(labels, counts, strict=True):
        shares = " | ".join(f"{100 * count / max(1, sum(row)):.0f}" for count in row)
        lines += [f"| **{label}** | {shares} |"]
    return [*lines, ""]


def _mean_sd(figure: dict[str, float]) -> str:
    return f"{100 * figure['mean']:.1f} ± {100 * figure['sd']:.1f}"
