"""What is said in a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serd.audio import SAMPLE_RATE, Pcm, read_blocks
from serd.cleaning import Cleaning
from serd.segmentation import segments_of
from serd.settings import SegmentSettings

_KEPT_S = 120.0
"""Of shorter files the utterances are kept for a second time."""


@dataclass(frozen=True)
class Spoken:
    """One utterance of a file."""

    start_s: float
    end_s: float
    samples: Pcm
    """int16 `[n]`, as it is to be recognised."""
    denoised: bool


class Speech:
    """The utterances of a file, without their noise, as often as they are asked for."""

    def __init__(self, path: Path, cleaning: Cleaning, settings: SegmentSettings) -> None:
        self.path = path
        self.duration_s = 0.0
        """Of the file, once all utterances have been asked for."""
        self._cleaning = cleaning
        self._settings = settings
        self._kept: list[Spoken] | None = None

    def __iter__(self) -> Iterator[Spoken]:
        """In bounded memory: what is long is read anew.

        Raises:
            AudioError: it cannot be read as sound.
        """
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Spoken] = []
        self.duration_s = 0.0
        for segment in segments_of(self._blocks(), self._settings):
            cleaned = self._cleaning(segment.samples)
            start_s, end_s = segment.start / SAMPLE_RATE, segment.end / SAMPLE_RATE
            spoken = Spoken(start_s, end_s, cleaned.samples, cleaned.denoised)
            if end_s <= _KEPT_S:
                kept.append(spoken)
            yield spoken
        if self.duration_s <= _KEPT_S:
            self._kept = kept

    def _blocks(self) -> Iterator[Pcm]:
        samples = 0
        for block in read_blocks(self.path):
            samples += block.size
            self.duration_s = samples / SAMPLE_RATE
            yield block
