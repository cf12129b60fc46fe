"""How well voice detection and segmentation find the speech in recordings with known turns.

Reads DATA/vad/*.flac and the RTTM beside each; speech is the union of the turns. Precision,
recall and F1 count 10 ms slices against that. For onsets and offsets, regions closer than
the hangover (`min_silence_duration_ms`) are one, in the reference as in what was found; each
reference region is compared with the found one that overlaps it most (padding included, so
an error of `speech_pad_ms` is by design), and those without any are counted as missed.

    python benchmarks/segmentation.py --min_silence_duration_ms 400
    python benchmarks/segmentation.py --grid --one-utterance 'ravdess/*/*-01.flac'
"""

import argparse
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from serd.audio import SAMPLE_RATE, Framer, Pcm, read_blocks
from serd.segments import Segment, Segmenter
from serd.settings import SegmentSettings, first_line
from serd.vad import WebrtcVad

Mask = NDArray[np.bool_]
Flagged = list[tuple[Pcm, bool]]
SLICE = SAMPLE_RATE // 100  # 10 ms

GRID = {
    "vad_aggressiveness": (2, 3),
    "frame_ms": (10, 20, 30),
    "onset_window_ms": (180, 240, 300),
    "onset_share": (0.4, 0.6, 0.75, 0.9),
    "offset_share": (0.1, 0.25, 0.5),
    "speech_pad_ms": (120, 200, 300),
    "min_silence_duration_ms": (300, 400, 500, 600),
}


@dataclass
class Score:
    """Slices and boundaries of one file, or of several added up."""

    hits: int = 0
    found: int = 0
    true: int = 0
    missed: int = 0
    """Reference regions that nothing overlaps."""
    segments: int = 0
    onsets: list[float] = field(default_factory=list)
    """Absolute errors, ms."""
    offsets: list[float] = field(default_factory=list)

    @property
    def f1(self) -> float:
        return 2 * self.hits / max(1, self.found + self.true)

    def __str__(self) -> str:
        onset, offset = (
            f"{np.mean(errors):.0f} ms (median {np.median(errors):.0f})" if errors else "-"
            for errors in (self.onsets, self.offsets)
        )
        return (
            f"precision {self.hits / max(1, self.found):.3f} "
            f"recall {self.hits / max(1, self.true):.3f} F1 {self.f1:.3f}  "
            f"onset {onset} offset {offset}  missed {self.missed}  regions {self.segments}"
        )


def total(scores: Sequence[Score]) -> Score:
    columns = zip(*(vars(score).values() for score in scores), strict=True)
    return Score(*(sum(column[1:], start=column[0]) for column in columns))


@cache
def flagged(path: Path, aggressiveness: int, frame_ms: int) -> Flagged:
    """The frames of a file with the detector's judgements."""
    frame_samples = SAMPLE_RATE * frame_ms // 1000
    vad, framer = WebrtcVad(aggressiveness, frame_samples), Framer(frame_samples)
    frames = [frame for block in read_blocks(path) for frame in framer.feed(block)]
    rest = framer.flush()
    frames += [rest] if rest.size else []
    return [(frame, vad.is_speech(frame)) for frame in frames]


def segment(frames: Flagged, settings: SegmentSettings) -> list[Segment]:
    segmenter = Segmenter(settings)
    segments = [s for frame, is_speech in frames for s in segmenter.feed(frame, is_speech)]
    return segments + segmenter.flush()


