"""Sound that is written: whole or not at all."""

import os
import stat

import numpy as np
import pytest

from serd.audio import OutputError, read, write_blocks

SOUND = (np.random.default_rng(0).normal(0, 3000, 20_000)).astype(np.int16)


def pieces():
    return iter(np.split(SOUND, [100, 9000]))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "A.WAV", "a b.flac", "ünü.wav"])
def test_what_is_written_can_be_read(tmp_path, name):
    write_blocks(tmp_path / name, pieces())
    assert np.array_equal(read(tmp_path / name), SOUND)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a", "no ending: not a format"),
        ("a.txt", r"\.txt: not a format"),
        ("a.raw", r"\.raw: not a format"),
        ("nowhere/a.wav", "no such file or directory"),
        ("folder", "no ending"),
        ("folder.wav", "is not a regular file"),
        ("pipe.wav", "is not a regular file"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path, name, why):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=rf"\A[^\n]*{why}[^\n]*\Z"):
        write_blocks(tmp_path / name, pieces())
    assert sorted(tmp_path.iterdir()) == before


def test_what_was_there_stays_if_the_input_fails(tmp_path):
    def broken():
        yield SOUND
        raise ValueError("no more")

    (tmp_path / "a.wav").write_text("precious")
    with pytest.raises(ValueError, match="no more"):
        write_blocks(tmp_path / "a.wav", broken())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_who_may_read_it_and_where_a_link_points_stay(tmp_path):
    private, link = tmp_path / "private.wav", tmp_path / "link.wav"
    private.touch(0o600)
    link.symlink_to(private)
    write_blocks(link, pieces())
    assert link.is_symlink()
    assert np.array_equal(read(private), SOUND)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
