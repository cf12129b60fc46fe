"""From a source to events: what happens to one stream, step by step."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from serd.adaptation import Speaker, recognise
from serd.audio import SAMPLE_RATE
from serd.capture import Block
from serd.classifier import Classifier
from serd.cleaning import Cleaning
from serd.events import EmotionEvent
from serd.levels import dbfs
from serd.segmentation import Segmentation
from serd.segments import Segment
from serd.settings import SegmentSettings


@dataclass(frozen=True)
class Utterance:
    """A segment on its way from its source to the classifier."""

    source: str
    segment: Segment
    start: datetime
    """When its first sample was heard."""
    ready: float
    """When its end was certain, s on the monotonic clock."""


class Stream:
    """Turns the blocks of one opened source into utterances, and tells when they were said."""

    def __init__(self, name: str, settings: SegmentSettings, live: bool) -> None:
        """Begin now.

        Args:
            name: of the source.
            settings: how to cut.
            live: time is when a block arrived; otherwise it goes with the samples from now on.
        """
        self._name = name
        self._segmentation = Segmentation(settings)
        self._live = live
        self._origin = datetime.now(UTC)
        self._position = 0

    def feed(self, block: Block) -> Iterator[Utterance]:
        """Take a block; give the utterances that it completes."""
        if block.lost:
            yield from self._utterances(self._segmentation.gap(block.lost))
        self._advance(block)
        yield from self._utterances(self._segmentation.feed(block.samples))

    def skip(self, block: Block) -> Iterator[Utterance]:
        """Pass over a block unheard; give the utterance that this cuts off."""
        self._advance(block)
        skipped = block.lost + block.samples.size
        yield from self._utterances(self._segmentation.gap(skipped))

    def flush(self) -> Iterator[Utterance]:
        """End the stream; give the utterance that was going on."""
        yield from self._utterances(self._segmentation.flush())

    @property
    def samples_in_segments(self) -> int:
        """Samples that went into utterances."""
        return self._segmentation.segmenter.samples_in_segments

    @property
    def samples_discarded(self) -> int:
        """Samples that were fed and belong to no utterance."""
        return self._segmentation.segmenter.samples_discarded

    def _advance(self, block: Block) -> None:
        self._position += block.lost + block.samples.size
        if self._live:
            # Anchored anew with each block: the sound card's clock drifts by seconds a day.
            self._origin = datetime.now(UTC) - timedelta(seconds=self._position / SAMPLE_RATE)

    def _utterances(self, segments: Iterable[Segment]) -> Iterator[Utterance]:
        for segment in segments:
            start = self._origin + timedelta(seconds=segment.start / SAMPLE_RATE)
            yield Utterance(self._name, segment, start, time.monotonic())


class Recogniser:
    """Turns utterances into events."""

    def __init__(
        self,
        node: str,
        classifier: Classifier,
        cleaning: Cleaning,
        speakers: Mapping[str, Speaker] | None = None,
    ) -> None:
        """Say who speaks at each source; by default it is not known."""
        self._node = node
        self._classifier = classifier
        self._cleaning = cleaning
        self._speakers = speakers or {}

    def recognise(self, utterance: Utterance) -> EmotionEvent:
        """Classify one utterance."""
        samples = utterance.segment.samples
        cleaned = self._cleaning(samples)
        speaker = self._speakers.get(utterance.source)
        prediction = recognise(self._classifier, cleaned.samples, speaker)
        duration = timedelta(seconds=samples.size / SAMPLE_RATE)
        return EmotionEvent(
            node=self._node,
            source=utterance.source,
            event_type=prediction.emotion,
            confidence=prediction.confidence,
            scores=prediction.scores,
            start=utterance.start,
            end=utterance.start + duration,
            duration_ms=round(duration.total_seconds() * 1000),
            dbfs=dbfs(samples),
            snr_db=cleaned.snr_db,
            truncated=utterance.segment.truncated,
            denoised=cleaned.denoised,
            model=self._classifier.card.id,
            latency_ms=round((time.monotonic() - utterance.ready) * 1000),
        )
