import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpora import ravdess
from training.corpora.clip import EMOTIONS, Clip
from training.sides import Split, SplitError, check, check_emotions, only_trained
from training.splits import Protocol, final, splits


def corpus(name: str, speakers: int, emotions: Sequence[str] = EMOTIONS) -> list[Clip]:
    return [
        Clip(
            Path(f"{name}-{speaker}-{emotion}-{statement}"),
            name,
            emotion,
            f"{name}-{speaker:02}",
            "female" if speaker % 2 == 0 else "male",
            f"{name}-{statement}",
        )
        for speaker in range(1, speakers + 1)
        for emotion in emotions
        for statement in (1, 2)
    ]


CLIPS = corpus("ravdess", 24)
EVERYTHING = [*CLIPS, *corpus("other", 7, EMOTIONS[2:6])]
CORPORA = [*CLIPS, *corpus("other", 7), *corpus("more", 6), *corpus("pair", 2)]


def speakers(clips: list[Clip], side: tuple[int, ...]) -> set[str]:
    return {clips[i].speaker for i in side}


def test_the_folds_test_every_actor_once() -> None:
    actors = [actor for fold in ravdess.FOLDS for actor in fold]
    assert sorted(actors) == list(range(1, 25))
    tested = [speakers(CLIPS, s.test) for s in splits(CLIPS, "subject-independent", 1, 4)]
    assert tested == [{ravdess.speaker(a) for a in fold} for fold in ravdess.FOLDS]


@given(
    protocol=st.sampled_from(get_args(Protocol)),
    validators=st.integers(2, 6),
    seed=st.integers(0, 1000),
    clips=st.sampled_from([CLIPS, EVERYTHING, CORPORA]),
)
def test_nothing_stands_on_two_sides(
    protocol: Protocol, validators: int, seed: int, clips: list[Clip]
) -> None:
    if protocol == "cross-corpus" and clips is not CORPORA:
        return
    for split in splits(clips, protocol, seed, validators):
        sides = (split.train, split.validation, split.test)
        assert all(sides)
        assert len(set().union(*sides)) == sum(map(len, sides))
        if protocol in ("subject-independent", "cross-corpus"):
            people = [speakers(clips, side) for side in sides]
            assert len(set.union(*people)) == sum(map(len, people))
            assert len(people[1]) == validators
        if protocol == "cross-corpus":
            assert {clips[i].corpus for i in split.test} == {split.name}
            assert split.name not in {clips[i].corpus for i in split.train}
        if protocol == "statement-held-out":
            said, tested = ({clips[i].statement for i in s} for s in (split.train, split.test))
            assert not said & tested


@pytest.mark.parametrize("protocol", ["subject-independent", "statement-held-out"])
@pytest.mark.parametrize("clips", [CLIPS, EVERYTHING])
def test_every_clip_is_tested_once(protocol: Protocol, clips: list[Clip]) -> None:
    found = splits(clips, protocol, 1, 4)
    expected = set(range(len(clips)))
    if protocol == "statement-held-out":
        validating = set.intersection(*(speakers(clips, split.validation) for split in found))
        assert len(validating) == 4
        expected = {i for i in expected if clips[i].speaker not in validating}
    assert sorted(i for split in found for i in split.test) == sorted(expected)


@given(validators=st.integers(1, 12), seed=st.integers(0, 1000))
def test_of_every_corpus_somebody_is_trained_on(validators: int, seed: int) -> None:
    for split in (final(CORPORA, seed, validators), *splits(CORPORA, "cross-corpus", seed, 8)):
        trained = {CORPORA[i].corpus for i in split.train}
        assert trained == {clip.corpus for clip in CORPORA} - {split.name}


def test_of_every_corpus_women_and_men_validate() -> None:
    split = final(CORPORA, 1, 7)
    known = {clip.speaker: (clip.corpus, clip.sex) for clip in CORPORA}
    validating = [known[speaker] for speaker in speakers(CORPORA, split.validation)]
    for corpus_name in ("ravdess", "other", "more"):
        assert {(corpus_name, "female"), (corpus_name, "male")} <= set(validating)
    assert sum(name == "pair" for name, _ in validating) == 1