def mask(spans: list[tuple[float, float]], samples: int) -> Mask:
    """Slices whose middle lies in one of the spans (samples)."""
    marked = np.zeros(samples // SLICE, bool)
    for start, end in spans:
        marked[round(start / SLICE) : round(end / SLICE)] = True
    return marked


def turns(rttm: Path) -> list[tuple[float, float]]:
    """The turns of all speakers, from and to, in samples."""
    rows = [line.split() for line in rttm.read_text("utf-8").splitlines()]
    times = [(float(r[3]), float(r[4])) for r in rows if r and r[0] == "SPEAKER"]
    return [(start * SAMPLE_RATE, (start + length) * SAMPLE_RATE) for start, length in times]


def regions(marked: Mask, bridge_ms: float) -> list[tuple[int, int]]:
    """Runs of marked slices, those closer than `bridge_ms` joined; in slices."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    joined: list[tuple[int, int]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        near = joined and (start - joined[-1][1]) * 10 < bridge_ms
        joined.append((joined.pop()[0] if near else start, end))
    return joined


def score(found: Mask, true: Mask, bridge_ms: float) -> Score:
    result = Score(int((found & true).sum()), int(found.sum()), int(true.sum()))
    candidates = regions(found, bridge_ms)
    result.segments = len(candidates)
    for start, end in regions(true, bridge_ms):
        overlaps = [min(end, e) - max(start, s) for s, e in candidates]
        if max(overlaps, default=0) <= 0:
            result.missed += 1
            continue
        s, e = candidates[int(np.argmax(overlaps))]
        result.onsets.append(abs(s - start) * 10)
        result.offsets.append(abs(e - end) * 10)
    return result


def evaluate(path: Path, settings: SegmentSettings) -> tuple[Score, Score]:
    """The detector's bare judgements, and the segments, against the turns."""
    frames = flagged(path, settings.vad_aggressiveness, settings.frame_ms)
    samples = sum(frame.size for frame, _ in frames)
    true = mask(turns(path.with_suffix(".rttm")), samples)
    step = frames[0][0].size
    voiced = mask([(i * step, (i + 1) * step) for i, (_, v) in enumerate(frames) if v], samples)
    segments = segment(frames, settings)
    cut = mask([(s.start, s.end) for s in segments], samples)
    bridge_ms = settings.min_silence_duration_ms
    bare, result = score(voiced, true, bridge_ms), score(cut, true, bridge_ms)
    result.segments = len(segments)
    return bare, result


def one_utterance(paths: list[Path], settings: SegmentSettings) -> Counter[int]:
    """How many of the clips give 0, 1, 2, … segments."""
    detector = settings.vad_aggressiveness, settings.frame_ms
    return Counter(len(segment(flagged(path, *detector), settings)) for path in paths)


def grid(overrides: dict[str, float]) -> Iterator[SegmentSettings]:
    choices = GRID | {key: (value,) for key, value in overrides.items()}
    for values in itertools.product(*choices.values()):
        try:
            yield SegmentSettings.model_validate(dict(zip(choices, values, strict=True)))
        except ValidationError:
            continue  # such as padding longer than the hangover


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SERD_DATA"), metavar="DIR")
    parser.add_argument("--grid", action="store_true", help="search for the best settings by F1")
    parser.add_argument(
        "--one-utterance", metavar="GLOB", help="count segments in DATA/GLOB, one sentence each"
    )
    for name, setting in SegmentSettings.model_fields.items():
        parser.add_argument(f"--{name}", type=float, help=f"default {setting.default:g}")
    options = vars(parser.parse_args())
    data: Path | None = options.pop("data")
    search, pattern = options.pop("grid"), options.pop("one_utterance")
    if data is None:
        sys.exit("give --data DIR or set SERD_DATA")
    data = Path(data)
    overrides = {key: value for key, value in options.items() if value is not None}
    paths = sorted((data / "vad").glob("*.flac"))
    if not paths:
        sys.exit(f"no FLAC files in {data / 'vad'}")
    sentences = sorted(data.glob(pattern)) if pattern else []

    if search:
        best = sorted(
            ((total([evaluate(p, s)[1] for p in paths]), s) for s in grid(overrides)),
            key=lambda pair: -pair[0].f1,
        )
        for result, settings in best[:10]:
            print(result, " ".join(f"{key}={getattr(settings, key):g}" for key in GRID))
            if sentences:
                print("   sentences by segments:", dict(one_utterance(sentences, settings)))
        return
    try:
        settings = SegmentSettings.model_validate(overrides)
    except ValidationError as error:
        sys.exit(first_line(error))
    pairs = [evaluate(path, settings) for path in paths]
    for name, (bare, result) in zip(
        [*(path.stem for path in paths), "total"],
        [*pairs, tuple(map(total, zip(*pairs, strict=True)))],
        strict=True,
    ):
        print(f"{name:6} detector {bare}\n{'':6} segments {result}")
    if sentences:
        print("sentences by segments:", dict(one_utterance(sentences, settings)))


if __name__ == "__main__":
    main()
