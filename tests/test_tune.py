"""The search, with something in place of training that knows what is best."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna", reason="needs the extra training")

from training import tune
from training.config import Config, ConfigError
from training.corpora import ravdess
from training.corpora.clip import Clip
from training.dataset import Examples, Utterance
from training.recordings import Recordings
from training.tune import TuneError, changed, search

CONFIG = Config.model_validate(
    {
        "name": "small",
        "version": "1",
        "inputs": {"x": {"frames": 10}},
        "network": {"kind": "cnn", "channels": [4]},
        "tune": {
            "training.learning_rate": {"bounds": [1e-4, 1e-1], "log": True},
            "training.epochs": {"bounds": [1, 50]},
            "network.channels": {"choices": [[4], [8, 16]]},
        },
    }
)
NOTHING = Recordings((), ("happy", "sad"), (), ())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def uars(config: Config, *_: object) -> "list[float]":
        good = config.network["channels"] == [8, 16]
        return [0.5 + 0.3 * good - abs(config.training.learning_rate - 1e-2)] * 2

    monkeypatch.setattr(tune, "_uars", uars)
    return tmp_path


def run(folder: Path, trials: int, config: Config = CONFIG) -> "tune.optuna.Study":
    return search(config, NOTHING, folder, folder, f"sqlite:///{folder / 't.db'}", trials, 2)


def test_it_draws_within_bounds_and_finds_what_is_better(folder: Path) -> None:
    study = run(folder, 25)
    for trial in study.trials:
        drawn = trial.user_attrs["drawn"]
        assert 1e-4 <= drawn["training.learning_rate"] <= 1e-1
        assert 1 <= drawn["training.epochs"] <= 50
        assert isinstance(drawn["training.epochs"], int)
    assert study.best_trial.user_attrs["drawn"]["network.channels"] == [8, 16]
    assert study.best_value > 0.75


def test_a_search_goes_on_where_it_was(folder: Path) -> None:
    assert len(run(folder, 2).trials) == 2
    assert len(run(folder, 3).trials) == 5


def test_what_cannot_be_compared_is_another_search(folder: Path) -> None:
    assert len(run(folder, 2).trials) == 2
    storage = f"sqlite:///{folder / 't.db'}"
    assert len(search(CONFIG, NOTHING, folder, folder, storage, 2, 3).trials) == 2
    others = {**CONFIG.tune, "network.channels": tune.Range(choices=([8, 16], [4]))}
    assert len(run(folder, 2, CONFIG.model_copy(update={"tune": others})).trials) == 2


def test_no_password_is_told(folder: Path) -> None:
    with pytest.raises(TuneError) as caught:
        search(CONFIG, NOTHING, folder, folder, "nosuch://me:secret@host/db", 1, 1)
    assert "secret" not in str(caught.value)


def test_the_trial_is_judged_by_what_it_drew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def uars(config: Config, *_: object) -> "list[float]":
        tried.append(config.training.learning_rate)
        return [0.5]

    monkeypatch.setattr(tune, "_uars", uars)
    study = run(folder, 3)
    assert tried == [t.user_attrs["drawn"]["training.learning_rate"] for t in study.trials]


def test_settings_are_changed_by_their_names() -> None:
    found = changed(CONFIG, {"training.epochs": 7, "network.channels": [2]})
    assert (found.training.epochs, found.network["channels"]) == (7, [2])
    assert CONFIG.training.epochs != 7


@pytest.mark.parametrize("name", ["training.epoch", "trainings.epochs", "network.kind.x"])
def test_a_setting_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match="small: tune: "):
        changed(CONFIG, {name: 1})


def test_a_setting_that_is_not_there_is_told_before_any_trial(folder: Path) -> None:
    wrong = CONFIG.model_copy(update={"tune": {"training.nope": tune.Range(bounds=(1, 2))}})
    with pytest.raises(ConfigError, match=r"training\.nope: unknown key"):
        run(folder, 1, wrong)
    assert not (folder / "t.db").exists()


def test_nothing_to_tune_and_no_storage_are_one_line(folder: Path) -> None:
    with pytest.raises(TuneError, match=r"small: there is no \[tune\]"):
        run(folder, 1, CONFIG.model_copy(update={"tune": {}}))
    with pytest.raises(TuneError, match="unable to open database file"):
        search(CONFIG, NOTHING, folder, folder, "sqlite:////nowhere/at/all.db", 1, 1)


@pytest.mark.parametrize(
    "range_",
    [
        {},
        {"bounds": [2, 1]},
        {"choices": [1], "bounds": [1, 2]},
        {"low": 1},
        {"bounds": [0, 1], "log": True},
    ],
)
def test_a_range_that_is_none_is_refused(range_: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"choices|forbidden|Extra|above 0"):
        tune.Range.model_validate(range_)


def test_a_trial_learns_and_is_judged_within_the_training_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each fold: trained on its training speakers, judged by its validators, never its test."""
    pytest.importorskip("keras")
    clips = [
        Clip(tmp_path / f"{actor}-{emotion}", "ravdess", emotion, ravdess.speaker(actor), sex)
        for actor in range(1, 25)
        for emotion in ("happy", "sad")
        for sex in [("female", "male")[actor % 2]]
    ]
    utterances = [Utterance(i, np.zeros(9, np.int16), {}) for i in range(len(clips))]
    digests = [str(clip.path) for clip in clips]
    heard = Recordings(clips, ("happy", "sad"), utterances, digests)
    config = CONFIG.model_copy(update={"labels": ("happy", "sad"), "tune": {}})
    trained, judged, folders = [], [], []

    def fit(_config: Config, own: Examples, held_out: Examples, *rest: object) -> str:
        trained.append({u.clip for u in own.utterances})
        assert held_out.utterances
        folders.append(rest[-1])
        assert rest[-1].is_dir()
        return "network"

    def predict(network: str, some: list[Utterance], _config: Config) -> np.ndarray:
        assert network == "network"
        judged.append({u.clip for u in some})
        return np.eye(2, dtype=np.float32)[heard.truth([u.clip for u in some])]

    monkeypatch.setattr("training.train.fit", fit)
    monkeypatch.setattr("training.train.predict", predict)
    assert list(tune._uars(config, heard, tmp_path, tmp_path, 2)) == [1, 1]
    splits = heard.splits({"subject-independent": (1,)}, config.training.validators)[:2]
    assert trained == [set(split.train) for split in splits]
    assert judged == [set(split.validation) for split in splits]
    assert not any(folder.exists() for folder in folders)
