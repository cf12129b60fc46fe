"""`serd classify` and the files that people have."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from serd.audio import SAMPLE_RATE, AudioError, read

from .program import long_file, one_line


def objects(done):
    return {Path(found["file"]).name: found for found in map(json.loads, done.stdout.splitlines())}


def test_what_cannot_be_read_gets_a_line_each_and_the_others_are_done(serd, tmp_path, woman):
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 50)
    (tmp_path / "zero.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "head.wav").write_bytes(b"RIFF\xff\xff\xff\x7fWAVEfmt ")
    reasons = {
        "text.wav": "not readable as sound (",
        "zero.wav": "is empty",
        "folder.wav": "is a directory",
        "loop.wav": "too many levels of symbolic links",
        "head.wav": "not readable as sound (",
        "none.wav": "no such file or directory",
        f"{'x' * 300}.wav": "file name too long",
    }
    bad = [tmp_path / name for name in reasons]
    done = serd("classify", "--format", "jsonl", woman, *bad, woman)
    assert done.returncode == 1
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == [str(woman)] * 2
    lines = done.stderr.splitlines()
    assert len(lines) == len(bad)
    for line, path, reason in zip(lines, bad, reasons.values(), strict=True):
        assert line.startswith(f"serd: {path}: {reason}")


def test_a_file_that_may_not_be_read(serd, command, tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.geteuid() == 0:  # who may read every file
        without = "--bounding-set=-dac_override,-dac_read_search"
        tool = shutil.which("setpriv") or pytest.skip("no setpriv")
        if subprocess.run([tool, without, "true"], capture_output=True, check=False).returncode:
            pytest.skip("root may not give up rights here")
        command[:0] = [tool, without]
    one_line(serd("classify", path), 1, f"{path}: permission denied")
    done = serd("run", "--once", "--broker", "none", "--source", f"a=file:{path}")
    one_line(done, 1, f"source a: {path}: permission denied")


@pytest.mark.parametrize(
    "content", [b"This is no sound.\n" * 50, bytes(5_000), b"\xff\xfb\x90\x64"]
)
def test_what_is_only_called_mp3_cannot_be_read(tmp_path, content):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"\Anot readable as sound\Z"):
        read(path)


def test_odd_files_that_work(serd, tmp_path, speech):
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, speech, SAMPLE_RATE, subtype="PCM_16")
    content = whole.read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    (tmp_path / "header.wav").write_bytes(content[:44])
    telephone = soxr.resample(speech, SAMPLE_RATE, 8_000)
    stereo = np.stack([telephone, telephone], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 8_000, subtype="FLOAT")
    broken = speech.copy()
    broken[20_000:20_100], broken[30_000:30_010] = np.nan, np.inf
    soundfile.write(tmp_path / "nan.wav", broken, SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), SAMPLE_RATE)
    names = ["whole", "cut", "header", "stereo", "nan", "nothing"]
    done = serd("classify", "--format", "jsonl", *(tmp_path / f"{name}.wav" for name in names))
    assert (done.returncode, done.stderr) == (0, "")
    found = objects(done)
    length = found["whole.wav"]["duration_s"]
    assert found["cut.wav"]["duration_s"] == pytest.approx(length / 2, abs=0.01)
    assert found["stereo.wav"]["duration_s"] == pytest.approx(length, abs=0.01)
    assert found["nan.wav"]["duration_s"] == length
    for name in ("whole.wav", "cut.wav", "stereo.wav", "nan.wav"):
        assert sum(found[name]["scores"].values()) == pytest.approx(1, abs=1e-3)
    for name in ("header.wav", "nothing.wav"):
        assert (found[name]["duration_s"], found[name]["segments"]) == (0, [])


def test_file_names_of_any_bytes(serd, tmp_path, woman):
    names = [
        b"two words.flac",
        b"two\nlines.flac",
        b"\xff\xfe.flac",
        b"-m.flac",
        "ä😀.flac".encode(),
    ]
    folder = os.fsencode(tmp_path)
    for name in names:
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(woman.read_bytes())
    missing = b"no\nsuch\xff.flac"
    files = [folder + b"/" + name for name in [*names, missing]]
    for form, lines in (("table", len(names)), ("jsonl", len(names))):
        done = serd("classify", "--format", form, *files)
        assert done.returncode == 1
        assert len(done.stdout.splitlines()) == lines
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.endswith(r"no\nsuch\udcff.flac: no such file or directory" + "\n")
    said = [os.fsencode(json.loads(line)["file"]) for line in done.stdout.splitlines()]
    assert said == files[:-1]


PEAK = """
import atexit, re, sys
from pathlib import Path
@atexit.register
def _():
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
from serd.cli import main
main()
"""


def peak_mb(path):
    """The most memory that classifying a file takes, and what is found."""
    words = [sys.executable, "-c", PEAK, "classify", "--format", "jsonl", path]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stderr) / 1000, json.loads(done.stdout)


@pytest.mark.parametrize("hours", [0.5, pytest.param(3, marks=pytest.mark.system)])
def test_a_long_file_takes_no_more_memory(tmp_path, speech, woman, hours):
    path = tmp_path / "long.wav"
    long_file(path, speech, hours)
    little, short = peak_mb(woman)
    much, long = peak_mb(path)
    assert long["duration_s"] == 3600 * hours
    assert len(long["segments"]) >= 60 * hours * len(short["segments"])
    assert much - little < 25


def test_denoise_never_overwrites_what_it_reads(serd, tmp_path, woman):
    path, link = tmp_path / "a.flac", tmp_path / "b.flac"
    path.write_bytes(woman.read_bytes())
    link.symlink_to(path)
    for target in (path, link):
        one_line(serd("denoise", path, target), 2, f"{target}: is what is to be read, too")
    assert path.read_bytes() == woman.read_bytes()
