"""A whole recording: its utterances and what they add up to."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serd.audio import SAMPLE_RATE, Pcm, read_blocks
from serd.classifier import UNCERTAIN, Classifier, Prediction
from serd.cleaning import Cleaning
from serd.events import rounded
from serd.segmentation import segments_of
from serd.segments import Segment
from serd.settings import SegmentSettings


@dataclass(frozen=True)
class Part:
    """One utterance of a recording."""

    start_s: float
    end_s: float
    prediction: Prediction
    denoised: bool


@dataclass(frozen=True)
class Recording:
    """What was found in a file."""

    path: Path
    duration_s: float
    model: str
    parts: tuple[Part, ...]
    whole: Prediction | None
    """The parts' scores, each weighed by its length; None without speech."""

    def as_dict(self) -> dict[str, Any]:
        """The object that `serd classify --format jsonl` prints."""
        return {
            "file": str(self.path),
            "duration_s": round(self.duration_s, 3),
            **_said(self.whole),
            "model": self.model,
            "denoised": any(part.denoised for part in self.parts),
            "segments": [
                {
                    "start_s": round(part.start_s, 3),
                    "end_s": round(part.end_s, 3),
                    **_said(part.prediction),
                    "denoised": part.denoised,
                }
                for part in self.parts
            ],
        }


def classify_file(
    path: Path, classifier: Classifier, cleaning: Cleaning, settings: SegmentSettings
) -> Recording:
    """Classify each utterance of a file and the file as a whole, in bounded memory.

    Raises:
        AudioError: it cannot be read as sound.
    """
    length = 0

    def counted(blocks: Iterator[Pcm]) -> Iterator[Pcm]:
        nonlocal length
        for block in blocks:
            length += block.size
            yield block

    def part(segment: Segment) -> Part:
        cleaned = cleaning(segment.samples)
        return Part(
            segment.start / SAMPLE_RATE,
            segment.end / SAMPLE_RATE,
            classifier.classify(cleaned.samples),
            cleaned.denoised,
        )

    parts = tuple(map(part, segments_of(counted(read_blocks(path)), settings)))
    weighted = [(part.prediction.scores, part.end_s - part.start_s) for part in parts]
    whole = classifier.combine(weighted) if weighted else None
    return Recording(path, length / SAMPLE_RATE, classifier.card.id, parts, whole)


def _said(prediction: Prediction | None) -> dict[str, Any]:
    if prediction is None:
        return {"emotion": None}
    said: dict[str, Any] = {
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 4),
        "scores": rounded(prediction.scores),
    }
    if prediction.emotion == UNCERTAIN:
        said["best"] = prediction.best
    return said
