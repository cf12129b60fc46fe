"""Variation of log-mel features (Whisper's scale), made anew in each epoch.

Working on features instead of samples costs next to nothing. A step of 1 in Whisper's
scale is 40 dB.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.config import Augmentation

Floats = NDArray[np.float32]


def augment(log_mel: Floats, options: Augmentation, rng: Generator) -> Floats:
    """A variation of `[t, n_mels]`; its length may differ."""
    x = log_mel
    if options.speed or options.pitch_bands:
        x = warp(
            x,
            rng.uniform(1 - options.speed, 1 + options.speed),
            rng.uniform(-options.pitch_bands, options.pitch_bands),
        )
    if options.gain_db:
        x = x + np.float32(rng.uniform(-options.gain_db, options.gain_db) / 40)
    if options.noise_snr_db and rng.random() < 0.5:
        x = add_noise(x, rng.uniform(options.noise_snr_db, 40), rng)
    return mask(x, options.time_masks, options.frequency_masks, rng)


def warp(log_mel: Floats, speed: float, shift: float) -> Floats:
    """Faster by `speed` and higher by `shift` bands, interpolated linearly."""
    length, bands = log_mel.shape
    times = np.arange(0, length - 1, speed)
    first = times.astype(int)
    between = (times - first)[:, None]
    x = log_mel[first] * (1 - between) + log_mel[np.minimum(first + 1, length - 1)] * between
    places = np.clip(np.arange(bands) - shift, 0, bands - 1)
    low = np.minimum(places.astype(int), bands - 2)
    between = places - low
    return (x[:, low] * (1 - between) + x[:, low + 1] * between).astype(np.float32)


def add_noise(log_mel: Floats, snr_db: float, rng: Generator) -> Floats:
    """Stationary noise with a random, smooth spectrum, at an SNR over the whole utterance."""
    power = 10.0 ** (4 * log_mel - 4)
    bands = log_mel.shape[1]
    colour = np.interp(np.arange(bands), np.linspace(0, bands, 6), rng.normal(0, 0.5, 6))
    noise = 10.0**colour * rng.gamma(4, 0.25, log_mel.shape)
    noise *= power.mean() / noise.mean() * 10 ** (-snr_db / 10)
    noisy = np.log10(power + noise)
    return ((np.maximum(noisy, noisy.max() - 8) + 4) / 4).astype(np.float32)


def mask(log_mel: Floats, time_masks: int, frequency_masks: int, rng: Generator) -> Floats:
    """Stretches of time and groups of bands set to the mean.

    Reference:
        Park et al., SpecAugment, Interspeech 2019.
    """
    x = log_mel.copy()
    length, bands = x.shape
    mean = x.mean()
    for _ in range(time_masks):
        width = int(rng.integers(0, max(1, length // 10) + 1))
        start = int(rng.integers(0, length - width + 1))
        x[start : start + width] = mean
    for _ in range(frequency_masks):
        width = int(rng.integers(0, bands // 8 + 1))
        start = int(rng.integers(0, bands - width + 1))
        x[:, start : start + width] = mean
    return x
