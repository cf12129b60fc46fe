"""A fit that was cut off ends as if it had not been."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra training")

from training import train
from training.backup import Backup, BackupError
from training.config import Config
from training.corpora.clip import Clip
from training.dataset import Examples, Utterance
from training.progress import Progress
from training.runs import HISTORY_FILE, MODEL_FILE

CONFIG = Config.model_validate(
    {
        "name": "small",
        "version": "1",
        "labels": ["happy", "angry"],
        "inputs": {"mfcc": {"frames": 20, "features": {"kinds": ["mfcc"], "n_mfcc": 8}}},
        "network": {"kind": "lstm", "units": [4], "dropout": 0.5},
        "training": {"frozen_epochs": 1, "epochs": 3, "batch_size": 4, "average": 0.5},
    }
)


@pytest.fixture
def examples() -> Examples:
    rng = np.random.default_rng(0)
    own = [
        Utterance(
            i,
            np.zeros(16_000, np.int16),
            {"mfcc": rng.normal(size=(int(rng.integers(10, 25)), 8)).astype(np.float32)},
        )
        for i in range(12)
    ]
    # As long as the window at most, or features would be computed of a part of the sound.
    own = [Utterance(u.clip, u.samples[: 20 * 160], u.features) for u in own]
    clips = [Clip(Path(f"{i}"), "tiny", CONFIG.labels[i % 2], "somebody") for i in range(12)]
    return Examples(own, np.arange(12) % 2, clips)


class CutError(Exception):
    """The light goes out."""


def cut_at(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Cut the fit off after so many epochs, in whichever stage."""
    left = [epochs]

    def on_epoch_end(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise CutError

    monkeypatch.setattr(Progress, "on_epoch_end", on_epoch_end)


def fit(examples: Examples, folder: Path) -> Any:
    return train.fit(CONFIG, examples, examples, 1, folder, folder)


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_a_fit_that_was_cut_off_ends_the_same(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
) -> None:
    whole = fit(examples, tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_at(patch, epochs)
        with pytest.raises(CutError):
            fit(examples, tmp_path / "cut")
    again = fit(examples, tmp_path / "cut")
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one, other)
    histories = [
        json.loads((tmp_path / name / HISTORY_FILE).read_text()) for name in ("whole", "cut")
    ]
    assert len(histories[0]["loss"]) == 4
    assert histories[0] == histories[1]
    assert {file.name for file in (tmp_path / "cut").iterdir()} == {
        MODEL_FILE,
        HISTORY_FILE,
    }


def test_a_backup_that_cannot_be_read_is_named(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        cut_at(patch, 3)
        with pytest.raises(CutError):
            fit(examples, tmp_path)
    (weights,) = (tmp_path / "backup-all").glob("*.h5")
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(BackupError, match="backup-all: not readable; remove it"):
        fit(examples, tmp_path)
    shutil.rmtree(tmp_path / "backup-all")
    assert fit(examples, tmp_path)


def test_a_full_disk_is_said_before_hdf5_crashes_on_it(
    examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(BackupError, match="no space left: 1 MB are needed; 0 epochs are kept"):
            fit(examples, tmp_path)
    assert fit(examples, tmp_path)


def test_nothing_kept_is_no_epoch(tmp_path: Path) -> None:
    assert Backup(tmp_path / "none").restore(None) == 0


def test_a_network_that_is_broken_is_named(examples: Examples, tmp_path: Path) -> None:
    fit(examples, tmp_path)
    file = tmp_path / MODEL_FILE
    assert train.trained(file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(train.TrainError, match=r"model\.keras: not readable; remove it"):
        train.trained(file)


def test_nobody_heard_to_validate_is_said(examples: Examples, tmp_path: Path) -> None:
    nobody = Examples([], np.array([], int), [])
    with pytest.raises(train.TrainError, match="nothing is heard of the speakers who validate"):
        train.fit(CONFIG, examples, nobody, 1, tmp_path, tmp_path)
