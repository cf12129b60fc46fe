from pathlib import Path

import numpy as np
import pytest

from training import provenance
from training.runs import Run, Scores


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    scores = Scores(
        ("happy", "sad"),
        ('a "1".wav', "b,2.wav"),
        ("tiny", "tiny"),
        ("tiny-1", "tiny-2"),
        ("female", "unknown"),
        np.array([1, 0]),
        np.array([[0.25, 0.75], [0, 0]], np.float32),
    )
    fold = Run(tmp_path).fold("random", 3, "quarter")
    fold.path.mkdir(parents=True)
    scores.write(fold.path / "int8.csv")
    (found,) = Run(tmp_path).measured("int8")
    assert found == fold
    again = found.scores("int8")
    assert again.clips == scores.clips
    assert again.labels == scores.labels
    assert again.sexes == scores.sexes
    assert np.array_equal(again.truth, scores.truth)
    assert np.array_equal(again.probabilities, scores.probabilities)


def test_folders_that_are_no_seeds_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "random" / "seed-x" / "quarter").mkdir(parents=True)
    (tmp_path / "random" / "seed-x" / "quarter" / "int8.csv").touch()
    assert list(Run(tmp_path).measured("int8")) == []


SIDES = {"train": "a", "validation": "b", "test": "c"}


def made(commit: str) -> dict[str, object]:
    return {"commit": commit, "machine": "box", "libraries": {"keras": commit}}


def test_a_fold_that_is_begun_again_keeps_backups_of_the_same_sides_alone(tmp_path: Path) -> None:
    fold = Run(tmp_path).fold("random", 1, "quarter")
    fold.begin(SIDES, made("one"))
    for name in ("backup-all/epochs.json", "int8/card.json", "int8.csv"):
        (fold.path / name).parent.mkdir(exist_ok=True)
        (fold.path / name).touch()
    fold.begin(SIDES, made("two"))
    assert (fold.path / "backup-all" / "epochs.json").exists()
    assert not (fold.path / "int8").exists()
    assert not (fold.path / "int8.csv").exists()
    assert fold.sides == SIDES
    assert fold.made == made("two") | {"commit": "one, two"}
    others = SIDES | {"train": "d"}
    fold.begin(others, made("three"))
    assert {path.name for path in fold.path.iterdir()} == {"fold.json"}
    assert fold.sides == others
    assert fold.made == made("three")


def test_a_run_is_begun_when_something_is_trained_in_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    fold = run.fold("random", 1, "quarter")
    fold.begin(SIDES, made("one"))
    assert not run.begun  # what kept it from being trained may be corrected
    (fold.path / "backup-all").mkdir()
    assert run.begun


def test_a_fold_that_was_never_begun_says_nothing(tmp_path: Path) -> None:
    fold = Run(tmp_path).fold("random", 1, "quarter")
    assert (fold.sides, fold.made) == (None, {})


def test_what_was_at_work_is_told_once() -> None:
    assert provenance.joined([]) == {}
    parts = [made("one"), made("one, two"), made("two") | {"machine": "other"}]
    assert provenance.joined(parts) == {
        "commit": "one, two",
        "machine": "box; other",
        "libraries": {"keras": "two"},
    }


def test_a_program_that_is_installed_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "training" / "provenance.py"))
    assert provenance.commit() == "unknown"


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == "unknown"
