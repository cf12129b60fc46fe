"""A live source: a child process that writes s16le mono PCM at 16 kHz to stdout."""

import fcntl
import logging
import os
import re
import select
import signal
import subprocess
import threading
import time
from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from serd.audio import Pcm

SILENT_AFTER_S = 3.0
"""A child that has given no audio for this long is dead, s: drivers hang more than they fail."""
START_WITHIN_S = 10.0
"""The same before its first audio: cameras and slow machines need seconds to begin."""

_POLITE_S = 0.3  # from SIGTERM to SIGKILL: all of serd ends within 2 s
_READ_BYTES = 16_384
_SLICE_S = 0.1  # how soon a waiting reader sees that it was closed
_LINE = 200
_LINES_PER_S = 20  # of what a child says on stderr; the rest of a flood is left out
_GAP = re.compile(r"serd-gap (\d{1,15}) (\d{1,15})")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Block:
    """What a source delivers."""

    samples: Pcm
    """int16 `[n]` mono at 16 kHz, n ≥ 1."""
    lost: int = 0
    """Samples that were lost just before these: the stream must not be spliced over."""


class SourceError(Exception):
    """A source that gives nothing (more); the message says why, in one line."""


class EndedError(SourceError):
    """A program that has said that all is well, and will give no more."""


class Gaps:
    """Puts gaps, told by their position in the stream, into its blocks."""

    def __init__(self) -> None:
        self._position = 0
        self._ahead: list[tuple[int, int]] = []

    def add(self, position: int, lost: int) -> None:
        """Before sample `position` of the stream `lost` ones are missing."""
        insort(self._ahead, (position, lost))

    def split(self, samples: Pcm) -> list[Block]:
        """The next samples of the stream, cut where one of them follows a gap."""
        blocks = []
        lost = 0
        end = self._position + samples.size
        while self._ahead and self._ahead[0][0] < end:
            position, more = self._ahead.pop(0)
            if position > self._position:
                cut = position - self._position
                blocks.append(Block(samples[:cut], lost))
                samples, self._position, lost = samples[cut:], position, 0
            lost += more
        if samples.size:
            blocks.append(Block(samples, lost))
        self._position = end
        return blocks


