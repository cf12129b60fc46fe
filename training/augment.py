"""Variation of an utterance's samples, made anew each time it is seen.

Samples rather than features, because networks see different features of the same sound.
What is done to features instead (masks, mixup) is in `spec_augment`.
"""

import threading
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import scipy.fft
from numpy.random import Generator
from pydantic import Field, model_validator

from serd import bundle, denoiser
from serd.audio import SAMPLE_RATE, Floats, Pcm, float_to_pcm, pcm_to_float
from serd.denoiser import Denoiser
from serd.settings import Table
from training import channel, codec, noises

Share = Annotated[float, Field(ge=0, le=1)]
Decibels = Annotated[float, Field(ge=-60, le=120)]
Level = Annotated[float, Field(ge=-120, le=0)]


class Augmentation(Table):
    """`[augmentation]`: each switched off by its default."""

    speed: float = Field(0, ge=0, lt=0.5)
    """Tempo and pitch together, by up to ± this share."""
    room_share: Share = 0
    """How often the utterance is heard in a room, 0…1."""
    rooms: str = "rir"
    """Folder of impulse responses, below the data folder."""
    rooms_without: tuple[str, ...] = ()
    """Rooms that are kept for tests."""
    noise_snr_db: tuple[Decibels, Decibels] | None = None
    """Lowest and highest ratio of the whole utterance's power to the noise's, dB."""
    noise_share: Share = 0.5
    """How often there is noise, if `noise_snr_db` is given, 0…1."""
    noise: tuple[str, ...] = ()
    """Folders of recordings, below the data folder; with none, noise of a random colour."""
    noise_without: tuple[str, ...] = ()
    """Kinds of noise that are kept for tests."""
    colour_share: Share = 0
    """How often it is as through another microphone: each octave some 5 dB off, 0…1."""
    floor_share: Share = 0
    """How often the recorder adds noise of its own, of a random colour, 0…1."""
    floor_dbfs: tuple[Level, Level] = (-80, -50)
    """Lowest and highest level of that noise, dB re full scale, before `gain_db`."""
    band_share: Share = 0
    """How often it comes by telephone, with 300–3400 Hz alone, 0…1."""
    codec_share: Share = 0
    """How often it was encoded, 0…1."""
    codecs: tuple[codec.Name, ...] = Field(("mu-law", "mp3", "vorbis"), min_length=1)
    """By what, at a random bitrate; each is as likely as any other. `mu-law` is a telephone's, with
    its band; `opus` takes ten times as long as the others."""
    denoised_share: Share = 0
    """How often noise that joined is taken out again, as the daemon does it, 0…1."""
    denoiser: str = "denoiser"
    """By which bundle, its name or folder."""
    gain_db: float = Field(0, ge=0, le=60)
    """Loudness by up to ± this much, dB."""
    shift_ms: float = Field(0, ge=0, le=10_000)
    """Cut off either end, up to this much and at most a quarter, ms."""
    time_masks: int = Field(0, ge=0)
    """SpecAugment: masked stretches, each of up to a tenth of the utterance."""
    frequency_masks: int = Field(0, ge=0)
    """SpecAugment: masked groups, each of up to an eighth of the features."""
    mixup: float = Field(0, ge=0)
    """Alpha of the beta distribution that mixes two utterances and their labels."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.noise_snr_db and self.noise_snr_db[0] > self.noise_snr_db[1]:
            raise ValueError("noise_snr_db: the lowest is above the highest")
        if self.floor_dbfs[0] > self.floor_dbfs[1]:
            raise ValueError("floor_dbfs: the lowest is above the highest")
        if self.denoised_share and not self.noise_snr_db:
            raise ValueError("denoised_share: without noise_snr_db there is nothing to take out")
        return self

    @property
    def of_samples(self) -> bool:
        """Whether there is anything for an `Augmenter` to do."""
        recorder = self.colour_share or self.floor_share or self.band_share or self.codec_share
        around = self.room_share or self.noise_snr_db
        return bool(self.speed or around or recorder or self.gain_db or self.shift_ms)


class Augmenter:
    """Varies utterances as the options say; several threads may share one.

    In the order in which sound comes about: the speaker is faster or slower, the room adds its
    reflections, noise joins at the microphone (recordings of it have their own room in them),
    which colours both, the recorder adds its own, a telephone and a codec let part of it through,
    the denoiser takes the noise out again, a gain acts on all, and the segmenter cuts what it was
    given.

    Args:
        options: what to vary.
        data: the folder that `options.noise` and `options.rooms` are below.

    Raises:
        NoiseError: a folder that is needed is missing or has no sound in it. Files are read at
            the first call, which raises it for one that is not sound.
        CodecError: libsndfile lacks a codec.
        BundleError: the denoiser cannot be used.
    """

    def __init__(self, options: Augmentation, data: Path) -> None:
        self._options = options
        self._rooms = data / options.rooms
        self._noise = [data / name for name in options.noise]
        self._local = threading.local()  # a denoiser is for one thread
        if options.room_share:
            noises.files(self._rooms, options.rooms_without)
        if options.codec_share:
            codec.check(options.codecs)
        if options.noise_snr_db:
            for folder in self._noise:
                noises.files(folder, {*noises.VOICES, *options.noise_without})
        if options.denoised_share:
            self._denoiser()

    def __call__(self, samples: Floats, rng: Generator) -> Floats:
        """A variation of an utterance.

        Args:
            samples: float32 `[n]`, -1…1, at least one, at `SAMPLE_RATE`.
            rng: chooses; the same state gives the same result.

        Returns:
            float32 `[m]`, `m >= 1`, -1…1: what came out larger is scaled down as a whole. With
            everything switched off it is `samples`.
        """
        o, x = self._options, samples
        if o.speed:
            x = faster(x, rng.uniform(1 - o.speed, 1 + o.speed))
        if rng.random() < o.room_share:
            known = noises.rooms(self._rooms).items()
            rooms = [room for name, room in known if name not in o.rooms_without]
            x = in_room(x, rooms[rng.integers(len(rooms))])
        noisy = o.noise_snr_db is not None and rng.random() < o.noise_share
        if o.noise_snr_db and noisy:
            x = with_noise(x, self._some_noise(x.size, rng), rng.uniform(*o.noise_snr_db))
        x = self._recorded(x, rng)
        if noisy and o.denoised_share and rng.random() < o.denoised_share:
            x = self._denoised(x)
        if o.gain_db:
            x = x * np.float32(10 ** (rng.uniform(-o.gain_db, o.gain_db) / 20))
        if o.shift_ms:
            most = min(int(o.shift_ms * SAMPLE_RATE / 1000), x.size // 4)
            start, end = rng.integers(0, most + 1, 2)
            x = x[start : x.size - end]
        peak = np.abs(x).max()
        return x / peak if peak > 1 else x

    def _recorded(self, samples: Floats, rng: Generator) -> Floats:
        """What a microphone, a recorder and a telephone make of what reaches them.

        What is off draws no number: networks that were trained without it can be trained again.
        """
        o, x = self._options, samples
        if o.colour_share and rng.random() < o.colour_share:
            x = channel.through_another_microphone(x, rng)
        if o.floor_share and rng.random() < o.floor_share:
            x = channel.with_floor(x, rng.uniform(*o.floor_dbfs), rng)
        if o.band_share and rng.random() < o.band_share:
            x = channel.telephone(x)
        if o.codec_share and rng.random() < o.codec_share:
            x = codec.some(o.codecs[rng.integers(len(o.codecs))], rng)(x)
        return x

    def _denoised(self, samples: Floats) -> Floats:
        peak = max(np.float32(1), np.abs(samples).max())
        return pcm_to_float(self._denoiser()(float_to_pcm(samples / peak))) * peak

    def _denoiser(self) -> Denoiser:
        if not hasattr(self._local, "denoiser"):
            self._local.denoiser = denoiser.load(bundle.find(self._options.denoiser))
        return self._local.denoiser

    def _some_noise(self, length: int, rng: Generator) -> Floats:
        """Of a random recording, or else colour; any kind is as likely as any other."""
        if not self._noise:
            return channel.coloured_noise(length, rng)
        kinds = [
            recordings
            for folder in self._noise
            for kind, recordings in noises.recordings(folder).items()
            if kind not in self._options.noise_without
        ]
        recordings = kinds[rng.integers(len(kinds))]
        return excerpt(recordings[rng.integers(len(recordings))], length, rng)


def faster(samples: Floats, speed: float) -> Floats:
    """Played `speed` times as fast, so that tempo and pitch change together.

    By the Fourier transform: it takes no longer than linear interpolation, and keeps the treble
    (which that damps) and takes any ratio (which a polyphase filter does not). Only transforms
    whose lengths have small prime factors are quick, so the speed comes out a little lower: at
    1 s and more by at most 1 %, at 0.1 s by at most 2 %.

    Args:
        samples: float32 `[n]`, at least one.
        speed: above 0; above 1 is shorter and higher.

    Returns:
        float32 `[m]`, `m` about `n / speed`, at least one.
    """
    # Zeros behind, so that the end does not leak into the beginning.
    before = scipy.fft.next_fast_len(samples.size + 256)
    after = scipy.fft.next_fast_len(round(before / speed))
    x = scipy.fft.irfft(scipy.fft.rfft(samples, before), after)
    length = max(1, round(samples.size * after / before))
    return x[:length] * np.float32(after / before)


def in_room(samples: Floats, response: Floats) -> Floats:
    """Heard in a room: as long, as loud (power of the whole), the direct sound in its place.

    Args:
        samples: float32 `[n]`.
        response: float32 `[m]`, an impulse response that begins with the direct sound.
    """
    response = response[: samples.size]
    length = scipy.fft.next_fast_len(samples.size + response.size)
    spectrum = scipy.fft.rfft(samples, length) * scipy.fft.rfft(response, length)
    x = scipy.fft.irfft(spectrum, length)[: samples.size]
    after = power(x)
    return x * np.float32(np.sqrt(power(samples) / after)) if after else x


def with_noise(samples: Floats, noise: Floats, snr_db: float) -> Floats:
    """The sum, with the noise `snr_db` below the power of the whole utterance, pauses included.

    Args:
        samples: float32 `[n]`.
        noise: float32 `[n]`, of any power; one of silence changes nothing.
        snr_db: dB.
    """
    unscaled = power(noise)
    if not unscaled:
        return samples
    scale = np.sqrt(power(samples) / unscaled * 10 ** (-snr_db / 10))
    return samples + np.float32(scale) * noise


def excerpt(recording: Pcm, length: int, rng: Generator) -> Floats:
    """`length` samples from a random place on, float32; after its end the recording begins anew."""
    start = int(rng.integers(recording.size))
    return pcm_to_float(np.take(recording, np.arange(start, start + length), mode="wrap"))


def power(samples: Floats) -> float:
    """Mean square."""
    return float(np.vdot(samples, samples)) / samples.size
