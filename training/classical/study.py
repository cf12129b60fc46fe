"""Every system on every set of features, from audio to run folders."""

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training import corpora, dataset, provenance
from training.classical.cell import KIND, Cell, Material
from training.classical.config import Study
from training.config import ConfigError
from training.corpora.duplicates import duplicates
from training.splits import Split, check, splits


def reproduce(study: Study, data: Path, runs: Path, cache: Path, command: str) -> list[Path]:
    """Measure everything that is not measured yet.

    Args:
        study: what to measure.
        data: the folder of the corpora.
        runs: gets a folder `STUDY/SYSTEM-FEATURES` for each.
        cache: for features, shared by all runs.
        command: what the user typed.

    Returns:
        The run folders, as `training.runs` describes them. Beside the scores of a fold stand
        `fit.json` (its parameters) and, where it searched, `search.json`; beside `run.json`
        stands `curves.json`.

    Raises:
        ConfigError: parameters that scikit-learn does not take, or a run folder that other
            settings made.
        CorpusError, CacheError, SplitError: as their modules say.
    """
    material = _gather(study, data, cache)
    cells = [
        Cell(study, system, features, material, runs / study.name)
        for features in study.features
        for system in study.systems
    ]
    common = {
        "version": study.version,
        "labels": study.labels,
        "kind": KIND,
        "kinds": [KIND],
        "command": command,
        **material.facts,
    }
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns) as progress:
        task = progress.add_task("", total=len(cells) * (len(material.splits) + 1))
        for cell in cells:
            cell.open()
            for split, owner in zip(material.splits, material.owners, strict=True):
                where = f"{cell.name} {split.protocol} {split.name}"
                progress.update(task, description=where)
                cell.measure(split, owner)
                progress.advance(task)
            progress.update(task, description=f"{cell.name} curves")
            cell.draw_curves()
            progress.advance(task)
            facts = {"name": cell.name, **common, **cell.facts()}
            (cell.path / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
            for protocol in study.protocols:
                progress.console.print(_line(cell, protocol), highlight=False)
    return [cell.path for cell in cells]


def _gather(study: Study, data: Path, cache: Path) -> Material:
    clips = [
        clip
        for name in dict.fromkeys([*study.data.corpora, *study.data.test_only])
        for clip in corpora.load(name, data)
        if clip.emotion in study.labels
    ]
    if not clips:
        raise ConfigError(f"{study.name}: no clip has one of its labels")
    heard = dataset.load(clips, study.features, study.segments, cache)
    copies = {copy: first for first, *others in duplicates(heard.digests) for copy in others}
    found: list[Split] = []
    for protocol, seeds in study.protocols.items():
        for seed in seeds:
            # No validators: the training part is divided by speakers where something is chosen.
            for split in splits(clips, protocol, seed, 0, study.data.test_only):
                kept = _without(copies, split)
                check(clips, kept, heard.digests)
                found.append(kept)
    notes = [
        f"{clips[copy].path.name} has the same sound as {clips[first].path.name} and is left out"
        for copy, first in copies.items()
    ]
    facts = provenance.facts(clips, heard.digests)
    return Material(clips, heard.utterances, found, facts, notes)


def _without(copies: Collection[int], split: Split) -> Split:
    sides = ([i for i in s if i not in copies] for s in (split.train, split.validation, split.test))
    train, validation, test = (tuple(side) for side in sides)
    return replace(split, train=train, validation=validation, test=test)


def _line(cell: Cell, protocol: str) -> str:
    said = cell.figures(protocol)
    accuracy, uar = (
        f"{100 * said[key]['mean']:.1f} ± {100 * said[key]['sd']:.1f}"
        for key in ("accuracy", "uar")
    )
    return f"{cell.name} {protocol}: accuracy {accuracy}, UAR {uar}"
