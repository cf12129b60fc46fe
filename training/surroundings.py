"""Noises and rooms around a voice, and what a microphone hears of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from serd.audio import Floats, Pcm, float_to_pcm, pcm_to_float
from training import augment, channel
from training.noises import Noises

SNRS_DB = (20, 10, 5, 0)
"""At which noise is put before recognition."""


@dataclass(frozen=True)
class Surroundings:
    """Noises and rooms of one side."""

    noises: Noises
    rooms: Sequence[Floats]

    def noise(self, length: int, rng: Generator, kind: str | None = None) -> Floats:
        """float32 `[length]` of a random recording, of any kind if none is named."""
        kinds = list(self.noises)
        recordings = self.noises[kind or kinds[int(rng.integers(len(kinds)))]]
        return augment.excerpt(recordings[int(rng.integers(len(recordings)))], length, rng)


@dataclass(frozen=True)
class Mixture:
    """What a microphone hears, and what of it is speech; float32 `[n]` each."""

    noisy: Floats
    speech: Floats


def mix(speech: Floats, noise: Floats, snr_db: float, speech_power: float) -> Mixture:
    """A sum whose noise is `snr_db` below the speech.

    Args:
        speech: float32 `[n]`, with whatever pauses.
        noise: float32 `[n]`, of any power; one of silence changes nothing.
        snr_db: dB.
        speech_power: of the speech without the pauses.
    """
    own = augment.power(noise)
    scale = np.sqrt(speech_power / own * 10 ** (-snr_db / 10)) if own else 0
    noisy = speech + np.float32(scale) * noise
    peak = np.abs(noisy).max(initial=1)
    return Mixture(noisy / peak, speech / peak)


@dataclass(frozen=True)
class Played:
    """A whole clip that is played to the daemon's own code."""

    number: int
    """Its place among those that are played, which chooses its noise."""
    samples: Pcm
    power: float
    """Of what is heard in it, without the pauses."""


def in_noise(clip: Played, around: Surroundings, snr_db: float) -> Pcm:
    """A clip in noise, the same at every SNR; clips hear one kind after the other.

    Where there are no recordings, the noise is of a random colour.
    """
    rng = np.random.default_rng(clip.number)
    kinds = sorted(around.noises)
    if kinds:
        noise = around.noise(clip.samples.size, rng, kinds[clip.number % len(kinds)])
    else:
        noise = channel.coloured_noise(clip.samples.size, rng)
    return float_to_pcm(mix(pcm_to_float(clip.samples), noise, snr_db, clip.power).noisy)
