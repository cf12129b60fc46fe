"""From clips to arrays: cut as the daemon cuts, computed once, kept on disk."""

import errno
import hashlib
import multiprocessing
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from serd import audio
from serd.audio import Pcm, pcm_to_float
from serd.features import FeatureSpec, extract
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training.corpora.clip import Clip, CorpusError
from training.corpora.duplicates import digest

Floats = NDArray[np.float32]

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class CacheError(Exception):
    """The cache cannot be written; one line."""


@dataclass(frozen=True)
class Utterance:
    """One segment of a clip."""

    clip: int
    """Its index."""
    samples: Pcm
    """int16 `[n]` at 16 kHz."""
    features: dict[str, Floats]
    """By input: float32 `[t, size]`, or `[size]` of statistics."""


@dataclass(frozen=True)
class Examples:
    """Utterances and what they are."""

    utterances: Sequence[Utterance]
    labels: NDArray[np.int_]
    """Places in a configuration's labels, `[utterances]`."""


@dataclass(frozen=True)
class Dataset:
    """What the daemon hears in clips."""

    utterances: list[Utterance]
    """In the order of the clips; a clip without speech has none."""
    digests: list[str]
    """Of each clip's samples: copies have the same, whatever their names and formats."""


def load(
    clips: Sequence[Clip],
    inputs: Mapping[str, FeatureSpec],
    segments: SegmentSettings,
    cache: Path,
) -> Dataset:
    """Cut the clips into utterances and compute their features.

    Results are kept below `cache` by what they depend on: content, segmentation, features.

    Raises:
        CorpusError: a clip cannot be read.
        CacheError: the disk is full or the like; what was done so far is kept.
    """
    work = partial(_of_file, inputs=dict(inputs), segments=segments, cache=cache)
    paths = [clip.path for clip in clips]
    # Not forked: that is not safe beside the threads of a network that is loaded already.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("forkserver")) as pool:
        done = list(track(pool.map(work, paths, chunksize=16), "features", len(paths)))
    found = [
        Utterance(i, samples, features)
        for i, (_, pairs) in enumerate(done)
        for samples, features in pairs
    ]
    return Dataset(found, [own for own, _ in done])


def _of_file(
    path: Path, inputs: dict[str, FeatureSpec], segments: SegmentSettings, cache: Path
) -> tuple[str, list[tuple[Pcm, dict[str, Floats]]]]:
    try:
        content = hashlib.sha256(path.read_bytes())
        content.update(segments.model_dump_json().encode())
        kept = _kept(cache, content)
        cut = _read(kept)
        if cut is None:
            samples = audio.read(path)
            utterances = [s.samples for s in segments_of([samples], segments)]
            cut = _write(kept, [np.array(digest(samples)), *utterances])
    except (OSError, audio.AudioError) as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            raise CacheError(f"{cache}: {error.strerror}; what was done is kept") from error
        raise CorpusError(f"{path}: {error}") from error
    own, *utterances = cut
    features = {name: _features(utterances, spec, content, cache) for name, spec in inputs.items()}
    return str(own), [
        (samples, {name: rows[i] for name, rows in features.items()})
        for i, samples in enumerate(utterances)
    ]


def _features(
    utterances: Sequence[Pcm], spec: FeatureSpec, content: "hashlib._Hash", cache: Path
) -> list[Floats]:
    key = content.copy()
    key.update(spec.model_dump_json().encode())
    kept = _kept(cache, key)
    found = _read(kept)
    if found is None:
        found = _write(kept, [extract(pcm_to_float(samples), spec) for samples in utterances])
    return found


def _kept(cache: Path, key: "hashlib._Hash") -> Path:
    name = key.hexdigest()[:32]
    return cache / name[:2] / f"{name[2:]}.npz"


def _read(kept: Path) -> list[NDArray[Any]] | None:
    """None where there is nothing, or nothing that can be read: then it is computed again."""
    try:
        with np.load(kept) as arrays:
            return [arrays[f"arr_{i}"] for i in range(len(arrays.files))]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def _write(kept: Path, arrays: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    arrays = list(arrays)
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial_file = kept.with_suffix(f".{os.getpid()}.tmp")
    try:
        with partial_file.open("wb") as file:
            np.savez(file, *arrays)
        partial_file.replace(kept)
    finally:
        partial_file.unlink(missing_ok=True)
    return arrays
