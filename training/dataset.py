"""From clips to arrays: cut as the daemon cuts, computed once, kept on disk."""

import hashlib
import os
from collections.abc import Sequence
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
from training.corpora.clip import Clip

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """One segment of a clip."""

    clip: int
    """Its index."""
    samples: Pcm
    features: Floats
    """float32 `[t, size]`."""


def utterances(
    clips: Sequence[Clip], spec: FeatureSpec, segments: SegmentSettings, cache: Path
) -> list[Utterance]:
    """What the daemon would hear in each clip; a clip without speech gives none.

    Results are kept below `cache` by what they depend on: content, segmentation, features.
    """
    work = partial(_of_file, spec=spec, segments=segments, cache=cache)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        paths = [clip.path for clip in clips]
        done = pool.map(work, paths, chunksize=16)
        return [
            Utterance(i, samples, features)
            for i, pairs in enumerate(track(done, "features", len(paths)))
            for samples, features in pairs
        ]


def _of_file(
    path: Path, spec: FeatureSpec, segments: SegmentSettings, cache: Path
) -> list[tuple[Pcm, Floats]]:
    digest = hashlib.sha256(path.read_bytes())
    digest.update(spec.model_dump_json().encode())
    digest.update(segments.model_dump_json().encode())
    kept = cache / f"{digest.hexdigest()[:32]}.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            count = len(arrays.files) // 2
            return [(arrays[f"s{i}"], arrays[f"f{i}"]) for i in range(count)]
    samples = [s.samples for s in segments_of(audio.read_blocks(path), segments)]
    pairs = [(pcm, extract(pcm_to_float(pcm), spec)) for pcm in samples]
    cache.mkdir(parents=True, exist_ok=True)
    partial_file = kept.with_suffix(f".{os.getpid()}.tmp")
    with partial_file.open("wb") as file:
        named: dict[str, Any] = {f"s{i}": samples for i, (samples, _) in enumerate(pairs)}
        named |= {f"f{i}": features for i, (_, features) in enumerate(pairs)}
        np.savez(file, **named)
    partial_file.replace(kept)
    return pairs
