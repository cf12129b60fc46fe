"""How well a published network hears what is not as it was recorded."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from serd import bundle
from serd.classifier import Classifier
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training import evaluate, whole
from training.conditions import AS_IT_IS, Condition, Robustness
from training.dataset import Utterance
from training.recordings import Recordings
from training.surroundings import Played
from training.tables import Table, mean_sd

FILE = "robustness.json"
"""In a fold's folder."""


def measure(
    folder: Path,
    published: Path,
    clips: Sequence[int],
    recordings: Recordings,
    conditions: Mapping[str, Condition],
    wanted: Robustness,
    segments: SegmentSettings,
) -> dict[str, float]:
    """Play clips to a bundle in every condition; noise is not taken out.

    What is done stays in `FILE`, and is done again only for another network or other settings.

    Args:
        folder: of the fold.
        published: its bundle.
        clips: to play, of people whom the network has never heard.
        recordings: which they are of.
        conditions: as `wanted` asks for them.
        wanted: the settings.
        segments: how the daemon cuts.

    Returns:
        Condition → UAR, 0…1.
    """
    file = folder / FILE
    classifier = Classifier(bundle.load(published))
    about = {"network": classifier.card.sha256, "settings": wanted.model_dump(mode="json")}
    kept = json.loads(file.read_text()) if file.is_file() else {}
    uar = kept["uar"] if {key: kept.get(key) for key in about} == about else {}
    todo = [name for name in conditions if name not in uar]
    played = recordings.played(clips) if todo else []
    truth = recordings.truth(clips)
    for name in track(todo, f"robustness, {folder.name}", disable=not todo):
        heard = _heard(conditions[name], played, clips, segments)
        probabilities = evaluate.per_clip(classifier, heard, clips)
        uar[name] = evaluate.figures(probabilities, truth)["uar"]
        whole.write_json(file, {**about, "uar": uar})
    return {name: uar[name] for name in conditions}


def _heard(
    condition: Condition, played: Sequence[Played], clips: Sequence[int], segments: SegmentSettings
) -> list[Utterance]:
    return [
        Utterance(clips[clip.number], segment.samples, {})
        for clip in played
        for segment in segments_of([condition(clip)], segments)
    ]


def summed(folds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Condition → `mean`, `sd` and `folds` of what `measure` gave of each fold, at least one."""
    return {name: evaluate.spread([fold[name] for fold in folds]) for name in folds[0]}


def table(systems: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """UAR by condition; of each system, by its title, its folds as `measure` gave them."""
    names = dict.fromkeys(name for folds in systems.values() for fold in folds for name in fold)
    rows = [(name, *(_cell(folds, name) for folds in systems.values())) for name in names]
    head = ("condition", *systems)
    return Table(f"UAR, in percent: mean ± sd over folds (against {AS_IT_IS})", head, rows)


def _cell(folds: Sequence[Mapping[str, float]], name: str) -> str:
    own = [fold for fold in folds if name in fold]
    said = mean_sd([fold[name] for fold in own])
    if name == AS_IT_IS or not own:
        return said
    change = np.mean([fold[name] - fold[AS_IT_IS] for fold in own])
    return f"{said} ({100 * change:+.1f})"
