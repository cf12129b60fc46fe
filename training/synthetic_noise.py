"""Noise that nobody recorded: there are too few recordings to know by them what is not speech.

Whatever goes on around a microphone rushes (rain, fans, waves), hums (motors, sirens, birds) or
clatters (dishes, keys, clocks), most of it in a few of countless ways.
"""

import numpy as np
import scipy.fft
import scipy.signal
from numpy.random import Generator

from serd.audio import SAMPLE_RATE, Floats
from training.augment import power
from training.channel import coloured_noise, through_another_microphone

_STEP = 160
"""Samples between two points of whatever changes slowly."""


def synthetic_noise(length: int, rng: Generator) -> Floats:
    """One to three noises at once, float32 `[length]`, of any power but 0."""
    total = np.zeros(length, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        kinds = (_rushing, _humming, _clattering)
        x = kinds[int(rng.integers(len(kinds)))](length, rng)
        loudness = np.sqrt(power(x)) * 10 ** (rng.uniform(0, 15) / 20)
        total += x / np.float32(max(loudness, 1e-9))
    return total


def _rushing(length: int, rng: Generator) -> Floats:
    """Noise of a random colour that swells and ebbs."""
    return coloured_noise(length, rng) * _swell(length, rng)


def _humming(length: int, rng: Generator) -> Floats:
    """Pulses or a tone of a wandering pitch, 30 Hz … 3 kHz, on and off or throughout."""
    octaves = np.cumsum(_slow(length, rng, 10 ** rng.uniform(-1, 1))) * _STEP / SAMPLE_RATE
    pitch = 30 * 100 ** rng.uniform() * 2 ** (rng.uniform(0, 1.5) * octaves)
    phase = (
        2 * np.pi * np.cumsum(_between(np.minimum(pitch, 4000), length), dtype=float) / SAMPLE_RATE
    )
    # From a sine to narrow pulses, which are rich in harmonics.
    sharpness = 10 ** rng.uniform(-1, 2)
    x = np.exp(sharpness * (np.cos(phase) - 1))
    x = (x - x.mean()).astype(np.float32)
    return through_another_microphone(x, rng) * _swell(length, rng)


def _clattering(length: int, rng: Generator) -> Floats:
    """Knocks, at random or as of a clock, on something that rings or rattles."""
    rate = 10 ** rng.uniform(-0.3, 1.5)
    places = np.cumsum(
        rng.exponential(1 / rate, 2 + int(2 * rate * length / SAMPLE_RATE))
        if rng.random() < 0.7
        else np.full(2 + int(rate * length / SAMPLE_RATE), 1 / rate)
    )
    places = (rng.uniform(0, 1 / rate) + places - places[0]) * SAMPLE_RATE
    places = places[places < length].astype(int)
    knocks = np.zeros(length, np.float32)
    knocks[places] = rng.lognormal(0, 0.7, places.size)
    knocks[int(rng.integers(length))] += 1  # there is always one
    return scipy.signal.oaconvolve(knocks, _ringing(rng))[:length].astype(np.float32)


def _ringing(rng: Generator) -> Floats:
    """What a knock leaves: resonances and a burst of noise, each dying away, 0.3 s."""
    t = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    x = 0.3 * coloured_noise(t.size, rng) * np.exp(-t / 10 ** rng.uniform(-3, -1))
    for _ in range(int(rng.integers(1, 7))):
        pitch, decay = 100 * 70 ** rng.uniform(), 10 ** rng.uniform(-3, -1)
        x += rng.lognormal() * np.exp(-t / decay) * np.sin(2 * np.pi * pitch * t)
    return x.astype(np.float32)


def _swell(length: int, rng: Generator) -> Floats:
    """A gain, above 0, that changes 0.1 … 30 times a second by a few dB or by many."""
    depth_db = rng.uniform(0, 15)
    points = _slow(length, rng, 10 ** rng.uniform(-1, 1.5))
    return _between(np.float32(10) ** (np.float32(depth_db / 20) * points), length)


def _slow(length: int, rng: Generator, rate: float) -> Floats:
    """A random curve, a point every `_STEP`, of deviation about 1, with changes below `rate` Hz."""
    count = length // _STEP + 2
    spectrum = rng.standard_normal(2 * (count // 2 + 1)).view(complex)
    frequency = scipy.fft.rfftfreq(count, _STEP / SAMPLE_RATE)
    curve = scipy.fft.irfft(spectrum / (1 + np.square(frequency / rate)), count)
    return np.clip(curve / max(float(curve.std()), 1e-9), -3, 3).astype(np.float32)


def _between(points: Floats, length: int) -> Floats:
    """The curve at every sample."""
    at = np.arange(length) / _STEP
    return np.interp(at, np.arange(points.size), points).astype(np.float32)
