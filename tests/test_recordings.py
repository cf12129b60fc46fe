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
from training.splits import FOLDS, SplitError

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
