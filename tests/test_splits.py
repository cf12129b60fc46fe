from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpora import ravdess
from training.corpora.clip import EMOTIONS, Clip
from training.splits import Split, SplitError, by_speaker, check

CLIPS = [
    Clip(
        Path(f"{actor}-{emotion}"),
        "ravdess",
        emotion,
        ravdess.speaker(actor),
        "female" if actor % 2 == 0 else "male",
    )
    for actor in range(1, 25)
    for emotion in EMOTIONS
]


def test_the_folds_test_every_actor_once() -> None:
    actors = [actor for fold in ravdess.FOLDS for actor in fold]
    assert sorted(actors) == list(range(1, 25))


@given(
    fold=st.sampled_from(ravdess.FOLDS),
    validators=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_nobody_stands_on_two_sides(fold: tuple[int, ...], validators: int, seed: int) -> None:
    tested = [ravdess.speaker(actor) for actor in fold]
    split = by_speaker(CLIPS, "f", tested, validators, seed)
    sides = [
        {CLIPS[i].speaker for i in side} for side in (split.train, split.validation, split.test)
    ]
    assert sum(len(side) for side in sides) == len(set.union(*sides)) == 24
    assert sides[2] == set(tested)
    assert len(sides[1]) == validators
    sexes = [c.sex for c in (CLIPS[i] for i in split.validation[:: len(EMOTIONS)])]
    assert abs(sexes.count("male") - sexes.count("female")) <= 1


def test_the_same_seed_gives_the_same_split() -> None:
    assert by_speaker(CLIPS, "f", [], 4, 1) == by_speaker(CLIPS, "f", [], 4, 1)
    assert by_speaker(CLIPS, "f", [], 4, 1) != by_speaker(CLIPS, "f", [], 4, 2)


def test_a_speaker_on_two_sides_is_refused() -> None:
    with pytest.raises(SplitError, match=r"speaker ravdess-01 is in train and test"):
        check(CLIPS, Split("f", (0, 1), (), (2, 3)))


def test_a_file_on_two_sides_is_refused() -> None:
    twin = Clip(CLIPS[0].path, "copy", CLIPS[0].emotion, "somebody-else", "male")
    with pytest.raises(SplitError, match=r"path 1-neutral is in train and validation"):
        check([CLIPS[0], twin], Split("f", (0,), (1,), ()))


def test_a_missing_emotion_is_named() -> None:
    whole, partly = range(len(EMOTIONS)), range(len(EMOTIONS), 2 * len(EMOTIONS) - 1)
    with pytest.raises(SplitError, match="no surprised in test"):
        check(CLIPS, Split("f", tuple(whole), (), tuple(partly)))


def test_an_unknown_speaker_is_named() -> None:
    with pytest.raises(SplitError, match="no clips by ravdess-99"):
        by_speaker(CLIPS, "f", ["ravdess-99"], 4, 1)
