"""What else is asked of the published network, in every fold whose people it has never heard."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from serd import bundle
from serd.classifier import Classifier
from training import conditions, evaluate, habituation, rejection, robustness, whole
from training.experiment import Experiment
from training.heads import not_speech
from training.runs import Fold
from training.sides import Split
from training.tables import mean_sd

Figures = Mapping[str, float]


def examine(experiment: Experiment) -> dict[str, Any]:
    """Ask what its configuration asks for; what is measured is kept in the folds.

    Returns:
        `robustness`: condition → UAR; `habituation`: as of `habituation.measure`, of a network
        that takes a baseline; `not_speech`: as of `rejection.measure`. Each figure with mean,
        deviation and folds; nothing of what is not asked for.
    """
    config, data = experiment.config, experiment.data
    said: dict[str, Any] = {}
    with experiment.going_on():
        if wanted := config.robustness:
            around = conditions.conditions(wanted, data)
            said["robustness"] = robustness.summed(
                [
                    robustness.measure(
                        fold.path,
                        experiment.published(fold, split),
                        split.test,
                        experiment.recordings,
                        around,
                        wanted,
                        config.segments,
                    )
                    for fold, split in experiment.asked()
                ]
            )
        if config.head:
            said["habituation"] = _summed(
                experiment, experiment.unheard(), "habituation.json", _heard
            )
        if config.head and config.head.not_speech:
            said["not_speech"] = _summed(experiment, experiment.asked(), "rejection.json", _sounds)
    asked = [fold.protocol for fold, _ in experiment.asked()]
    for what, figures in said.items():
        for name, spread in figures.items():
            where = f"{asked[0]}, {config.conversion.kind}, {what}, {name}"
            print(f"{where}: {mean_sd(spread['folds'])}")
    return said


def _heard(experiment: Experiment, classifier: Classifier, fold: Fold, split: Split) -> Figures:
    return habituation.measure(classifier, experiment.recordings, split.test, fold.seed)


def _sounds(experiment: Experiment, classifier: Classifier, fold: Fold, split: Split) -> Figures:  # noqa: ARG001
    head = experiment.config.head
    folders = [experiment.data / name for name in head.not_speech] if head else []
    sounds = not_speech.load(folders, experiment.config.segments)
    return rejection.measure(classifier, experiment.recordings, sounds, split)


def _summed(
    experiment: Experiment,
    folds: Sequence[tuple[Fold, Split]],
    name: str,
    measure: Callable[[Experiment, Classifier, Fold, Split], Figures],
) -> dict[str, Any]:
    """Of every fold's published network, measured only where it is not the one measured before."""
    each = []
    for fold, split in folds:
        file = fold.path / name
        classifier = Classifier(bundle.load(experiment.published(fold, split)))
        kept = json.loads(file.read_text()) if file.is_file() else {}
        if kept.get("network") != classifier.card.sha256:
            figures = measure(experiment, classifier, fold, split)
            kept = {"network": classifier.card.sha256, "figures": figures}
            whole.write_json(file, kept)
        each.append(kept["figures"])
    keys = dict.fromkeys(key for figures in each for key in figures)
    return {key: evaluate.spread([f[key] for f in each if key in f]) for key in keys}
