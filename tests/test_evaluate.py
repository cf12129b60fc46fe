import numpy as np
import pytest

from training import evaluate
from training.dataset import Utterance
from training.runs import Scores


def test_figures_of_known_answers() -> None:
    truth = np.array([0, 0, 0, 1])
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.0, 0.0]], np.float32)
    found = evaluate.figures(answers, truth)
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["uar"] == pytest.approx((2 / 3 + 0) / 2)  # nothing heard is an error
    assert evaluate.confusion(answers, truth).tolist() == [[2, 1], [0, 0]]


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 1.5, (4000, 4))
    odds = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=p) for p in odds])
    said = list((3 * honest).astype(np.float32)[:, None])
    assert evaluate.fit_temperature(said, labels) == pytest.approx(3, rel=0.1)


def test_an_utterance_is_the_mean_of_its_windows() -> None:
    sure, torn = np.array([[8, -8]], np.float32), np.array([[8, -8], [-8, 8]], np.float32)
    found = evaluate.by_window([sure, torn, sure], 2)
    assert found == pytest.approx(np.array([[1, 0], [0.5, 0.5], [1, 0]]), abs=1e-3)


def test_a_clip_is_the_mean_of_its_utterances_by_length() -> None:
    utterances = [
        Utterance(clip, np.zeros(length, np.int16), {})
        for clip, length in ((7, 100), (7, 300), (9, 5))
    ]
    rows = np.array([[1, 0], [0, 1], [0.3, 0.7]], np.float32)
    found = evaluate.by_clip(rows, utterances, [9, 8, 7])
    assert found == pytest.approx(np.array([[0.3, 0.7], [0, 0], [0.25, 0.75]]))


def test_a_summary_is_over_folds_and_seeds() -> None:
    def scores(right: int) -> Scores:
        truth = np.array([0, 0, 1, 1])
        heard = np.eye(2, dtype=np.float32)[[0, 0, 1, 1][:right] + [1, 1, 0, 0][right:]]
        names, sexes = tuple("abcd"), ("female", "male", "female", "male")
        return Scores(("x", "y"), names, names, names, sexes, truth, heard)

    said = evaluate.summary([(1, scores(4)), (1, scores(3)), (2, scores(2)), (2, scores(4))])
    assert said["accuracy"]["folds"] == [1, 0.75, 0.5, 1]
    assert said["accuracy"]["mean"] == pytest.approx(0.8125)
    assert said["accuracy"]["sd"] == pytest.approx(np.std([1, 0.75, 0.5, 1], ddof=1), abs=1e-4)
    assert said["uar"]["seeds"] == {"1": 0.875, "2": 0.75}
    assert said["confusion"] == [[8, 0], [3, 5]]
    assert said["sexes"]["female"]["accuracy"] == 0.875  # c is wrong once, d twice
    assert said["sexes"]["male"]["uar"] == 0.75
    assert {name: own["accuracy"] for name, own in said["speakers"].items()} == {
        "a": 1,
        "b": 1,
        "c": 0.75,
        "d": 0.5,
    }


def test_one_result_has_no_deviation() -> None:
    names = ("a", "b")
    scores = Scores(names, names, names, names, names, np.arange(2), np.eye(2, dtype=np.float32))
    said = evaluate.summary([(1, scores)])
    assert said["accuracy"]["sd"] is None
