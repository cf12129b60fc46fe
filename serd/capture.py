"""Sources of sound, from the words in a configuration; every live one is a child process.

`python -m serd.capture DEVICE [SECONDS]` is the child of a microphone, so that a driver that hangs
or crashes takes nothing with it and PortAudio is never loaded here.
"""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from serd import cards
from serd.audio import SAMPLE_RATE, AudioError, read_blocks
from serd.child import START_WITHIN_S, Block, ChildSource, EndedError, SourceError
from serd.microphone import main
from serd.portaudio import Device

__all__ = ["Block", "ChildSource", "Device", "EndedError", "FileSource", "Source"]
__all__ += ["SourceError", "devices", "lasting", "open_source"]

_MICROPHONE = (sys.executable, "-m", "serd.capture")


class Source(Protocol):
    """Where sound comes from; it is read once."""

    live: bool
    """It never waits for its reader, and is to be opened again when it ends."""

    def blocks(self) -> Iterator[Block]:
        """Blocks of any length until `close`; a file's until its end.

        Raises:
            SourceError: it cannot be opened, or a live one ended.
        """

    def close(self) -> None:
        """End `blocks` promptly, from any thread; may be called more than once."""


class FileSource:
    """A sound file, at the speed of a microphone or as fast as it is taken."""

    live = False

    def __init__(
        self,
        path: Path,
        *,
        paced: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Nothing is opened before `blocks`.

        Args:
            path: a file of any format libsndfile knows.
            paced: give each block when a microphone would have heard its last sample.
            clock: monotonic, s.
            wait: sleeps for some seconds, or until `close`.
        """
        self._path = path
        self._paced = paced
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait

    def blocks(self) -> Iterator[Block]:
        """The file's blocks, of 60 ms at 16 kHz; raises SourceError when it cannot be read."""
        start = self._clock()
        position = 0
        try:
            for samples in read_blocks(self._path, 960):
                if samples.size == 0:
                    continue
                position += samples.size
                early_s = start + position / SAMPLE_RATE - self._clock()
                if self._paced and early_s > 0:
                    self._wait(early_s)
                if self._closed.is_set():
                    return
                yield Block(samples)
        except AudioError as error:
            raise SourceError(f"{self._path}: {error}") from error

    def close(self) -> None:
        self._closed.set()


def lasting(spec: str) -> str:
    """The words for the same source that hold when its card gets another number.

    `hw:1,0` becomes `hw:CARD=Device,DEV=0`, if there is such a card now; others stay.
    """
    return cards.lasting(spec, cards.cards()) if spec.startswith(("hw:", "plughw:")) else spec


def open_source(spec: str, look_out_s: float = 0) -> Source:
    """The source that a configuration names; nothing runs before its `blocks`.

    Args:
        spec: `default`, a device, `file:PATH[?speed=max]` or `exec:COMMAND`.
        look_out_s: for how long a microphone that is not there may be waited for.

    Raises:
        SourceError: the words make no sense; all else comes from `blocks`.
    """
    kind, _, rest = spec.partition(":")
    if kind == "file":
        path, mark, speed = rest.rpartition("?speed=")
        if not mark:
            return FileSource(Path(rest))
        if speed != "max":
            raise SourceError(f"speed={speed}: speed can only be max")
        return FileSource(Path(path), paced=False)
    if kind == "exec":
        try:
            command = shlex.split(rest)
        except ValueError as error:
            raise SourceError(f"{rest}: {str(error).lower()}") from error
        if not command:
            raise SourceError("nothing follows exec:")
        return ChildSource(command, name=command[0])
    return ChildSource(
        [*_MICROPHONE, spec, f"{look_out_s:g}"],
        name=f"microphone {spec}",
        start_within_s=START_WITHIN_S + look_out_s,
    )


def devices() -> list[Device]:
    """The inputs that PortAudio finds, asked in a child process.

    Raises:
        SourceError: PortAudio is missing or does not answer.
    """
    try:
        child = subprocess.run(
            [*_MICROPHONE, "--list"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError("PortAudio does not answer") from error
    if child.returncode != 0:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix("serd: ") if lines else "PortAudio failed"
        raise SourceError(reason)
    return [Device(**entry) for entry in json.loads(child.stdout)]


if __name__ == "__main__":
    # Past Python's own end: PortAudio must not be shut down under a thread that still reads.
    os._exit(main(sys.argv[1:]))
