"""Utterances: a state machine that counts samples and knows nothing of clocks or devices."""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from serd.audio import SAMPLE_RATE, Pcm
from serd.settings import SegmentSettings


@dataclass(frozen=True)
class Segment:
    """One utterance, with the quiet that was kept around it."""

    start: int
    """Its first sample's place in the stream."""
    samples: Pcm
    """int16 `[n]` at `SAMPLE_RATE`."""
    truncated: bool = False
    """Speech went on: it was cut at the longest allowed length, or by a gap."""

    @property
    def end(self) -> int:
        """The place in the stream just after its last sample."""
        return self.start + self.samples.size


@dataclass(frozen=True)
class _Frame:
    samples: Pcm
    is_speech: bool


class Segmenter:
    """Groups frames into segments.

    Speech begins when enough of the last few frames are speech, and includes some quiet
    before (`speech_pad_ms`). It ends after `min_silence_duration_ms` without any. What
    grows beyond `max_speech_duration_s` is split at its longest pause. The same frames
    give the same segments, and each sample is counted exactly once: in a segment, as
    discarded, or as still held.
    """

    def __init__(self, settings: SegmentSettings) -> None:
        self._settings = settings
        frames = settings.frames
        self._pad = frames(settings.speech_pad_ms)
        self._hangover = frames(settings.min_silence_duration_ms)
        self._window = frames(settings.onset_window_ms)
        self._shortest = frames(settings.min_speech_duration_ms)
        self._longest = int(settings.max_speech_duration_s * 1000 // settings.frame_ms)
        self._held: list[_Frame] = []
        self._start = 0  # of the first frame held
        self._last_speech = -1  # index into held; below 0: in what was taken out already
        self._speaking = False
        self.samples_in_segments = 0
        self.samples_discarded = 0

    @property
    def samples_held(self) -> int:
        """Samples that wait for what comes next."""
        return sum(frame.samples.size for frame in self._held)

    @property
    def speaking(self) -> bool:
        """An utterance is going on."""
        return self._speaking

    def feed(self, samples: Pcm, is_speech: bool) -> list[Segment]:
        """Take one frame; return the segments that it completes (none or one)."""
        self._held.append(_Frame(samples, is_speech))
        if not self._speaking:
            self._listen()
            return []
        if is_speech and self._speech_share() >= self._settings.offset_share:
            self._last_speech = len(self._held) - 1
        if len(self._held) - 1 - self._last_speech >= self._hangover:
            self._speaking = False
            return self._cut(self._end())
        if len(self._held) >= self._longest:
            return self._cut(self._longest_pause(), truncated=True)
        return []

    def flush(self, truncated: bool = False) -> list[Segment]:
        """End the stream here; return the segment that was going on, if one was."""
        was_speaking, self._speaking = self._speaking, False
        segments = self._cut(self._end(), truncated) if was_speaking else []
        self._discard(len(self._held))
        return segments

    def gap(self, lost_samples: int) -> list[Segment]:
        """Some samples never arrived: end what is going on and skip their place."""
        segments = self.flush(truncated=True)
        self._start += lost_samples
        return segments

    def _end(self) -> int:
        """Where the utterance ends, with its padding; an index into held."""
        return max(0, min(self._last_speech + 1 + self._pad, len(self._held)))

    def _speech_share(self) -> float:
        latest = self._held[-self._window :]
        return sum(frame.is_speech for frame in latest) / self._window

    def _listen(self) -> None:
        """While nobody speaks: look for an onset, keep no more than it may need."""
        if self._held[-1].is_speech and self._speech_share() >= self._settings.onset_share:
            window_start = max(0, len(self._held) - self._window)
            window = islice(self._held, window_start, None)
            onset = next(i for i, frame in enumerate(window, window_start) if frame.is_speech)
            self._discard(max(0, onset - self._pad))
            self._last_speech = len(self._held) - 1
            self._speaking = True
        else:
            self._discard(max(0, len(self._held) - self._pad - self._window))

    def _longest_pause(self) -> int:
        """Where to split: the middle of the last longest pause, or the end.

        Only pauses with enough speech before them count, lest the split lose what it cuts off.
        """
        best_start = best_length = 0
        pause = spoken = 0
        for i, frame in enumerate(self._held):
            spoken += frame.is_speech
            pause = 0 if frame.is_speech else pause + 1
            if pause >= max(best_length, 1) and spoken >= self._shortest:
                best_start, best_length = i + 1 - pause, pause
        return best_start + (best_length + 1) // 2 if best_length else len(self._held)

    def _cut(self, end: int, truncated: bool = False) -> list[Segment]:
        """Take the first `end` frames out as a segment, unless too little of it is speech."""
        taken = self._held[:end]
        if sum(frame.is_speech for frame in taken) < self._shortest:
            self._discard(end)
            return []
        samples = np.concatenate([frame.samples for frame in taken])
        segment = Segment(self._start, samples, truncated)
        self.samples_in_segments += samples.size
        self._drop(end)
        return [segment]

    def _discard(self, count: int) -> None:
        self.samples_discarded += sum(frame.samples.size for frame in self._held[:count])
        self._drop(count)

    def _drop(self, count: int) -> None:
        self._start += sum(frame.samples.size for frame in self._held[:count])
        del self._held[:count]
        self._last_speech -= count


def seconds(samples: int) -> float:
    """A number of samples as time in s."""
    return samples / SAMPLE_RATE
