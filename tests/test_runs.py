from pathlib import Path

import numpy as np

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
