"""Search for hyperparameters, on validation speakers.

A trial trains the first folds with what it draws, and is judged by the UAR of their
validation speakers; hopeless trials end after fewer folds. These speakers are tested in other
folds: figures of what was found so are a little optimistic, and its `notes` should say so.
The search is kept in a storage of Optuna's, so that it can go on later, and several machines
can share one.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
from pydantic import ValidationError

from serd.classifier import softmax
from serd.wording import first_line
from training import evaluate
from training.config import Config, ConfigError, Range
from training.recordings import Recordings
from training.splits import Protocol

PROTOCOL: Protocol = "subject-independent"


class TuneError(Exception):
    """A search that cannot be made; one line."""


def search(
    config: Config,
    recordings: Recordings,
    data: Path,
    folder: Path,
    storage: str,
    trials: int,
    folds: int,
) -> optuna.Study:
    """Try `trials` more drawings from the configuration's `[tune]`.

    Args:
        config: what to tune.
        recordings: its clips.
        data: where noise and rooms are.
        folder: for what is trained on the way; nothing of it is kept.
        storage: a database URL as Optuna takes it, as `sqlite:///tune.db`.
        trials: how many to add to those in the storage.
        folds: how many folds judge a trial.

    Raises:
        TuneError: the configuration says nothing to tune, or the storage cannot be used.
        ConfigError: there is no such setting, or it does not take the value.
    """
    if not config.tune:
        raise TuneError(f"{config.name}: there is no [tune] in its configuration")
    for name, range_ in config.tune.items():  # now, not in the middle of a trial
        changed(config, {name: [*range_.choices, *range_.bounds][0]})
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what fails is told once, by us
    try:
        study = optuna.create_study(
            study_name=_study_name(config, recordings, folds),
            storage=storage,
            load_if_exists=True,
            direction="maximize",
            sampler=optuna.samplers.TPESampler(),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
        )
    except Exception as error:  # each database has its own
        where = storage.rpartition("@")[2]  # without user and password
        raise TuneError(f"{where}: {' '.join(str(error).split())[:200]}") from error

    def judged(trial: optuna.Trial) -> float:
        drawn = {name: _draw(trial, name, range_) for name, range_ in config.tune.items()}
        trial.set_user_attr("drawn", drawn)
        tried = changed(config, drawn)
        uars: list[float] = []
        for place, uar in enumerate(_uars(tried, recordings, data, folder, folds)):
            uars.append(uar)
            trial.report(float(np.mean(uars)), place)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(uars))

    study.optimize(judged, n_trials=trials, callbacks=[_say])
    return study


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """With other values, by their dotted names, as `training.learning_rate`.

    Raises:
        ConfigError: there is no such setting, or it does not take the value.
    """
    tables = config.model_dump()
    for name, value in values.items():
        *path, last = name.split(".")
        table: Any = tables
        for key in path:
            table = table.get(key)
            if not isinstance(table, dict):
                raise ConfigError(f"{config.name}: tune: no table {key} for {name}")
        table[last] = value
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(f"{config.name}: tune: {first_line(error)}") from error


def _study_name(config: Config, recordings: Recordings, folds: int) -> str:
    """Another task, or other clips, is another study, as their figures cannot be compared."""
    settings = config.model_dump_json(exclude={"title", "notes", "conversion"})
    known = settings + json.dumps(recordings.facts["data"]) + str(folds)
    return f"{config.name} {config.version} {hashlib.sha256(known.encode()).hexdigest()[:8]}"


def _uars(
    config: Config, recordings: Recordings, data: Path, folder: Path, folds: int
) -> Iterator[float]:
    """Of the validation speakers of one fold after the other."""
    from training.train import fit, predict

    seed = next(iter(config.protocols.get(PROTOCOL, (1,))))
    splits = recordings.splits({PROTOCOL: (seed,)}, config.training.validators)
    for split in splits[:folds]:
        own, held_out = (recordings.examples(s) for s in (split.train, split.validation))
        with TemporaryDirectory(prefix="trial-", dir=folder) as trial:
            network = fit(config, own, held_out, seed, data, Path(trial))
        answers = softmax(predict(network, held_out.utterances, config))
        yield evaluate.figures(answers, held_out.labels)["uar"]


def _draw(trial: optuna.Trial, name: str, range_: Range) -> Any:
    if range_.choices:
        # Optuna wants scalars: lists are drawn by their place.
        return range_.choices[trial.suggest_int(name, 0, len(range_.choices) - 1)]
    low, high = range_.bounds
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=range_.log)
    return trial.suggest_float(name, low, high, log=range_.log)


def _say(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    value = "given up" if trial.value is None else f"UAR {100 * trial.value:.1f}"
    done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    best = f"{100 * study.best_value:.1f} in trial {study.best_trial.number}" if done else "none"
    print(f"trial {trial.number}: {value}; best {best}: {trial.user_attrs['drawn']}", flush=True)
