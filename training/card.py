"""The model card for people, written from the card for programs."""

import json
import textwrap
from typing import Any

from serd.bundle import Card
from training.conditions import AS_IT_IS
from training.robustness import table
from training.splits import STRICT
from training.tables import markdown, mean_sd, percent

_LIMITS = """\
## What it is for, and what not

It tells which of the emotions above an utterance *sounds like*, as actors play them. It does not
tell what a person feels, and it must not be used to judge people: not in hiring, policing,
insurance, education or at work. Acted speech is clearer than everyday speech; expect less than the
figures below on spontaneous speech, other languages, children, far microphones and noise.
"""
_PROTOCOLS: dict[str, str] = {
    STRICT: "on people that they were neither trained nor calibrated on",
    "random": "on clips drawn at random, **of people whom they were trained on**: this says how the"
    " figures of others come about, not what to expect",
    "cross-corpus": "on corpora that they were not trained on",
    "statement-held-out": "on sentences that they were never trained on, by people that they were"
    " trained on",
}

_SITUATIONS = {
    "0": "nothing",
    "1": "1 clip by the same person",
    "3": "3",
    "5": "5",
    "10": "10",
    "30": "30",
    "calm": "only the calm and neutral ones, as of who enrols by reading",
    "one emotion": "8, all of the clip's own emotion",
    "another person": "30 by somebody else at the same microphone",
    "in turns": "10 by each of two people in turns",
}


def readme(card: Card) -> str:
    """Markdown: what the model is, what it was trained on, how well it does, what it cannot do."""
    lines = [f"# {card.name} {card.version}", "", f"Labels: {', '.join(card.labels)}.", ""]
    config = json.loads(card.trained_by.get("config", "{}"))
    conversion = config.get("conversion", {})
    as_configured = conversion.get("kind") == card.quantization
    some = " (of some operations)" if as_configured and conversion.get("float_ops") else ""
    lines += [f"Weights and activations: {card.quantization}{some}. Licence: {card.licence}.", ""]
    if as_configured and conversion.get("reason"):
        lines += [conversion["reason"], ""]
    lines += [_LIMITS, "## Data", ""]
    for data in card.data:
        lines += [f"- {data['name']}, {data['licence']} ({data['source']}).", ""]
        if held_out := data.get("held_out"):
            lines += [f"  Kept out of training, for temperature and threshold only: {held_out}."]
            lines += [""]
    for protocol, kinds in card.metrics.items():
        if protocol in _PROTOCOLS:
            lines += _figures(protocol, kinds, card.labels)
    metrics = card.metrics
    lines += _habituation(metrics["habituation"]) if "habituation" in metrics else []
    lines += _not_speech(metrics["not_speech"]) if "not_speech" in metrics else []
    if "robustness" in metrics:
        lines += _robustness(metrics["robustness"], config.get("robustness") or {})
    if notes := config.get("notes"):
        lines += ["What a reader of these figures has to know:", "", *(f"- {n}" for n in notes), ""]
    if "parity" in card.metrics:
        lines += _parity(card.metrics["parity"])
    trained = card.trained_by
    lines += ["## Made by", "", f"`{trained['command']}` at commit {trained['commit']}."]
    return "\n".join(lines) + "\n"


def _figures(protocol: str, kinds: dict[str, Any], labels: tuple[str, ...]) -> list[str]:
    how = f"""Per clip, by the daemon's own code, of networks trained likewise without some of the
    data, {_PROTOCOLS[protocol]}; mean ± standard deviation over folds and seeds, in percent."""
    lines = [f"## How well: {protocol}", "", textwrap.fill(" ".join(how.split()), 100), ""]
    lines += ["| network | accuracy | UAR | calibration error | UAR of each seed |"]
    lines += ["|---|---|---|---|---|"]
    for kind, figures in kinds.items():
        cells = [mean_sd(figures[name]["folds"]) for name in ("accuracy", "uar", "ece")]
        seeds = ", ".join(f"{100 * uar:.1f}" for uar in figures["uar"]["seeds"].values())
        lines += [f"| {kind} | {' | '.join(cells)} | {seeds} |"]
    counts = list(kinds.values())[-1]["confusion"]
    lines += [
        "",
        f"Heard as (columns), in percent of what was heard of each (rows), {list(kinds)[-1]}:",
        "",
    ]
    lines += [f"| | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|"]
    for label, row in zip(labels, counts, strict=True):
        total = sum(row)  # 0 of what is not tested
        shares = " | ".join(f"{100 * count / total:.0f}" if total else "–" for count in row)
        lines += [f"| **{label}** | {shares} |"]
    return [*lines, "", *(_people(list(kinds.values())[-1]) if protocol == STRICT else [])]


