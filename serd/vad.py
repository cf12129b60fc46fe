"""Is there a voice in this frame?"""

from typing import Protocol

import numpy as np
import webrtcvad

from serd.audio import SAMPLE_RATE, Pcm


class Vad(Protocol):
    """Anything that tells speech from the rest, frame by frame; may keep state of its stream."""

    def is_speech(self, frame: Pcm) -> bool: ...


class WebrtcVad:
    """Google's Gaussian-mixture detector; one for each stream, as it adapts to the noise."""

    def __init__(self, aggressiveness: int, frame_samples: int) -> None:
        """Make a detector.

        Args:
            aggressiveness: 0 lets most through, 3 the least.
            frame_samples: 10, 20 or 30 ms, in samples.
        """
        self._vad = webrtcvad.Vad(aggressiveness)
        self._frame_samples = frame_samples

    def is_speech(self, frame: Pcm) -> bool:
        """Judge int16 `[frame_samples]`; a shorter last frame is filled up with silence."""
        if frame.size < self._frame_samples:
            frame = np.pad(frame, (0, self._frame_samples - frame.size))
        return bool(self._vad.is_speech(frame.tobytes(), SAMPLE_RATE))
