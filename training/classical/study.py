"""Every system on every set of features, from audio to run folders."""

from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training import recordings
from training.classical.cell import KIND, Cell, Material
from training.classical.config import Study
from training.runs import Run
from training.tables import mean_sd


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
    heard = recordings.gather(study.data, study.labels, study.features, study.segments, data, cache)
    # No validators: the training part is divided by speakers where something is chosen.
    material = Material(heard, heard.splits(study.protocols, 0))
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
        **heard.facts,
    }
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns) as progress:
        task = progress.add_task("", total=len(cells) * (len(material.splits) + 1))
        for cell in cells:
            cell.open()
            done = Run(cell.path).facts
            for split, owner in zip(material.splits, material.owners, strict=True):
                where = f"{cell.name} {split.protocol} {split.name}"
                progress.update(task, description=where)
                if cell.measure(split, owner):
                    done = {}
                progress.advance(task)
            progress.update(task, description=f"{cell.name} curves")
            cell.draw_curves()
            progress.advance(task)
            typed = done.get("command", command)
            facts = {"name": cell.name, "command": typed, **common, **cell.facts()}
            Run(cell.path).write_facts(facts)
            for protocol in study.protocols:
                progress.console.print(_line(cell, protocol), highlight=False)
    return [cell.path for cell in cells]


def _line(cell: Cell, protocol: str) -> str:
    said = cell.figures(protocol)
    accuracy, uar = (mean_sd(said[key]["folds"]) for key in ("accuracy", "uar"))
    return f"{cell.name} {protocol}: accuracy {accuracy}, UAR {uar}"
