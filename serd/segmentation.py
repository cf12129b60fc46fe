"""One stream's way from blocks to segments: framing, voice detection, segmenter."""

from collections.abc import Iterable, Iterator

from serd.audio import SAMPLE_RATE, Framer, Pcm
from serd.segments import Segment, Segmenter
from serd.settings import SegmentSettings
from serd.vad import Vad, WebrtcVad


class Segmentation:
    """Fed with blocks of any length, gives segments; the cuts do not depend on the blocks."""

    def __init__(self, settings: SegmentSettings, vad: Vad | None = None) -> None:
        frame_samples = settings.frame_ms * SAMPLE_RATE // 1000
        self._framer = Framer(frame_samples)
        self._vad = vad or WebrtcVad(settings.vad_aggressiveness, frame_samples)
        self.segmenter = Segmenter(settings)

    def feed(self, block: Pcm) -> Iterator[Segment]:
        """Take int16 `[n]`; give the segments that this completes."""
        for frame in self._framer.feed(block):
            yield from self.segmenter.feed(frame, self._vad.is_speech(frame))

    def flush(self) -> Iterator[Segment]:
        """End the stream; give the segment that was going on."""
        yield from self._last_frame()
        yield from self.segmenter.flush()

    def gap(self, lost_samples: int) -> Iterator[Segment]:
        """End what is going on, because `lost_samples` never arrived, and go on after them."""
        yield from self._last_frame()
        yield from self.segmenter.gap(lost_samples)

    def _last_frame(self) -> Iterator[Segment]:
        rest = self._framer.flush()
        if rest.size:
            yield from self.segmenter.feed(rest, self._vad.is_speech(rest))


def segments_of(blocks: Iterable[Pcm], settings: SegmentSettings) -> Iterator[Segment]:
    """All segments of one recording."""
    segmentation = Segmentation(settings)
    for block in blocks:
        yield from segmentation.feed(block)
    yield from segmentation.flush()
