"""What a network sees of a sound: short-time features, and their statistics over time.

One `FeatureSpec` describes them completely. Training and run time read the same spec
through the same `extract`, so they cannot drift apart.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from serd import filterbanks

Floats = NDArray[np.float32]

Kind = Literal["log_mel", "mel", "mfcc", "chroma", "zero_crossing_rate", "rms", "stft"]
PadMode = Literal["reflect", "constant", "edge"]
Statistic = Literal["mean", "std", "min", "max", "median"]

_POWER_FLOOR = 1e-10
_AT_A_TIME = 32
_STATISTICS: dict[Statistic, Callable[..., Any]] = {
    "mean": np.mean,
    "std": np.std,
    "min": np.min,
    "max": np.max,
    "median": np.median,
}


class FeatureSpec(BaseModel):
    """Which features, and how they are computed; the default is Whisper's front end.

    Several kinds share one short-time transform and stand side by side in each frame.
    With `statistics`, each feature is summed up over the whole sound instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: tuple[Kind, ...] = Field(("log_mel",), min_length=1)
    """Features of a frame, in this order."""
    sample_rate: int = Field(16_000, gt=0)
    """Hz."""
    n_fft: int = Field(400, ge=16)
    """Length of the transform and of its Hann window, samples."""
    hop_length: int = Field(160, gt=0)
    """From one frame to the next, samples."""
    pad_mode: Literal["reflect", "constant"] = "reflect"
    """How the ends are padded, so that frame `t` is centred on sample `t * hop_length`."""
    n_mels: int = Field(80, gt=0)
    fmin: float = Field(0.0, ge=0)
    """Hz."""
    fmax: float = Field(8_000.0, gt=0)
    """Hz."""
    n_mfcc: int = Field(40, gt=0)
    n_chroma: int = Field(12, gt=0)
    log_mel_scale: Literal["whisper", "levelled", "db"] = "whisper"
    """`db`: decibels, at most 80 below the loudest. `whisper`: log10 of the power, at most
    8 below the loudest, then (x + 4) / 4. `levelled`: the same, and then the loudest is 1: how
    far away a microphone is makes no difference."""
    statistics: tuple[Statistic, ...] = ()
    """Over time; none keeps the frames."""

    @model_validator(mode="after")
    def _consistent(self) -> "FeatureSpec":
        if not self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError("fmin < fmax <= sample_rate / 2 does not hold")
        if "mfcc" in self.kinds and self.n_mfcc > self.n_mels:
            raise ValueError("n_mfcc is larger than n_mels")
        return self

    @property
    def size(self) -> int:
        """Numbers in a frame, or in all when there are statistics."""
        sizes: dict[Kind, int] = {
            "log_mel": self.n_mels,
            "mel": self.n_mels,
            "mfcc": self.n_mfcc,
            "chroma": self.n_chroma,
            "zero_crossing_rate": 1,
            "rms": 1,
            "stft": self.n_fft // 2 + 1,
        }
        return sum(sizes[kind] for kind in self.kinds) * max(1, len(self.statistics))


def extract(samples: Floats, spec: FeatureSpec) -> Floats:
    """The features of a sound.

    Args:
        samples: float32 `[n]`, -1…1, at the spec's sample rate, at least one.
        spec: what to compute.

    Returns:
        float32 `[1 + n // hop_length, spec.size]`, or `[spec.size]` with statistics:
        all features' first statistic, then all features' second, ….

    Raises:
        ValueError: there are no samples.

    >>> extract(np.zeros(16_000, np.float32), FeatureSpec()).shape
    (101, 80)
    """
    if samples.size == 0:
        raise ValueError("no samples")
    sound = _Sound(samples, spec)
    frames = np.concatenate([_COMPUTE[kind](sound) for kind in spec.kinds], axis=1)
    if spec.statistics:
        summed = [_STATISTICS[name](frames, axis=0) for name in spec.statistics]
        return np.concatenate(summed).astype(np.float32)
    return frames


