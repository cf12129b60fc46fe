"""From clips to arrays: cut as the daemon cuts, computed once, kept on disk."""

import hashlib
import importlib
import inspect
import io
import multiprocessing
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from serd import audio
from serd.audio import Floats, Pcm, pcm_to_float
from serd.features import FeatureSpec, extract
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from serd.wording import reason
from training import whole
from training.corpora.clip import Clip, CorpusError
from training.corpora.duplicates import digest

_COMPUTED_BY = ("audio", "vad", "segments", "segmentation", "filterbanks", "features")
"""Modules of serd: another version of one of them is another cache."""


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
    clips: Sequence[Clip]
    """Those that they are cut from, `[utterances]`."""


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
    settings: SegmentSettings,
    cache: Path,
) -> Dataset:
    """Cut the clips into utterances and compute their features.

    Results are kept below `cache` by what they depend on: content, settings, and the program.

    Raises:
        CorpusError: a clip cannot be read.
        CacheError: the disk is full or the like, or a process was killed; what was done so far
            is kept.
    """
    work = partial(_of_file, inputs=dict(inputs), settings=settings, cache=cache)
    paths = [clip.path for clip in clips]
    # Not forked: that is not safe beside the threads of a network that is loaded already.
    try:
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("forkserver")) as pool:
            done = list(track(pool.map(work, paths, chunksize=16), "features", len(paths)))
    except BrokenProcessPool as error:
        raise CacheError(
            f"{cache}: a process was killed, perhaps for lack of memory; what was done is kept"
        ) from error
    found = [
        Utterance(i, samples, features)
        for i, (_, pairs) in enumerate(done)
        for samples, features in pairs
    ]
    return Dataset(found, [own for own, _ in done])


def _of_file(
    path: Path, inputs: dict[str, FeatureSpec], settings: SegmentSettings, cache: Path
) -> tuple[str, list[tuple[Pcm, dict[str, Floats]]]]:
    try:
        content = hashlib.sha256(path.read_bytes())
        content.update(_program() + settings.model_dump_json().encode())
        kept = _kept(cache, content)
        cut = _read(kept)
        if cut is None:
            samples = audio.read(path)
            utterances = [s.samples for s in segments_of([samples], settings)]
            cut = _write(kept, [np.array(digest(samples)), *utterances])
    except (OSError, audio.AudioError) as error:
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


@lru_cache
def _program() -> bytes:
    modules = (importlib.import_module(f"serd.{name}") for name in _COMPUTED_BY)
    return "".join(map(inspect.getsource, modules)).encode()


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
    packed = io.BytesIO()
    np.savez(packed, *arrays)
    try:
        whole.write(kept, packed.getvalue())
    except OSError as error:
        raise CacheError(f"{kept.parents[1]}: {reason(error)}; what was done is kept") from error
    return arrays
