"""Speech in rooms and noise, made anew each time, and the same speech without the noise."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from serd.audio import SAMPLE_RATE, Floats, Pcm, pcm_to_float
from training import augment, channel, noises
from training.denoising.config import MixtureSettings
from training.noises import NoiseError, Noises
from training.synthetic_noise import synthetic_noise


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
class Sides:
    """Who hears what: no kind of noise and no room is on two sides."""

    train: Surroundings
    validation: Surroundings
    test: Surroundings


def sides(settings: MixtureSettings, data: Path) -> Sides:
    """Read all noises and rooms.

    Raises:
        NoiseError: a folder, a kind or a room is missing.
    """
    recordings = {
        kind: found
        for folder in settings.noise
        for kind, found in noises.recordings(data / folder).items()
    }
    rooms = noises.rooms(data / settings.rooms)
    held_out = (settings.validation, settings.test)
    for of_side in held_out:
        _must_be_there(of_side.noise, recordings, "kind of noise")
        _must_be_there(of_side.rooms, rooms, "room")

    def side(kinds: Collection[str], names: Collection[str]) -> Surroundings:
        return Surroundings(
            {kind: recordings[kind] for kind in kinds}, [rooms[name] for name in names]
        )

    kinds = [k for k in recordings if not any(k in of_side.noise for of_side in held_out)]
    names = [n for n in rooms if not any(n in of_side.rooms for of_side in held_out)]
    if not kinds or not names:
        raise NoiseError("no noise or no room is left to train with")
    validation, test = (side(of_side.noise, of_side.rooms) for of_side in held_out)
    return Sides(side(kinds, names), validation, test)


def _must_be_there(names: Collection[str], known: Collection[str], what: str) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise NoiseError(f"no {what} is called {unknown[0]}; there are {', '.join(sorted(known))}")


@dataclass(frozen=True)
class Mixture:
    """What a microphone hears, and what of it is speech; float32 `[n]` each."""

    noisy: Floats
    speech: Floats


def vary(
    utterance: Pcm, settings: MixtureSettings, around: Surroundings, rng: Generator
) -> Mixture:
    """A random mixture, as the settings say, to train with."""
    x = pcm_to_float(utterance)
    if settings.speed:
        x = augment.faster(x, rng.uniform(1 - settings.speed, 1 + settings.speed))
    if rng.random() < settings.room_share:
        x = augment.in_room(x, around.rooms[int(rng.integers(len(around.rooms)))])
    pauses = (rng.uniform(0, settings.pause_s, 2) * SAMPLE_RATE).astype(int)
    length = x.size + int(pauses.sum())
    draw = rng.random()
    if draw < settings.clean_share:
        noise = np.zeros(length, np.float32)
    elif draw < settings.clean_share + settings.synthetic_share:
        noise = synthetic_noise(length, rng)
    else:
        noise = _recorded(length, settings, around, rng)
    gain = np.float32(10 ** (-rng.uniform(0, settings.gain_db) / 20))
    mixture = mix(np.pad(x, pauses), noise, rng.uniform(*settings.snr_db), augment.power(x))
    return Mixture(gain * mixture.noisy, gain * mixture.speech)


def _recorded(
    length: int, settings: MixtureSettings, around: Surroundings, rng: Generator
) -> Floats:
    """Noise that none of the recordings is: there are too few to know noise by."""
    total = np.zeros(length, np.float32)
    for _ in range(2 if rng.random() < settings.second_share else 1):
        speed = rng.uniform(1 - settings.noise_speed, 1 + settings.noise_speed)
        enough = int(1.1 * speed * length) + 256  # it comes out a little slower
        x = augment.faster(around.noise(enough, rng), speed)[:length]
        if rng.random() < settings.microphone_share:
            x = channel.through_another_microphone(x, rng)
        loudness = np.sqrt(augment.power(x)) * 10 ** (rng.uniform(0, 10) / 20)
        total += x / np.float32(max(loudness, 1e-9))
    return total


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