class _Sound:
    """One sound on its way through `extract`; the spectrum is computed at most once."""

    def __init__(self, samples: Floats, spec: FeatureSpec) -> None:
        self.samples = samples
        self.spec = spec
        self._magnitude: Floats | None = None

    def frames(self, pad_mode: PadMode) -> Floats:
        """Overlapping views `[frames, n_fft]` of the padded samples."""
        half = self.spec.n_fft // 2
        padded = np.pad(self.samples, half, mode=pad_mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.spec.n_fft)
        return windows[:: self.spec.hop_length]

    def magnitude(self) -> Floats:
        """Short-time spectrum `[frames, n_fft // 2 + 1]`."""
        if self._magnitude is None:
            frames, hann = self.frames(self.spec.pad_mode), _hann(self.spec.n_fft)
            # A few at a time: what fits the cache needs no fresh pages from the system.
            few = (frames[i : i + _AT_A_TIME] for i in range(0, len(frames), _AT_A_TIME))
            spectra = [np.abs(np.fft.rfft(part * hann)) for part in few]
            self._magnitude = np.concatenate(spectra).astype(np.float32, copy=False)
        return self._magnitude

    def power(self) -> Floats:
        return np.square(self.magnitude())


@lru_cache(maxsize=8)
def _hann(length: int) -> Floats:
    """The periodic Hann window."""
    return np.hanning(length + 1)[:-1].astype(np.float32)


def _mel(sound: _Sound) -> Floats:
    s = sound.spec
    return sound.power() @ filterbanks.mel(s.sample_rate, s.n_fft, s.n_mels, s.fmin, s.fmax)


def _log10_mel(sound: _Sound, below_loudest: float) -> Floats:
    log_mel = np.log10(np.maximum(_mel(sound), _POWER_FLOOR))
    return np.maximum(log_mel, log_mel.max() - below_loudest)


def _log_mel(sound: _Sound) -> Floats:
    if sound.spec.log_mel_scale == "db":
        return np.float32(10) * _log10_mel(sound, 8)
    as_whisper = (_log10_mel(sound, 8) + np.float32(4)) / np.float32(4)
    if sound.spec.log_mel_scale == "levelled":
        return as_whisper - as_whisper.max() + np.float32(1)
    return as_whisper


def _mfcc(sound: _Sound) -> Floats:
    decibels: Floats = np.float32(10) * _log10_mel(sound, 8)
    return decibels @ filterbanks.dct(sound.spec.n_mels, sound.spec.n_mfcc)


def _chroma(sound: _Sound) -> Floats:
    """Energy of the pitch classes, the strongest of a frame being 1; 0 in silence."""
    s = sound.spec
    energy: Floats = sound.power() @ filterbanks.chroma(s.sample_rate, s.n_fft, s.n_chroma)
    strongest: Floats = energy.max(axis=1, keepdims=True)
    strongest[strongest < np.finfo(np.float32).tiny] = 1
    return energy / strongest


def _zero_crossing_rate(sound: _Sound) -> Floats:
    """Share of neighbouring samples of opposite sign; zero counts as positive."""
    negative = sound.frames("edge") < -1e-10
    crossings = negative[:, 1:] != negative[:, :-1]
    return (crossings.sum(axis=1, keepdims=True) / sound.spec.n_fft).astype(np.float32)


def _rms(sound: _Sound) -> Floats:
    power = np.square(sound.frames(sound.spec.pad_mode)).mean(axis=1, keepdims=True)
    return np.sqrt(power).astype(np.float32)


_COMPUTE: dict[Kind, Callable[[_Sound], Floats]] = {
    "log_mel": _log_mel,
    "mel": _mel,
    "mfcc": _mfcc,
    "chroma": _chroma,
    "zero_crossing_rate": _zero_crossing_rate,
    "rms": _rms,
    "stft": _Sound.magnitude,
}
