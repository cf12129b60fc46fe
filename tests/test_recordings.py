"""What is on which side, copies and variations included."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import dataset, recordings
from training.config import Config, ConfigError, Data
from training.corpora.clip import Clip
from training.dataset import Dataset, Utterance
from training.recordings import Recordings, gather
from training.sides import SplitError
from training.splits import FOLDS

LABELS = ("happy", "sad")


def made(digests: "list[str] | None" = None, speakers: int = 8) -> Recordings:
    """Two clips of each emotion by each speaker; the samples of a clip are its index."""
    clips = [
        Clip(Path(f"{s}-{emotion}-{take}.wav"), "tiny", emotion, f"tiny-{s}")
        for s in range(speakers)
        for emotion in LABELS
        for take in range(2)
    ]
    heard = [Utterance(i, np.full(400, i, np.int16), {}) for i in range(len(clips))]
    return Recordings(clips, LABELS, heard, digests or [str(i) for i in range(len(clips))])


def test_a_copy_is_on_no_side_and_is_named() -> None:
    digests = [str(i) for i in range(32)]
    digests[30] = digests[1]  # another speaker's, of the other emotion
    found = made(digests)
    (note,) = found.notes
    assert note == "7-sad-0.wav has the same sound as 0-happy-1.wav and is left out"
    for split in found.splits({"subject-independent": (1,), "random": (1, 2)}, 2):
        assert 30 not in (*split.train, *split.validation, *split.test)


def test_clips_in_which_nobody_speaks_are_named() -> None:
    found = made()
    for heard, more in ((1, ""), (3, " and 2 more")):
        (note,) = replace(found, utterances=found.utterances[heard:]).notes
        assert note == f"no speech is found in 0-happy-0.wav{more}"


def test_no_variation_of_a_clip_is_on_another_side() -> None:
    """Training draws from its own side only, however often and however varied."""
    pytest.importorskip("keras", reason="needs the extra training")
    from training.batches import Batches

    config = Config.model_validate(
        {
            "name": "small",
            "version": "1",
            "labels": LABELS,
            "inputs": {"x": {"frames": 4}},
            "network": {"kind": "cnn"},
            "augmentation": {"gain_db": 3, "speed": 0.1, "shift_ms": 5},
            "training": {"batch_size": 4},
        }
    )
    found = made()
    for split in found.splits({"subject-independent": (1,)}, 2):
        batches = Batches(found.examples(split.train), config, Path(), 1)
        seen: set[int] = set()
        varied = batches._varied

        def noted(utterance: Utterance, rng: np.random.Generator) -> dict[str, np.ndarray]:
            seen.add(utterance.clip)  # noqa: B023 - called in this round only
            return varied(utterance, rng)  # noqa: B023

        batches._varied = noted
        for epoch in range(3):
            batches.go_on_with(epoch)
            for index in range(len(batches)):
                batches[index]
        assert seen == set(split.train)
        assert not seen & {*split.validation, *split.test}


def several(labels: tuple[str, ...] = ("happy", "sad", "calm")) -> Recordings:
    """Two corpora, of which only the first has calm clips, and the second no sad ones."""
    clips = [
        Clip(Path(f"{corpus}-{s}-{emotion}.wav"), corpus, emotion, f"{corpus}-{s}")
        for corpus, emotions in (("one", ("happy", "sad", "calm")), ("two", ("happy",)))
        for s in range(4)
        for emotion in emotions
    ]
    heard = [Utterance(i, np.full(400, i, np.int16), {}) for i in range(len(clips))]
    return Recordings(clips, labels, heard, [str(i) for i in range(len(clips))])


def test_what_no_other_corpus_has_is_not_tested_and_that_is_noted() -> None:
    found = several()
    one, two = found.splits({"cross-corpus": (1,)}, 1)
    assert {found.clips[i].emotion for i in one.test} == {"happy"}
    assert len(two.test) == 4
    assert found.untested([one, two, one]) == [
        "cross-corpus, one: sad, calm not tested",
        "cross-corpus, two: sad, calm not tested",
    ]
    (random,) = found.splits({"random": (1,)}, 1)
    assert found.untested([random]) == []


def test_where_emotions_do_not_matter_everything_is_tested() -> None:
    found = several(labels=())
    one, _ = found.splits({"cross-corpus": (1,)}, 1)
    assert len(one.test) == 12
    assert found.untested([one]) == []


def test_helping_corpora_are_gathered_and_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    known = several().clips
    of = {name: [clip for clip in known if clip.corpus == name] for name in ("one", "two")}
    monkeypatch.setattr(recordings.corpora, "load", lambda name, _: of[name])
    digests = [str(i) for i in range(len(known))]
    utterances = several().utterances
    monkeypatch.setattr(dataset, "load", lambda *_: Dataset(list(utterances), digests))
    data = Data(corpora=("one",), train_only=("two",))
    found = gather(data, ("happy", "sad", "calm"), {}, None, Path(), Path())
    assert found.clips == known
    for split in found.splits({"subject-independent": (1,)}, 2):
        assert {found.clips[i].corpus for i in split.test} == {"one"}
        assert "two" in {found.clips[i].corpus for i in split.train}
    examples = found.examples(range(3, 14, 5))
    assert examples.clips == [known[3], known[8], known[13]]


@pytest.mark.parametrize("others", [{"corpora": ("a", "b")}, {"test_only": ("b",)}])
def test_a_corpus_helps_or_is_tested(others: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="b is in train_only and in another list"):
        Data.model_validate({"corpora": ("a",), "train_only": ("b",), **others})


def test_only_clips_of_the_labels_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = made().clips
    monkeypatch.setattr(recordings.corpora, "load", lambda *_: clips)
    monkeypatch.setattr(dataset, "load", lambda clips, *_: Dataset([], ["x"] * len(clips)))
    nothing = ({}, None, Path(), Path())
    found = gather(Data(), ("sad",), *nothing)
    assert {clip.emotion for clip in found.clips} == {"sad"}
    assert gather(Data(), (), *nothing).clips == clips
    with pytest.raises(ConfigError, match="no clip is calm or angry"):
        gather(Data(), ("calm", "angry"), *nothing)


def test_a_side_without_an_emotion_is_refused() -> None:
    """Copies taken away may leave nothing of an emotion."""
    digests = ["same" if i % 4 >= 2 else str(i) for i in range(32)]
    with pytest.raises(SplitError, match="no sad in"):
        made(digests).splits({"subject-independent": (1,)}, 2)
    without = replace(made(digests), labels=())
    assert len(without.splits({"subject-independent": (1,)}, 2)) == FOLDS