def test_who_validates_is_of_a_corpus_that_is_tested() -> None:
    """What only helps trains whole; where nothing else is left, its people validate too."""
    helpers = ("other", "more", "pair")
    strict = splits(CORPORA, "subject-independent", 1, 4, (), helpers)
    for split in (*strict, final(CORPORA, 1, 4, (), helpers)):
        assert {CORPORA[i].corpus for i in split.validation} == {"ravdess"}
        assert {*helpers, "ravdess"} == {CORPORA[i].corpus for i in split.train}
        assert len(speakers(CORPORA, split.validation)) == 4
    for split in splits(CORPORA, "cross-corpus", 1, 4, (), helpers):
        validating = {CORPORA[i].corpus for i in split.validation}
        assert validating == ({*helpers} if split.name == "ravdess" else {"ravdess"})


def test_random_tests_a_quarter_of_each_emotion() -> None:
    (split,) = splits(CLIPS, "random", 1, 4)
    assert len(split.test) == len(CLIPS) // 4
    assert [[CLIPS[i].emotion for i in split.test].count(e) for e in EMOTIONS] == [12] * 8


def test_the_same_seed_gives_the_same_split() -> None:
    for protocol in ("random", "subject-independent"):
        assert splits(CLIPS, protocol, 1, 4) == splits(CLIPS, protocol, 1, 4)
        one, two = ([s.train for s in splits(CLIPS, protocol, seed, 4)] for seed in (1, 2))
        assert one != two


def test_the_folds_of_other_corpora_do_not_depend_on_the_seed() -> None:
    one, two = ([s.test for s in splits(EVERYTHING, "subject-independent", n, 4)] for n in (1, 2))
    assert one == two


def test_the_final_network_tests_on_nobody_and_keeps_validators_out() -> None:
    split = final(CLIPS, 1, 4)
    assert split.test == ()
    assert len(speakers(CLIPS, split.validation)) == 4
    assert not speakers(CLIPS, split.train) & speakers(CLIPS, split.validation)


def test_a_corpus_only_for_tests_is_never_trained_on() -> None:
    """Nor tested otherwise, even where its speakers are those of another, as in song."""
    song = [dataclasses.replace(clip, corpus="other") for clip in CLIPS]
    for clips in (EVERYTHING, [*CLIPS, *song]):
        known = [clip.corpus for clip in clips]
        for protocol in get_args(Protocol):
            if protocol == "cross-corpus" and clips is not EVERYTHING:
                continue
            for split in splits(clips, protocol, 1, 4, ("other",)):
                assert "other" not in {known[i] for i in (*split.train, *split.validation)}
                tested = {known[i] for i in split.test}
                assert tested == ({"other"} if protocol == "cross-corpus" else {"ravdess"})
        assert {known[i] for i in final(clips, 1, 4, ("other",)).train} == {"ravdess"}


@given(
    protocol=st.sampled_from(get_args(Protocol)),
    helping=st.sets(st.sampled_from(["more", "other", "ravdess"]), min_size=1, max_size=2),
    validators=st.integers(4, 8),
    seed=st.integers(0, 1000),
)
def test_a_corpus_only_to_train_on_is_not_tested_but_in_its_turn(
    protocol: Protocol, helping: set[str], validators: int, seed: int
) -> None:
    known = [clip.corpus for clip in CORPORA]
    found = splits(CORPORA, protocol, seed, validators, (), helping)
    for split in found:
        tested = {known[i] for i in split.test}
        if protocol == "cross-corpus":
            assert tested == {split.name}
        else:
            assert not tested & helping
            learnt = {*split.train, *split.validation}
            assert all(i in learnt for i, corpus in enumerate(known) if corpus in helping)
            assert helping <= {known[i] for i in split.train}
        if protocol == "subject-independent":
            assert not helping & {known[i] for i in split.validation}
    if protocol == "cross-corpus":
        assert {split.name for split in found} == set(known)
    if protocol == "subject-independent":
        tests = sorted(i for split in found for i in split.test)
        assert tests == [i for i, corpus in enumerate(known) if corpus not in helping]


def test_helpers_do_not_change_who_is_tested() -> None:
    """RAVDESS' folds stay those of the literature, and a tested actor does not sing in training."""
    song = [
        dataclasses.replace(clip, corpus="song", path=Path(f"sung-{clip.path}")) for clip in CLIPS
    ]
    clips = [*CLIPS, *song, *corpus("more", 6)]
    alone = splits(CLIPS, "subject-independent", 1, 4)
    helped = splits(clips, "subject-independent", 1, 4, (), ("song", "more"))
    assert [split.test for split in helped] == [split.test for split in alone]
    for split in helped:
        assert {clips[i].corpus for i in split.train} == {"ravdess", "song", "more"}
        assert not speakers(clips, split.train) & speakers(clips, split.test)
    (quarter,), (helped_quarter,) = (
        splits(CLIPS, "random", 1, 4),
        splits(clips, "random", 1, 4, (), ("song", "more")),
    )
    assert helped_quarter.test == quarter.test
    assert helped_quarter.validation == quarter.validation
    assert set(helped_quarter.train) == {*quarter.train, *range(len(CLIPS), len(clips))}


