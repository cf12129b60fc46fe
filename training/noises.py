"""Recordings of noises and rooms, read once and kept in memory."""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from serd import audio
from serd.audio import Floats, Pcm
from training.corpora.files import is_sound

Noises = dict[str, list[Pcm]]
Sound = TypeVar("Sound")

VOICES = frozenset({"baby_cry", "person_sneeze", "dude_miaowing"})
"""Kinds of noise that come from people: to a network for voices they are not noise."""

_READING = Lock()  # of several threads that ask at once, one reads


class NoiseError(Exception):
    """Recordings that are missing or cannot be read; one line."""


def files(folder: Path, without: Collection[str] = ()) -> dict[str, list[Path]]:
    """Sound files in a folder and below, in a fixed order; hidden ones are passed over.

    Args:
        folder: where to look.
        without: kinds to leave out.

    Returns:
        Kind → files. The kind is the name of the file's folder, or that of the file itself
        if it lies directly in `folder`.

    Raises:
        NoiseError: there are none.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        kind = path.stem if path.parent == folder else path.parent.name
        if is_sound(path) and kind not in without:
            found.setdefault(kind, []).append(path)
    if not found:
        missing = "no sound in it" if folder.is_dir() else "no such folder"
        raise NoiseError(f"{folder}: {missing}")
    return found


def recordings(folder: Path) -> Noises:
    """Noises below a folder, voices left out: kind → int16 `[n]` each, at `SAMPLE_RATE`.

    The silence before and after a noise is cut off.

    Raises:
        NoiseError: there are none, or one cannot be read or is nothing but silence.
    """
    with _READING:
        return _recordings(folder)


def of_folders(folders: Iterable[Path]) -> Noises:
    """As `recordings`, below several folders; of a kind in two of them, the last one's."""
    return {kind: found for folder in folders for kind, found in recordings(folder).items()}


def rooms(folder: Path) -> dict[str, Floats]:
    """Impulse responses below a folder, by name, float32 `[n]` each, at `SAMPLE_RATE`.

    Raises:
        NoiseError: there are none, or one cannot be read or is nothing but silence.
    """
    with _READING:
        return _rooms(folder)


def named(known: Mapping[str, Sound], names: Collection[str], what: str) -> dict[str, Sound]:
    """Those of these names; raises NoiseError where there is no such, `what` it would be."""
    if unknown := sorted(set(names) - set(known)):
        raise NoiseError(f"no {what} is called {unknown[0]}; there are {', '.join(sorted(known))}")
    return {name: known[name] for name in names}


def impulse_response(measured: Floats) -> Floats:
    """A measured impulse response from the direct sound on, with energy 1.

    The direct sound is the first that comes within 20 dB of the strongest: behind a corner a
    reflection is stronger. The response ends where what follows has less than -40 dB of the
    energy, for that is mostly the noise of the measurement.

    Args:
        measured: float32 `[n]`, any scale, not silent.

    Returns:
        float32 `[m]`, `m <= n`; sample 0 is the direct sound.

    Reference:
        ISO 3382-1:2009, on the start of a response and its decay integrated backwards.
    """
    loud = np.abs(measured)
    response = measured[np.argmax(loud >= 0.1 * loud.max()) :]
    to_come = np.cumsum(np.square(response[::-1], dtype=float))[::-1]
    response = response[to_come >= 1e-4 * to_come[0]]
    return (response / np.sqrt(np.vdot(response, response))).astype(np.float32)


@lru_cache(maxsize=8)
def _recordings(folder: Path) -> Noises:
    found = files(folder, VOICES)
    return {kind: [_trimmed(path) for path in paths] for kind, paths in found.items()}


@lru_cache(maxsize=8)
def _rooms(folder: Path) -> dict[str, Floats]:
    paths = (path for of_a_kind in files(folder).values() for path in of_a_kind)
    return {path.stem: impulse_response(audio.pcm_to_float(_trimmed(path))) for path in paths}


def _trimmed(path: Path) -> Pcm:
    """A recording without what is 60 dB below its peak at either end."""
    try:
        samples = audio.read(path)
    except audio.AudioError as error:
        raise NoiseError(f"{path}: {error}") from error
    loud = np.abs(samples.astype(np.int32))
    if not loud.any():
        raise NoiseError(f"{path}: is silent")
    heard = np.flatnonzero(loud > loud.max() / 1000)
    return samples[heard[0] : heard[-1] + 1]
