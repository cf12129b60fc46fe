"""What is heard is never written to disk: each file that a whole run opens to write is known."""

import re
import shutil
import signal

import numpy as np
import pytest

from serd.audio import pcm_to_float, read

from .adaptive import made_up
from .mosquitto import eventually, mosquitto, watcher
from .running import configuration, running

__all__ = ["mosquitto", "watcher"]  # fixtures

TRACED = "open,openat,openat2,creat,memfd_create,mknod,mknodat"
OPENED = re.compile(
    r'(?:open|openat|openat2|creat)\((?:\w+(?:<[^>]*>)?, )?"(?P<path>[^"]*)", (?P<how>.*)'
)
KNOWN = [
    r"state/outbox\.db(-wal|-journal)?",  # events
    r"state/baselines/\.(cam|file)\.json\.\d+\.part",  # numbers about voices
    r"/dev/null",
]
PIECE = 16
"""Samples in a row that are in no file by chance."""


def opened_to_write(trace):
    """The paths of all files that were opened or made for writing, whether or not that worked."""
    lines = trace.splitlines()
    assert any("O_RDONLY" in line for line in lines), "nothing was traced"
    assert not any(re.search(r" (memfd_create|mknod)", line) for line in lines)
    for line in lines:
        found = OPENED.search(line)
        if found and re.search("O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|creat", line):
            yield found["path"]


def pieces(pcm):
    """Parts of a sound as any of the ways in which serd holds it, out of its loud ones."""
    starts = [
        start for start in range(0, pcm.size, 4_000) if abs(pcm[start : start + PIECE]).min() > 20
    ]
    assert len(starts) > 10
    for start in starts:
        part = pcm[start : start + PIECE]
        yield from (part.astype("<i2").tobytes(), pcm_to_float(part).tobytes())
        yield from (part.astype(np.float64).tobytes(), ",".join(map(str, part)).encode())


def test_a_run_writes_events_and_voices_and_no_sound(
    command, mosquitto, watcher, woman, tmp_path, monkeypatch
):
    strace = shutil.which("strace") or pytest.skip("the program strace is not installed")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # that is Python's, not serd's
    pcm, other = read(woman), tmp_path / "speech.pcm"
    other.write_bytes(pcm.astype("<i2").tobytes())
    model = made_up(tmp_path / "habit")
    path = configuration(
        tmp_path, mosquitto.url, f'state_dir = "{tmp_path}/state"\nmodel = "{model}"'
    )
    loop = f"while cat '{other}'; do sleep 4; done"
    trace = tmp_path / "trace"
    words = [strace, "-D", "-f", "--seccomp-bpf", "-y", "-e", f"trace={TRACED}", "-o", str(trace)]
    words += [*command, "-v", "run", "--denoise", "on", "--config", str(path)]
    words += ["--source", f'cam=exec:sh -c "{loop}"', "--source", f"file=file:{woman}"]
    with running(tmp_path / "run", words) as serd:
        eventually(lambda: len(watcher.payloads("serd/pi/file/event")) >= 1)
        eventually(lambda: len(watcher.payloads("serd/pi/cam/event")) >= 5)
        mosquitto.kill()  # what follows waits on disk
        heard = len(serd.out)
        eventually(lambda: len(serd.out) >= heard + 4)
        assert serd.end(signal.SIGTERM) == 0
        ended = f"{serd.process.pid} +++ exited with 0 +++"
        eventually(lambda: ended in " ".join(trace.read_text().split()), "the end of the trace")
    known = [
        re.compile(name if name.startswith("/") else re.escape(f"{tmp_path}/") + name)
        for name in KNOWN
    ]
    written = set(opened_to_write(trace.read_text()))
    assert f"{tmp_path}/state/outbox.db" in written
    assert any("baselines" in name for name in written)
    assert [name for name in written if not any(one.fullmatch(name) for one in known)] == []
    left = [one for one in (tmp_path / "state").rglob("*") if one.is_file()]
    left += [tmp_path / "run" / "stdout", tmp_path / "run" / "stderr"]
    content = b"".join(one.read_bytes() for one in left)
    assert b'"source":"cam"' in content
    assert [piece for piece in pieces(pcm) if piece in content] == []
    assert next(pieces(pcm)) in other.read_bytes()  # it would be found
