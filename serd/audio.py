"""PCM: conversions, decoding files block by block, resampling and framing of streams.

Inside serd, sound is int16 mono at `SAMPLE_RATE`.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
Floats = NDArray[np.float32]

SAMPLE_RATE = 16_000
"""Hz, of everything after decoding."""

_NO_MPEG = 7
"""libsndfile's error for what is called `.mp3` and is none; it says that the file is not there."""


class AudioError(Exception):
    """A file that cannot be read as sound; the message says why, in one line."""


class OutputError(Exception):
    """A file that cannot be written; one line."""


def pcm_to_float(pcm: Pcm) -> Floats:
    """int16 to float32, -1…1.

    >>> pcm_to_float(np.array([-32768, 16384], np.int16))
    array([-1. ,  0.5], dtype=float32)
    """
    return pcm.astype(np.float32) / np.float32(32_768)


def float_to_pcm(samples: Floats) -> Pcm:
    """float32 to int16, clipped to -1…1; what is not a number becomes 0.

    >>> float_to_pcm(np.array([-2, 0.5, np.nan], np.float32))
    array([-32768,  16384,      0], dtype=int16)
    """
    scaled = np.rint(np.nan_to_num(samples, posinf=1, neginf=-1) * 32_768)
    return np.clip(scaled, -32_768, 32_767).astype(np.int16)


class Resampler:
    """Turns a stream of float32 `[n]` or `[n, channels]` into int16 mono at `SAMPLE_RATE`."""

    def __init__(self, sample_rate: int) -> None:
        self._stream = (
            None
            if sample_rate == SAMPLE_RATE
            else soxr.ResampleStream(sample_rate, SAMPLE_RATE, num_channels=1, dtype="float32")
        )

    def feed(self, samples: Floats) -> Pcm:
        """What is ready after these samples; a few milliseconds may stay inside."""
        return self._resample(samples, last=False)

    def flush(self) -> Pcm:
        """The rest, at the end of the stream."""
        return self._resample(np.zeros(0, np.float32), last=True)

    def _resample(self, samples: Floats, last: bool) -> Pcm:
        # Before any filter: one infinity would spread over its whole length.
        finite = np.clip(np.nan_to_num(samples, posinf=1, neginf=-1), -1, 1)
        mono = finite if finite.ndim == 1 else finite.mean(axis=1)
        if self._stream is not None:
            mono = self._stream.resample_chunk(mono, last=last)
        return float_to_pcm(mono)


def read_blocks(path: Path, block_samples: int = SAMPLE_RATE) -> Iterator[Pcm]:
    """Decode a file of any format libsndfile knows, a block at a time.

    Args:
        path: a sound file.
        block_samples: samples per block at the file's own rate, at least 1.

    Yields:
        int16 `[n]` mono at `SAMPLE_RATE`.

    Raises:
        AudioError: it is not a file, not sound, or broken.
    """
    try:
        if path.is_dir():
            raise AudioError("is a directory")
        if not path.is_file() and path.exists():
            raise AudioError("is not a regular file")
        if path.stat().st_size == 0:
            raise AudioError("is empty")
        path.open("rb").close()  # for libsndfile does not tell why the system refuses
        with soundfile.SoundFile(os.fsencode(path)) as file:  # it would not take every name
            resampler = Resampler(file.samplerate)
            while (block := file.read(block_samples, dtype="float32", always_2d=True)).size:
                yield resampler.feed(block)
            yield resampler.flush()
    except soundfile.LibsndfileError as error:
        said = f" ({error.error_string.rstrip('.')})" if error.code != _NO_MPEG else ""
        raise AudioError(f"not readable as sound{said}") from error
    except OSError as error:
        raise AudioError((error.strerror or str(error)).lower()) from error


def read(path: Path) -> Pcm:
    """A whole file as int16 `[n]` mono at `SAMPLE_RATE`; raises as `read_blocks` does."""
    return np.concatenate(list(read_blocks(path)) or [np.zeros(0, np.int16)])


def write_blocks(path: Path, blocks: Iterable[Pcm]) -> None:
    """Encode a sound as mono at `SAMPLE_RATE`; nothing is left behind if that fails.

    Args:
        path: its ending says the format.
        blocks: int16 `[n]` each; what iterating raises is passed on.

    Raises:
        OutputError: the ending is unknown, it is no regular file, or it cannot be written.
    """
    name = path.suffix[1:].upper()
    if name not in soundfile.available_formats() or not soundfile.default_subtype(name):
        raise OutputError(f"{path}: {path.suffix or 'no ending'}: not a format that can be written")
    whole = path.resolve()  # a link stays one
    part = whole.with_name(f".{whole.name}.{os.getpid()}.part")
    try:
        if whole.exists() and not whole.is_file():
            raise OutputError(f"{path}: is not a regular file")
        try:
            part.touch(exist_ok=False)
            with soundfile.SoundFile(os.fsencode(part), "w", SAMPLE_RATE, 1, format=name) as file:
                for block in blocks:
                    file.write(block)
            if whole.exists():
                shutil.copymode(whole, part)
            part.replace(whole)
        finally:
            part.unlink(missing_ok=True)
    except soundfile.LibsndfileError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.error_string.rstrip('.')})"
        ) from error
    except OSError as error:
        raise OutputError(f"{path}: {(error.strerror or str(error)).lower()}") from error


class Framer:
    """Cuts a stream of blocks of any length into frames of one length."""

    def __init__(self, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._rest = np.zeros(0, np.int16)

    def feed(self, block: Pcm) -> Iterator[Pcm]:
        """The frames that are complete after this block, int16 `[frame_samples]` each."""
        samples = np.concatenate([self._rest, block])
        whole = samples.size // self._frame_samples * self._frame_samples
        self._rest = samples[whole:]
        yield from samples[:whole].reshape(-1, self._frame_samples)

    def flush(self) -> Pcm:
        """The samples that did not fill a frame; the framer is empty afterwards."""
        rest, self._rest = self._rest, np.zeros(0, np.int16)
        return rest