def test_a_helper_does_not_say_what_is_tested() -> None:
    song = [
        dataclasses.replace(clip, corpus="song", path=Path(f"sung-{clip.path}")) for clip in CLIPS
    ]
    clips = [*CLIPS, *song]
    for split in splits(clips, "statement-held-out", 1, 4, (), ("song",)):
        said, tested = ({clips[i].statement for i in s} for s in (split.train, split.test))
        assert not said & tested
        assert "song" in {clips[i].corpus for i in split.train}


@pytest.mark.parametrize("protocol", ["subject-independent", "cross-corpus", "final"])
def test_a_speaker_on_two_sides_is_refused(protocol: str) -> None:
    with pytest.raises(SplitError, match=r"speaker ravdess-01 is in train and test"):
        check(CLIPS, Split(protocol, 1, "f", tuple(range(15)), (), (15, 16)))


def test_a_file_on_two_sides_is_refused() -> None:
    twin = Clip(CLIPS[0].path, "copy", CLIPS[0].emotion, "somebody-else", "male")
    with pytest.raises(SplitError, match=r"clip ravdess-1-neutral-1 is in train and validation"):
        check([CLIPS[0], twin], Split("random", 1, "f", (0,), (1,), ()))


def test_a_copy_under_another_name_is_refused() -> None:
    with pytest.raises(SplitError, match=r"audio same is in train and test"):
        check(CLIPS[:2], Split("random", 1, "f", (0,), (), (1,)), ["same", "same"])


def test_a_missing_emotion_is_named() -> None:
    whole, partly = range(16), range(16, 30)
    with pytest.raises(SplitError, match="no surprised in test"):
        check_emotions(CLIPS, Split("subject-independent", 1, "f", tuple(whole), (), tuple(partly)))


def test_an_emotion_that_no_other_corpus_has_cannot_be_tested() -> None:
    other, ravdess = splits(EVERYTHING, "cross-corpus", 1, 2)
    check_emotions(EVERYTHING, other)  # it has not all that ravdess has
    assert only_trained(EVERYTHING, other) == other
    with pytest.raises(SplitError, match=r"split ravdess: no .*calm.* in train"):
        check_emotions(EVERYTHING, ravdess)
    left = only_trained(EVERYTHING, ravdess)
    check_emotions(EVERYTHING, left)
    assert {EVERYTHING[i].emotion for i in left.test} == set(EMOTIONS[2:6])
    assert speakers(EVERYTHING, left.test) == speakers(EVERYTHING, ravdess.test)
    assert (left.train, left.validation) == (ravdess.train, ravdess.validation)


def test_nothing_to_test_is_said() -> None:
    clips = [*corpus("one", 3, EMOTIONS[:2]), *corpus("two", 3, EMOTIONS[2:])]
    split, _ = splits(clips, "cross-corpus", 1, 1)
    with pytest.raises(SplitError, match="split one: none of its emotions is in train"):
        only_trained(clips, split)


def test_nobody_is_tested_on_what_only_a_helper_has() -> None:
    for split in splits(EVERYTHING, "subject-independent", 1, 4, (), ("ravdess",)):
        check_emotions(EVERYTHING, split)  # `other` has half of the emotions
        some = tuple(i for i in split.test if EVERYTHING[i].emotion != "happy")
        with pytest.raises(SplitError, match="no happy in test"):
            check_emotions(EVERYTHING, dataclasses.replace(split, test=some))


@pytest.mark.parametrize(
    ("clips", "protocol", "reason"),
    [
        (CLIPS, "leave-one-out", "no such protocol"),
        (CLIPS, "cross-corpus", "two corpora"),
        (corpus("other", 1), "subject-independent", "1 speakers are too few"),
        ([Clip(Path(e), "mine", e, "mine-1") for e in EMOTIONS], "statement-held-out", "sentence"),
        (CLIPS[:16], "cross-corpus", "two corpora"),
    ],
)
def test_what_the_clips_do_not_allow_is_said(
    clips: list[Clip], protocol: Protocol, reason: str
) -> None:
    with pytest.raises(SplitError, match=reason):
        splits(clips, protocol, 1, 2)
