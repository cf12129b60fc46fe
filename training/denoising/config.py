"""What a denoiser is made of: one TOML file."""

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from serd.settings import SegmentSettings, Table
from training import config
from training.augment import Decibels, Share
from training.config import Conversion, Name, Pretrained
from training.schedules import Schedule


class Side(Table):
    """`[mixtures.validation]`, `[mixtures.test]`: what nothing trains on."""

    noise: tuple[str, ...] = Field(min_length=1)
    """Kinds of noise."""
    rooms: tuple[str, ...] = Field(min_length=1)


class MixtureSettings(Table):
    """`[mixtures]`: what the speech is put into."""

    noise: tuple[str, ...] = Field(min_length=1)
    """Folders of recordings, below the data folder."""
    rooms: str = "rir"
    """Folder of impulse responses, below the data folder."""
    snr_db: tuple[Decibels, Decibels] = (-5, 20)
    """Lowest and highest ratio of the power of the speech to that of the noise, dB."""
    clean_share: Share = 0.05
    """How often there is no noise, 0…1."""
    synthetic_share: Share = 0.4
    """How often the noise is none of the recordings, but made up, 0…1."""
    second_share: Share = 0.3
    """How often two recordings of noise are heard at once, 0…1."""
    noise_speed: float = Field(0.3, ge=0, lt=0.5)
    """Tempo and pitch of a recorded noise together, by up to ± this share."""
    microphone_share: Share = 0.5
    """How often a recorded noise is as through another microphone, 0…1."""
    room_share: Share = 0.3
    """How often the speech is heard in a room, which the network is to leave, 0…1."""
    speed: float = Field(0.1, ge=0, lt=0.5)
    """Tempo and pitch together, by up to ± this share."""
    pause_s: float = Field(1.0, ge=0, le=10)
    """Up to this much with nothing but noise before and after an utterance, s."""
    gain_db: float = Field(20, ge=0, le=60)
    """Softer by up to this much, dB."""
    validation: Side
    test: Side
    sources: tuple[Pretrained, ...] = ()
    """Where noises and rooms come from, for the card."""

    @model_validator(mode="after")
    def _apart(self) -> "MixtureSettings":
        for what in ("noise", "rooms"):
            both = set(getattr(self.validation, what)) & set(getattr(self.test, what))
            if both:
                raise ValueError(f"{', '.join(sorted(both))} is for validation and for the test")
        return self


class Fitting(Schedule):
    """`[training]`."""

    steps: int = Field(500, gt=0)
    """Batches in an epoch: mixtures are made anew without end."""
    magnitude_share: Share = 0.5
    """Of the loss; the rest is the error of the complex spectrum."""


class Study(Table):
    """A whole file."""

    name: Name
    version: str
    title: str = ""
    segments: SegmentSettings = SegmentSettings()
    data: config.Data
    """`test_only` is what the figures are measured on."""
    mixtures: MixtureSettings
    seed: int = 1
    frames: int = Field(128, gt=0)
    """Of a window."""
    context: int = Field(16, ge=0)
    """Frames at either end of a window whose gains are not used."""
    n_fft: int = Field(512, gt=0, multiple_of=2)
    least_gain_db: float = Field(-30, le=0)
    """Nothing is made softer than by this much."""
    networks: dict[Name, dict[str, Any]] = Field(min_length=1)
    """Arguments of `networks.denoiser.build`; the first is published."""
    training: Fitting = Fitting()
    conversion: Conversion = Conversion()
    test_clips: int = Field(120, gt=0)
    """How many utterances are listened to."""
    classifiers: tuple[str, ...] = Field(("cnn",), min_length=1)
    """Files in `configs` whose networks are asked what they hear. The first decides when noise is
    taken out; the others may train with the denoiser that is published then."""
    notes: tuple[str, ...] = ()


def load(path: Path) -> Study:
    """Read a study; raises `training.config.ConfigError`."""
    return config.parse(Study, path)
