"""Speech in rooms and noise, made anew each time, and the same speech without the noise."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from serd.audio import SAMPLE_RATE, Floats, Pcm, pcm_to_float
from training import augment, channel, noises
from training.denoising.config import MixtureSettings
from training.noises import NoiseError
from training.surroundings import Mixture, Surroundings, mix
from training.synthetic_noise import synthetic_noise


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
    recordings = noises.of_folders(data / folder for folder in settings.noise)
    rooms = noises.rooms(data / settings.rooms)
    held_out = (settings.validation, settings.test)

    def side(kinds: Collection[str], names: Collection[str]) -> Surroundings:
        own = noises.named(rooms, names, "room").values()
        return Surroundings(noises.named(recordings, kinds, "kind of noise"), list(own))

    validation, test = (side(of_side.noise, of_side.rooms) for of_side in held_out)
    kinds = [k for k in recordings if not any(k in of_side.noise for of_side in held_out)]
    names = [n for n in rooms if not any(n in of_side.rooms for of_side in held_out)]
    if not kinds or not names:
        raise NoiseError("no noise or no room is left to train with")
    return Sides(side(kinds, names), validation, test)


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
