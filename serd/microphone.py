"""A microphone's own process: PortAudio in, s16le mono at 16 kHz out; run by `serd.capture`.

Reads are blocking: a callback from PortAudio needs memory that can be written and executed,
which systemd's `MemoryDenyWriteExecute=yes` refuses.
"""

import json
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from queue import Empty, Full, Queue
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import SAMPLE_RATE, Pcm, Resampler, pcm_to_float
from serd.cards import cards
from serd.child import SILENT_AFTER_S, START_WITHIN_S
from serd.portaudio import (
    MicrophoneError,
    find,
    inputs,
    load,
    look_again,
    one_line,
    open_stream,
)

LOOK_AGAIN_S = 1.0
"""From one look for a device that is not there to the next, s."""
READS_PER_S = 50
QUEUED_S = 10
"""How much is kept while nobody takes it from stdout; what comes then is dropped."""


@dataclass(frozen=True)
class Heard:
    """One read."""

    samples: NDArray[np.int16]
    """`[n, channels]` at the device's rate."""
    lost: int
    """Samples at the device's rate that are missing before these."""


class Loss:
    """Estimates what an overflow swallowed: the clock against the samples that came."""

    def __init__(self, sample_rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._sample_rate = sample_rate
        self._clock = clock
        self._start = clock()
        self._accounted = 0
        self._behind: deque[float] = deque(maxlen=READS_PER_S)

    def after(self, samples: int, available: int, overflowed: bool) -> int:
        """How many samples are missing before those just read.

        Args:
            samples: how many were read.
            available: how many more the driver holds already.
            overflowed: whether PortAudio says that some were lost.

        Returns:
            0 without an overflow, else an estimate of at least 1.
        """
        self._accounted += samples
        elapsed_s = self._clock() - self._start
        behind = elapsed_s * self._sample_rate - self._accounted - available
        lost = 0
        if overflowed:
            # The median of the last second follows the drift between the two clocks.
            lost = max(1, round(behind - median(self._behind))) if self._behind else 1
            self._accounted += lost
            behind -= lost
        self._behind.append(behind)
        return lost


def listen(stream: Any, heard: Queue[Heard | Exception]) -> None:
    """Copy and enqueue until reading fails; that error is the last thing in the queue.

    Args:
        stream: a started `sounddevice.RawInputStream`.
        heard: what is dropped when it is full counts as lost before the next one.
    """
    try:
        sample_rate = round(stream.samplerate)
        count = sample_rate // READS_PER_S
        loss = Loss(sample_rate)
        lost = 0
        while True:
            data, overflowed = stream.read(count)
            samples = np.frombuffer(bytes(data), np.int16).reshape(-1, stream.channels)
            lost += loss.after(len(samples), stream.read_available, overflowed)
            try:
                heard.put_nowait(Heard(samples, lost))
                lost = 0
            except Full:
                lost += len(samples)
    except Exception as error:  # noqa: BLE001 # whatever it is, the main thread must say it
        heard.put(error)


class Writer:
    """Writes s16le at `SAMPLE_RATE`, and the places of gaps as `serd-gap POSITION LOST`."""

    def __init__(self, sample_rate: int, out: int, err: int) -> None:
        self._sample_rate = sample_rate
        self._out = out
        self._err = err
        self._resampler = Resampler(sample_rate)
        self._position = 0

    def feed(self, heard: Heard) -> None:
        """Write one read; raises BrokenPipeError when nobody listens any more."""
        if heard.lost:
            self._write(self._resampler.flush())
            lost = max(1, round(heard.lost * SAMPLE_RATE / self._sample_rate))
            # One write before the samples after the gap: the reader relies on this order.
            os.write(self._err, f"serd-gap {self._position} {lost}\n".encode())
            self._resampler = Resampler(self._sample_rate)
        self._write(self._resampler.feed(pcm_to_float(heard.samples)))

    def _write(self, pcm: Pcm) -> None:
        self._position += pcm.size
        rest = memoryview(pcm.astype("<i2").tobytes())
        while rest:
            rest = rest[os.write(self._out, rest) :]


def opened(wanted: str, err: int, look_out_s: float) -> Any:
    """A started stream; a device that is not there is looked for again and again for a while.

    Raises:
        MicrophoneError: it did not come in time, or cannot be opened.
    """
    give_up = time.monotonic() + look_out_s
    looks = 0
    while True:
        hung = threading.Timer(START_WITHIN_S, _end_hung, [wanted, err])
        hung.start()
        try:
            portaudio = load()
            if looks:
                look_again(portaudio)
            return open_stream(portaudio, find(wanted, inputs(portaudio), cards()))
        except MicrophoneError:
            if time.monotonic() + LOOK_AGAIN_S > give_up:
                raise
        finally:
            hung.cancel()
        looks += 1
        time.sleep(LOOK_AGAIN_S)


def _end_hung(wanted: str, err: int) -> None:
    os.write(err, f"serd: microphone {wanted}: does not answer\n".encode(errors="replace"))
    os._exit(2)


def record(wanted: str, out: int, err: int, look_out_s: float = 0) -> None:
    """Write what a device hears until it fails or nobody reads it any more.

    Args:
        wanted: the device.
        out: where the samples go.
        err: where gaps are told.
        look_out_s: for how long to wait for a device that is not there.

    Raises:
        MicrophoneError: the device cannot be found, opened or read, or gives no audio.
        BrokenPipeError: nobody reads `out`.
    """
    stream = opened(wanted, err, look_out_s)
    heard: Queue[Heard | Exception] = Queue(QUEUED_S * READS_PER_S)
    threading.Thread(target=listen, args=(stream, heard), daemon=True).start()
    writer = Writer(round(stream.samplerate), out, err)
    while True:
        try:
            item = heard.get(timeout=SILENT_AFTER_S)
        except Empty:
            raise MicrophoneError(f"no audio for {SILENT_AFTER_S:g} s") from None
        if isinstance(item, Exception):
            raise MicrophoneError(one_line(item)) from item
        writer.feed(item)


def main(arguments: list[str]) -> int:
    """`python -m serd.capture DEVICE [SECONDS]`, or `--list` for JSON; the exit code.

    For so many seconds a device that is not there is waited for.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not get among the samples
    err = os.dup(2)  # which sounddevice keeps shut while PortAudio begins
    wanted, *look_out_s = arguments or [""]
    if len(arguments) not in (1, 2):
        os.write(2, b"serd: one device, or --list\n")
        return 2
    try:
        if arguments == ["--list"]:
            devices = [asdict(device) for device in inputs(load())]
            os.write(out, json.dumps(devices).encode())
        else:
            record(wanted, out, err, *map(float, look_out_s))
    except MicrophoneError as error:
        where = "" if arguments == ["--list"] else f" {wanted}"
        os.write(2, f"serd: microphone{where}: {error}\n".encode(errors="replace"))
        return 2
    except BrokenPipeError:
        pass
    return 0
