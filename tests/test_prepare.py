"""CREMA-D's spectrograms become clips, once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="needs the extra training")

from serd.audio import read
from training import corpora, prepare
from training.corpora.clip import CorpusError
from training.prepare import PrepareError

NAMES = ("1001_DFA_ANG_XX", "1002_IEO_HAP_HI", "1003_TIE_SAD_XX")
FRAMES = (12, 15, 94)
"""The last file is larger than the others together."""


@pytest.fixture
def mels(tmp_path: Path) -> Path:
    """A data folder with three spectrograms; the second is silent."""
    rng = np.random.default_rng(1)
    mel_db = rng.integers(0, 81, (sum(FRAMES), 128)).astype(np.uint8)
    mel_db[FRAMES[0] : FRAMES[0] + FRAMES[1]] = 0
    file = tmp_path / "data" / prepare.SPECTROGRAMS
    file.parent.mkdir(parents=True)
    np.savez_compressed(file, mel_db=mel_db, frames=np.array(FRAMES), clip=np.array(NAMES))
    return tmp_path / "data"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_spectrograms_become_clips_that_the_loader_finds(
    mels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERD_PREPARED", str(tmp_path / "made"))
    folder = prepare.prepare(mels, jobs=2)
    assert folder == tmp_path / "made" / "crema_d"
    clips = corpora.load("crema_d", mels)
    assert [clip.path.stem for clip in clips] == list(NAMES)
    assert [clip.emotion for clip in clips] == ["angry", "happy", "sad"]
    for clip, frames in zip(clips, FRAMES, strict=True):
        info = soundfile.info(clip.path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert info.frames == (frames - 1) * 256
    peaks = [np.abs(read(clip.path).astype(int)).max() / 32_768 for clip in clips]
    assert peaks == pytest.approx([prepare.PEAK, 0, prepare.PEAK], abs=1e-3)


def test_the_clips_do_not_depend_on_how_they_are_made(mels: Path, tmp_path: Path) -> None:
    one = prepare.prepare(mels, tmp_path / "one", jobs=1)
    two = prepare.prepare(mels, tmp_path / "two", jobs=2)
    assert contents(one) == contents(two)


def test_what_is_there_stays(mels: Path, tmp_path: Path) -> None:
    folder = prepare.prepare(mels, tmp_path / "made", jobs=1)
    whole = contents(folder)
    (folder / f"{NAMES[0]}.flac").write_bytes(b"mine")
    (folder / f"{NAMES[2]}.flac").unlink()
    prepare.prepare(mels, folder, jobs=1)
    assert contents(folder) == whole | {f"{NAMES[0]}.flac": b"mine"}


def test_a_full_disk_keeps_what_is_done(mels: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; the same run without it goes on."""
    pytest.importorskip("resource", reason="needs POSIX")
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from training.prepare import PrepareError, prepare\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))\n"
        "try:\n"
        "    prepare(Path(sys.argv[1]), Path(sys.argv[2]), jobs=1)\n"
        "except PrepareError as error:\n"
        "    print(error, file=sys.stderr)\n"
        "    sys.exit(2)\n"
    )
    folder = tmp_path / "made" / "crema_d"
    done = subprocess.run(
        [sys.executable, "-c", script, mels, folder],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"{folder}: file too large; the clips that are done stay")
    assert done.stderr.count("\n") == 1
    kept = contents(folder)
    assert set(kept) == {"unfinished", f"{NAMES[0]}.flac", f"{NAMES[1]}.flac"}
    prepare.prepare(mels, folder, jobs=1)
    assert contents(folder).items() >= {k: v for k, v in kept.items() if k != "unfinished"}.items()
    assert set(contents(folder)) == {f"{name}.flac" for name in NAMES}


def test_a_run_that_was_cut_off_is_not_taken_for_the_corpus(
    mels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERD_PREPARED", str(tmp_path / "made"))
    folder = prepare.prepare(mels, jobs=1)
    (folder / "unfinished").touch()
    with pytest.raises(CorpusError, match="run serd-train prepare again"):
        corpora.load("crema_d", mels)
    prepare.prepare(mels, jobs=1)
    assert len(corpora.load("crema_d", mels)) == 3


def test_no_spectrograms_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"crema_d_mel128\.npz: no such file") as caught:
        prepare.prepare(tmp_path, tmp_path / "made")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"version https://example", b"PK\x03\x04broken"])
def test_something_else_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "crema_d_mel").mkdir()
    (tmp_path / prepare.SPECTROGRAMS).write_bytes(content)
    with pytest.raises(PrepareError, match="not readable as CREMA-D's spectrograms"):
        prepare.prepare(tmp_path, tmp_path / "made")


def test_spectrograms_of_another_shape_are_refused(tmp_path: Path) -> None:
    (tmp_path / "crema_d_mel").mkdir()
    short = np.zeros((9, 128), np.uint8)
    np.savez(
        tmp_path / prepare.SPECTROGRAMS, mel_db=short, frames=np.array([10]), clip=np.array(["a"])
    )
    with pytest.raises(PrepareError, match="their shapes do not fit"):
        prepare.prepare(tmp_path, tmp_path / "made")


def test_a_folder_that_cannot_be_made_is_one_line(mels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PrepareError, match="not a directory"):
        prepare.prepare(mels, tmp_path / "file" / "made")