class ChildSource:
    """Runs a command for as long as its blocks are asked for.

    Lines `serd-gap POSITION LOST` on the child's stderr, written before the first sample after
    the gap, become `Block.lost`; POSITION counts the samples on stdout. Other lines are logged.
    """

    live = True

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str | None = None,
        silent_after_s: float = SILENT_AFTER_S,
        start_within_s: float = START_WITHIN_S,
    ) -> None:
        self._argv = list(argv)
        self._name = name or self._argv[0]
        self._silent_after_s = silent_after_s
        self._start_within_s = start_within_s
        self._gaps = Gaps()
        self._odd = b""
        self._line = b""
        self._last_line = ""
        self._second = 0.0
        self._lines = 0  # said in it
        self._closed = False
        self._lock = threading.Lock()  # held while the process or its pipes are touched
        self._process: subprocess.Popen[bytes] | None = None

    def blocks(self) -> Iterator[Block]:
        """Start the child and yield what it writes, until `close`.

        Raises:
            SourceError: it cannot be started, ended, or gave no audio for too long.
        """
        try:
            self._start()
            patience_s = self._start_within_s
            while (samples := self._read(patience_s)) is not None:
                yield from self._gaps.split(samples)
                patience_s = self._silent_after_s
        finally:
            self.close()

    def close(self) -> None:
        """End the child and all it started; from any thread, but not from a signal handler."""
        self._closed = True
        with self._lock:
            if self._process is not None:
                _end(self._process)
                self._process = None

    def _start(self) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                process = subprocess.Popen(
                    self._argv,
                    bufsize=0,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                raise SourceError(f"{self._argv[0]}: {reason}") from error
            self._process = process
            assert process.stdout is not None  # noqa: S101 # told to mypy: both are pipes
            assert process.stderr is not None  # noqa: S101
            self._stdout, self._stderr = process.stdout.fileno(), process.stderr.fileno()
            os.set_blocking(self._stderr, False)
            self._stderr_capacity = fcntl.fcntl(self._stderr, fcntl.F_GETPIPE_SZ)
            self._poll = select.poll()
            self._poll.register(self._stdout, select.POLLIN)
            self._poll.register(self._stderr, select.POLLIN)

    def _read(self, patience_s: float) -> Pcm | None:
        """The next samples, at least one; None once closed."""
        deadline = time.monotonic() + patience_s
        while not self._closed:
            with self._lock:
                if self._process is None:
                    break
                wait_s = min(_SLICE_S, max(0.0, deadline - time.monotonic()))
                ready = [fd for fd, _ in self._poll.poll(wait_s * 1000)]
                data = os.read(self._stdout, _READ_BYTES) if self._stdout in ready else None
                if ready:
                    self._hear_stderr()  # after stdout: a gap is told before what follows it
                if data == b"":
                    raise self._ending(self._process)
            if data:
                data = self._odd + data
                even = len(data) & ~1
                self._odd = data[even:]
                if even:
                    return np.frombuffer(data[:even], "<i2").astype(np.int16)
            elif time.monotonic() >= deadline:
                raise SourceError(f"no audio for {patience_s:g} s")
            elif ready:
                time.sleep(_SLICE_S / 2)  # a child that floods stderr must not keep us busy
        return None

    def _hear_stderr(self) -> None:
        try:
            # A whole pipe at once: everything that was written before the samples just read.
            data = os.read(self._stderr, self._stderr_capacity)
        except BlockingIOError:
            return
        if not data:
            with suppress(KeyError):
                self._poll.unregister(self._stderr)  # else poll would never wait again
            data = b"\n"
        *lines, rest = re.split(rb"[\r\n]", self._line + data)
        self._line = rest[:_LINE]
        lines = [line for line in lines if line]
        flood = range(_LINES_PER_S, len(lines) - 1)  # its last line may tell why it ends
        for number, line in enumerate(lines):
            if number not in flood or line.startswith(b"serd-gap "):
                self._hear_line(line[:_LINE].decode(errors="replace").strip())

    def _hear_line(self, line: str) -> None:
        if gap := _GAP.fullmatch(line):
            self._gaps.add(int(gap[1]), int(gap[2]))
        elif line:
            line = "".join(letter if letter.isprintable() else "?" for letter in line)
            self._log(line.removeprefix("serd: ").removeprefix(f"{self._name}: "))
            # serd's own reason counts more than what a library prints after it
            if not self._last_line.startswith("serd: "):
                self._last_line = line

    def _log(self, line: str) -> None:
        now = time.monotonic()
        if now - self._second >= 1:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= _LINES_PER_S:
            _LOG.info("%s: %s", self._name, line)
        elif self._lines == _LINES_PER_S + 1:
            _LOG.info("%s: says more than is logged", self._name)

    def _ending(self, process: subprocess.Popen[bytes]) -> SourceError:
        """Why stdout has ended."""
        if not _ends_within(process, 1):
            return SourceError("closed its stdout")
        self._hear_stderr()
        self._hear_line(self._line.decode(errors="replace").strip())
        code = process.wait()
        said = f": {self._last_line.removeprefix('serd: ')}" if self._last_line else ""
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return (SourceError if code else EndedError)(how + said)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether it ends in time; it is not reaped, so that its group's number stays taken."""
    deadline = time.monotonic() + seconds
    with suppress(ChildProcessError):  # SIGCHLD is ignored: it was reaped at once
        while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.005)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate the process group, kill what is left of it, reap, close the pipes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        _ends_within(process, _POLITE_S)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):  # another user's: the closed pipes must end it
        process.wait(1)
