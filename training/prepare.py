"""Audio of CREMA-D from its spectrograms, made once and kept.

The level of each clip is lost in its spectrogram: the loudest sample is set to `PEAK`.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.progress import track

from serd.audio import SAMPLE_RATE, float_to_pcm
from serd.wording import reason
from training import whole
from training.corpora import crema_d
from training.griffin_lim import N_MELS, sound

SPECTROGRAMS = Path("crema_d_mel", "crema_d_mel128.npz")
"""Where they are below the data folder."""
PEAK = 0.9

Mel = NDArray[np.uint8]

_UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error)
"""What NumPy may say of a file that is broken or something else."""


class PrepareError(Exception):
    """Spectrograms that are missing, or clips that cannot be written; one line."""


def prepare(data: Path, output: Path | None = None, jobs: int | None = None) -> Path:
    """Turn CREMA-D's spectrograms into 16-kHz FLAC files, 16 bit; those that are there stay.

    Args:
        data: the folder of the corpora, with `SPECTROGRAMS` in it.
        output: where the clips go; by default where `crema_d.load` looks for them.
        jobs: how many processes; by default one per core. The result does not depend on it.

    Returns:
        The folder with the clips.

    Raises:
        PrepareError: there are no spectrograms, or the clips cannot be written; what was made
            until then stays.
    """
    folder = crema_d.prepared() if output is None else output
    mels = _read(data / SPECTROGRAMS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        todo = {name: mel for name, mel in mels.items() if not _file(folder, name).is_file()}
        if todo:
            (folder / crema_d.UNFINISHED).touch()
            _make(todo, folder, jobs)
        (folder / crema_d.UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        raise PrepareError(
            f"{folder}: {reason(error)}; the clips that are done stay, run it again to go on"
        ) from error
    except BrokenProcessPool as error:
        raise PrepareError(
            f"{folder}: a process was killed, perhaps for lack of memory; run it again to go on"
        ) from error
    return folder


def _read(path: Path) -> dict[str, Mel]:
    """Spectrograms `[frames, N_MELS]` by the names of their clips."""
    try:
        with np.load(path) as arrays:
            frames, mel_db, names = arrays["frames"], arrays["mel_db"], arrays["clip"]
    except FileNotFoundError as error:
        raise PrepareError(f"{path}: no such file; CREMA-D's spectrograms belong there") from error
    except _UNREADABLE as error:
        raise PrepareError(f"{path}: not readable as CREMA-D's spectrograms") from error
    if mel_db.shape != (frames.sum(), N_MELS) or len(names) != len(frames):
        raise PrepareError(f"{path}: not CREMA-D's spectrograms: their shapes do not fit")
    return dict(zip(map(str, names), np.split(mel_db, np.cumsum(frames)[:-1]), strict=True))


def _make(mels: dict[str, Mel], folder: Path, jobs: int | None) -> None:
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        done: Iterator[None] = pool.map(partial(_write, folder), mels, mels.values(), chunksize=8)
        for _ in track(done, "CREMA-D", len(mels)):
            pass


def _write(folder: Path, name: str, mel: Mel) -> None:
    """Make one clip, whole or not at all."""
    samples = sound(mel, seed=zlib.crc32(name.encode()))
    peak = np.abs(samples).max(initial=0)
    encoded = io.BytesIO()  # libsndfile itself would not say that a disk is full
    pcm = float_to_pcm(samples * np.float32(PEAK / peak if peak > 0 else 0))
    soundfile.write(encoded, pcm, SAMPLE_RATE, format="FLAC")
    whole.write(_file(folder, name), encoded.getvalue())


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.flac"
