"""What sound goes through on its way from a microphone: its colour, its noise, a telephone."""

import numpy as np
import scipy.fft
from numpy.random import Generator
from numpy.typing import NDArray

from serd.audio import SAMPLE_RATE, Floats

TELEPHONE_RATE = SAMPLE_RATE // 2
"""Samples a second of a telephone, Hz."""

_OCTAVES = 62.5 * 2.0 ** np.arange(8)
"""Hz, up to half the sample rate."""
_TELEPHONE = ((200, 300, 3400, 4000), (0, 1, 1, 0))
"""Frequencies, Hz, and what is left of them; straight between."""
_RINGING = 1024
"""Samples of silence for what a filter leaves beyond either end."""


def coloured_noise(length: int, rng: Generator) -> Floats:
    """Stationary noise whose spectrum is random and smooth, float32 `[length]`.

    From white to falling by 6 dB an octave, and in each octave some 5 dB off that.
    """
    whole = scipy.fft.next_fast_len(length + 1)
    bins = whole // 2 + 1
    level_db = rng.uniform(-6, 0) * np.arange(_OCTAVES.size) + _colour_db(rng)
    white = rng.standard_normal(2 * bins, np.float32).view(np.complex64)
    return scipy.fft.irfft(white * _by_octave(level_db, bins), whole)[:length]


def through_another_microphone(samples: Floats, rng: Generator) -> Floats:
    """Each octave some 5 dB louder or softer, float32 `[n]` as what is given."""
    whole = scipy.fft.next_fast_len(samples.size + _RINGING)
    spectrum = scipy.fft.rfft(samples, whole)
    colour = _by_octave(_colour_db(rng), spectrum.size)
    return scipy.fft.irfft(spectrum * colour, whole)[: samples.size]


def with_floor(samples: Floats, level_dbfs: float, rng: Generator) -> Floats:
    """With a recorder's own noise, of a random colour, float32 `[n]`.

    Args:
        samples: float32 `[n]`, at least one.
        level_dbfs: of the noise, dB, where a full-scale square wave is 0.
        rng: makes the noise.
    """
    noise = coloured_noise(samples.size, rng)
    loudness = np.sqrt(np.mean(np.square(noise)))
    return samples + np.float32(10 ** (level_dbfs / 20) / loudness) * noise


def telephone(samples: Floats) -> Floats:
    """As by telephone: 300–3400 Hz alone, as loud as before; float32 `[n]` as what is given.

    Reference:
        ITU-T G.712, Transmission performance characteristics of pulse code modulation channels.
    """
    return from_telephone(to_telephone(samples), samples.size)


def to_telephone(samples: Floats) -> Floats:
    """What a telephone transmits, at `TELEPHONE_RATE`: float32 `[m]`, `m` above half of `n`.

    What comes after the end is silence; some of it has the ringing before the beginning.
    """
    whole = 4 * scipy.fft.next_fast_len(-(-(samples.size + _RINGING) // 4))
    kept = scipy.fft.rfft(samples, whole)[: whole // 4 + 1]
    gains = np.interp(np.linspace(0, TELEPHONE_RATE / 2, kept.size), *_TELEPHONE)
    return scipy.fft.irfft(kept * (0.5 * gains).astype(np.float32), whole // 2)


def from_telephone(transmitted: Floats, length: int) -> Floats:
    """What `to_telephone` gave at `SAMPLE_RATE` again, float32 `[length]`."""
    return 2 * scipy.fft.irfft(scipy.fft.rfft(transmitted), 2 * transmitted.size)[:length]


def _colour_db(rng: Generator) -> NDArray[np.float64]:
    return rng.normal(0, 5, _OCTAVES.size)


def _by_octave(level_db: NDArray[np.float64], bins: int) -> Floats:
    """Factors `[bins]` of a spectrum, from the level of each octave, dB."""
    frequency = np.linspace(0, SAMPLE_RATE / 2, bins)
    return np.interp(frequency, _OCTAVES, 10 ** (level_db / 20)).astype(np.float32)
