"""What training reads is what the daemon hears, kept on disk."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from serd.audio import pcm_to_float, read
from serd.features import FeatureSpec, extract
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training import dataset
from training.corpora.clip import Clip, CorpusError
from training.corpora.duplicates import duplicates
from training.dataset import CacheError, load

from . import tiny_corpus

SPECS = {
    "frames": FeatureSpec(),
    "statistics": FeatureSpec(kinds=("mfcc",), statistics=("mean", "std")),
}


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    """Two sentences, a FLAC copy of the first, and silence."""
    found = []
    sounds = [tiny_corpus.sentence(1, 1, 1), tiny_corpus.sentence(2, 3, 1)]
    for name, sound in zip(
        ("a.wav", "b.wav", "a_copy.flac", "silence.wav"),
        (*sounds, sounds[0], np.zeros(tiny_corpus.RATE)),
        strict=True,
    ):
        samples = (sound * 32767).astype(np.int16)
        soundfile.write(tmp_path / name, samples, tiny_corpus.RATE)
        found.append(Clip(tmp_path / name, "tiny", "happy", "tiny-1"))
    return found


def test_it_is_what_the_daemon_hears(clips: list[Clip], tmp_path: Path) -> None:
    heard = load(clips, SPECS, SegmentSettings(), tmp_path / "cache")
    assert [u.clip for u in heard.utterances] == [0, 1, 2]
    for utterance in heard.utterances:
        (segment,) = segments_of([read(clips[utterance.clip].path)], SegmentSettings())
        assert np.array_equal(utterance.samples, segment.samples)
        for name, spec in SPECS.items():
            expected = extract(pcm_to_float(segment.samples), spec)
            assert np.array_equal(utterance.features[name], expected)


def test_copies_are_found_whatever_their_format(clips: list[Clip], tmp_path: Path) -> None:
    heard = load(clips, SPECS, SegmentSettings(), tmp_path / "cache")
    assert duplicates(heard.digests) == [(0, 2)]


def test_nothing_is_computed_twice(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = dataset._of_file(clips[0].path, SPECS, SegmentSettings(), cache)

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(dataset, "extract", never)
    monkeypatch.setattr(dataset, "segments_of", never)
    again = dataset._of_file(clips[0].path, SPECS, SegmentSettings(), cache)
    assert first[0] == again[0]
    assert np.array_equal(first[1][0][1]["frames"], again[1][0][1]["frames"])
    with pytest.raises(AssertionError):  # other settings are another result
        dataset._of_file(clips[0].path, SPECS, SegmentSettings(speech_pad_ms=90), cache)


def test_an_unreadable_clip_is_named(clips: list[Clip], tmp_path: Path) -> None:
    clips[1].path.write_text("not sound")
    with pytest.raises(CorpusError, match=r"b\.wav: not readable as sound"):
        load(clips, SPECS, SegmentSettings(), tmp_path / "cache")


@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_is_said_and_what_was_done_is_kept(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Whichever file it is that the disk has no room for: the utterances, or some features."""
    cache = tmp_path / "cache"
    dataset._of_file(clips[0].path, SPECS, SegmentSettings(), cache)
    kept = {path for path in cache.rglob("*") if path.is_file()}
    write_bytes, written = Path.write_bytes, []

    def until_full(path: Path, content: bytes) -> int:
        write_bytes(path, content[:10])
        if len(written) == room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", until_full)
    with pytest.raises(CacheError, match="cache: no space left on device; what was done is kept"):
        dataset._of_file(clips[1].path, SPECS, SegmentSettings(), cache)
    left = {path for path in cache.rglob("*") if path.is_file()}
    assert kept <= left
    assert len(left - kept) == room
    monkeypatch.undo()
    assert dataset._of_file(clips[1].path, SPECS, SegmentSettings(), cache)[1]


def test_a_cache_that_cannot_be_is_not_the_fault_of_a_clip(
    clips: list[Clip], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(CacheError, match=r"cache: .*; what was done is kept"):
        dataset._of_file(clips[0].path, SPECS, SegmentSettings(), tmp_path / "cache")


def test_another_program_is_another_cache(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset._of_file(clips[0].path, SPECS, SegmentSettings(), tmp_path)
    before = set(tmp_path.rglob("*.npz"))
    monkeypatch.setattr(dataset, "_program", lambda: b"another")
    dataset._of_file(clips[0].path, SPECS, SegmentSettings(), tmp_path)
    after = set(tmp_path.rglob("*.npz"))
    assert before < after
    assert len(after) == 2 * len(before)


@pytest.mark.parametrize("left", [0, 200])
def test_a_damaged_file_in_the_cache_is_computed_again(
    clips: list[Clip], tmp_path: Path, left: int
) -> None:
    cache = tmp_path / "cache"
    first = dataset._of_file(clips[0].path, SPECS, SegmentSettings(), cache)
    for file in cache.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:left])
    again = dataset._of_file(clips[0].path, SPECS, SegmentSettings(), cache)
    assert first[0] == again[0]
    assert np.array_equal(first[1][0][1]["frames"], again[1][0][1]["frames"])
