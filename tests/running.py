"""The daemon as a process of its own, and somebody who speaks when asked to."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serd.audio import read, read_blocks
from serd.segmentation import segments_of
from serd.settings import SegmentSettings

from .mosquitto import PATIENCE_S, eventually

PIPE_SAMPLES = 65_536 // 2
"""As many a pipe may hold."""


class Running:
    """A command that was started; what it prints goes to files."""

    def __init__(self, folder: Path, words: list[str], env: Mapping[str, str] | None = None):
        self._folder = folder
        folder.mkdir()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env
            )

    @property
    def out(self) -> list[str]:
        """The whole lines on stdout."""
        return (self._folder / "stdout").read_text().split("\n")[:-1]

    @property
    def err(self) -> str:
        return (self._folder / "stderr").read_text()

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait for its end, after a signal or without one; its exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(3 * PATIENCE_S)
        assert "Traceback" not in self.err, self.err
        return code


@contextmanager
def running(
    folder: Path, words: list[str], env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A command that is killed at last, should it still be there."""
    one = Running(folder, words, env)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


class Talker:
    """A live source: silence at the speed of a microphone, and a recording when asked to."""

    def __init__(self, folder: Path, recording: Path) -> None:
        self.pcm = read(recording)
        """int16 `[n]`, what it says."""
        folder.mkdir()
        self.pcm_path = folder / "speech.pcm"
        self.pcm_path.write_bytes(self.pcm.astype("<i2").tobytes())
        self._asked, self._spoken = folder / "speak", folder / "spoken"
        script = folder / "talk.sh"
        script.write_text(
            f"cd '{folder}'\n"
            "while head -c 3200 /dev/zero; do\n"
            "  if [ -e speak ]; then rm speak; cat speech.pcm; touch spoken; fi\n"
            "  sleep 0.1\n"
            "done\n"
        )
        self.spec = f"exec:sh '{script}'"

    def speak(self) -> None:
        """Say it once more; returns when at most a pipe's content of it is unheard."""
        self._spoken.unlink(missing_ok=True)
        self._asked.touch()
        eventually(self._spoken.exists, "the end of the speech")


def durations_ms(recording: Path) -> list[int]:
    """Of each utterance that is to be found in a recording."""
    segments = segments_of(read_blocks(recording), SegmentSettings())
    return [round(segment.samples.size / 16) for segment in segments]


def configuration(folder: Path, broker: str, more: str = "") -> Path:
    """A file that names the node `pi` and has its health told each second."""
    path = folder / "serd.toml"
    path.write_text(f'node = "pi"\n{more}\n[mqtt]\nbroker = "{broker}"\n[health]\ninterval_s = 1\n')
    return path


def loads(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]