def _people(figures: dict[str, Any]) -> list[str]:
    """Of women and men, and of each person."""
    if "speakers" not in figures:
        return []
    sexes = [
        f"{sex} {percent(own['accuracy'])} and {percent(own['uar'])}"
        for sex, own in figures["sexes"].items()
    ]
    people = sorted(figures["speakers"].items(), key=lambda item: item[1]["accuracy"])
    each = ", ".join(f"{name} {percent(own['accuracy'])}" for name, own in people)
    said = [
        f"Accuracy and UAR, in percent, by sex: {'; '.join(sexes)}.",
        f"Accuracy by person, worst first: {each}.",
    ]
    return [line for text in said for line in (textwrap.fill(text, 100), "")]


def _habituation(figures: dict[str, Any]) -> list[str]:
    how = """UAR of the published kind on people that it was neither trained nor calibrated on, by
    what their source had heard before; mean ± standard deviation over folds and seeds, in percent.
    Of three: angry, happy and neutral clips, told apart from each other alone."""
    lines = ["## How well: when it has got used to a voice", ""]
    lines += [textwrap.fill(" ".join(how.split()), 100), ""]
    lines += ["| heard before | all emotions | three |", "|---|---|---|"]
    for situation, said in _SITUATIONS.items():
        cells = [figures.get(name, {}).get("folds") for name in (situation, f"{situation}, three")]
        lines += [f"| {said} | {' | '.join(mean_sd(c) if c else '–' for c in cells)} |"]
    return [*lines, ""]


def _not_speech(figures: dict[str, Any]) -> list[str]:
    shares = [f"{mean_sd(own['folds'])} % of {what}" for what, own in figures.items()]
    said = f"""Of sounds that pass the voice detection, of kinds that the network did not learn to
    pass over, and of speech in the test, an emotion (not `uncertain`) gets: {", ".join(shares)};
    mean ± standard deviation over folds."""
    return ["## What is no speech", "", textwrap.fill(" ".join(said.split()), 100), ""]


def _robustness(figures: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    count = len(figures[AS_IT_IS]["folds"])
    folds = [{name: own["folds"][i] for name, own in figures.items()} for i in range(count)]
    recorded = settings.get("noise_only") or settings.get("noise")
    noise = f"{', '.join(recorded)}, unheard in training" if recorded else "random colours"
    how = f"""The published kind, of networks of one seed that never heard these people, when
    something happens to the clips before. Noise is of {noise}, and is not taken out; its SNR is
    that to the speech without pauses."""
    said = table({"UAR": folds})
    lines = ["## How well: what is not as it was recorded", ""]
    lines += [textwrap.fill(" ".join(how.split()), 100), "", f"{said.caption}:", ""]
    return [*lines, markdown(said), ""]


def _parity(parity: dict[str, Any]) -> list[str]:
    lines = ["## What conversion changed", ""]
    lines += [f"Probabilities against Keras' on {parity['utterances']} utterances of people kept"]
    lines += ["out of training, before the temperature.", ""]
    lines += ["| network | largest difference | mean | same label | UAR there |"]
    lines += ["|---|---|---|---|---|"]
    for kind, figures in parity.items():
        if kind == "utterances":
            continue
        uar = f"{100 * figures['uar']:.1f}"
        if kind == "keras":
            lines += [f"| Keras | | | | {uar} |"]
            continue
        largest, mean = figures["max_difference"], figures["mean_difference"]
        same = 100 * figures["same_label"]
        lines += [f"| {kind} | {largest:.4f} | {mean:.5f} | {same:.1f} % | {uar} |"]
    return [*lines, ""]
