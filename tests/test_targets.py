"""What a network is to say: what was meant, what was heard, and what nobody was asked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from training.config import Config
from training.corpora.clip import Clip, Votes
from training.dataset import Examples
from training.targets import UNKNOWN, Targets

LABELS = ("neutral", "calm", "angry", "surprised")


def config(**training: object) -> Config:
    return Config.model_validate(
        {
            "name": "small",
            "version": "1",
            "labels": LABELS,
            "inputs": {"x": {"frames": 4}},
            "network": {"kind": "cnn"},
            "training": training,
        }
    )


def examples(*known: tuple[str, str] | tuple[str, str, Votes]) -> Examples:
    """Of a corpus, an emotion, and perhaps votes each."""
    clips = [Clip(Path("a"), corpus, emotion, "b", votes=votes[0] if votes else ()) for
             corpus, emotion, *votes in known]  # fmt: skip
    return Examples([], np.array([LABELS.index(c.emotion) for c in clips], np.int_), clips)


def rows(targets: np.ndarray) -> list[Sequence[float]]:
    return targets.round(6).tolist()


FULL = [("full", label) for label in LABELS[:3]]
"""A corpus that has all but `surprised`."""


def test_one_corpus_lacks_nothing() -> None:
    targets = Targets(config(), examples(*FULL))
    assert not targets.masked
    asked = targets(examples(("full", "angry"), ("full", "neutral")))
    assert asked.dtype == np.float32
    assert rows(asked) == [[0, 0, 1, 0], [1, 0, 0, 0]]


def test_of_a_label_that_only_other_corpora_have_nothing_is_known() -> None:
    trained = examples(*FULL, ("part", "neutral"), ("part", "angry"))
    targets = Targets(config(), trained)
    assert targets.masked
    (full,), (part,) = targets(examples(("full", "angry"), ("part", "angry")))
    assert rows(full) == [0, 0, 1, 0]  # surprised is known not to be there: nobody has it
    assert rows(part) == [0, UNKNOWN, 1, 0]


def test_corpora_of_the_same_emotions_mask_nothing() -> None:
    trained = examples(*FULL, *[("twin", label) for _, label in FULL])
    assert not Targets(config(), trained).masked


def test_masks_can_be_left_out() -> None:
    trained = examples(*FULL, ("part", "neutral"))
    targets = Targets(config(mask_lacking=False), trained)
    assert rows(targets(examples(("part", "neutral")))) == [[1, 0, 0, 0]]


def test_what_an_utterance_is_said_to_be_is_always_known() -> None:
    """A corpus' only calm speaker may be among those who validate; another corpus may be new."""
    trained = examples(*FULL, ("part", "neutral"))
    targets = Targets(config(), trained)
    (part,), (new,) = targets(examples(("part", "calm"), ("new", "angry")))
    assert rows(part) == [0, 1, UNKNOWN, 0]
    assert rows(new) == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, [1, 0, 0, 0]), (1, [0.25, 0, 0.75, 0]), (0.5, [0.625, 0, 0.375, 0])],
)
def test_what_listeners_heard_has_its_share(share: float, expected: Sequence[float]) -> None:
    votes = (("angry", 3), ("neutral", 1), ("disgust", 6))  # no label here
    own = examples(("full", "neutral", votes), *FULL)
    assert rows(Targets(config(votes=share), own)(own))[0] == expected


def test_without_votes_for_any_label_it_is_what_was_meant() -> None:
    own = examples(("a", "calm"), ("a", "angry", (("disgust", 9),)), ("a", "neutral"))
    targets = Targets(config(votes=0.8), own)(own)
    assert rows(targets) == [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_what_was_heard_is_known() -> None:
    """Even if no actor of this corpus ever meant it."""
    votes = (("calm", 1), ("neutral", 1))
    own = examples(*FULL, ("part", "neutral", votes), ("part", "neutral"))
    *_, (heard,), (not_asked,) = Targets(config(votes=1), own)(own)
    assert rows(heard) == [0.5, 0.5, UNKNOWN, 0]
    assert rows(not_asked) == [1, UNKNOWN, UNKNOWN, 0]


def test_what_a_corpus_lacks_is_told() -> None:
    trained = examples(*FULL, ("small", "angry"))
    lacking = Targets(config(), trained).lacking(examples(("full", "calm"), ("small", "angry")))
    assert lacking.tolist() == [[False] * 4, [True, True, False, False]]
    same = Targets(config(mask_lacking=False), trained).lacking(examples(("small", "angry")))
    assert not same.any()
