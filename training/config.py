"""What a published model is made of: one TOML file."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serd.features import FeatureSpec
from serd.settings import SegmentSettings, first_line, reason


class ConfigError(Exception):
    """A configuration that cannot be used; one line."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Table):
    """`[data]`."""

    corpora: tuple[Literal["ravdess"], ...] = ("ravdess",)
    window_frames: int = Field(300, gt=0)
    """What the network sees at once, feature frames."""


class Augmentation(_Table):
    """`[augmentation]`: each switched off by 0."""

    gain_db: float = Field(0, ge=0)
    """Loudness by up to ± this much, dB."""
    noise_snr_db: float = 0
    """Stationary noise of a random colour, from this SNR (dB) upwards to 40 dB."""
    speed: float = Field(0, ge=0, lt=0.5)
    """Tempo by up to ± this share."""
    pitch_bands: float = Field(0, ge=0)
    """Shift along frequency by up to ± this many mel bands."""
    time_masks: int = Field(0, ge=0)
    """SpecAugment: masked stretches of up to a tenth of the utterance."""
    frequency_masks: int = Field(0, ge=0)
    """SpecAugment: masked groups of up to an eighth of the bands."""
    mixup: float = Field(0, ge=0)
    """Alpha of the beta distribution that mixes two clips and their labels."""


class Training(_Table):
    """`[training]`."""

    epochs: int = Field(60, gt=0)
    batch_size: int = Field(32, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    """The highest; rises for a tenth of the steps, then falls as a cosine."""
    weight_decay: float = Field(1e-2, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    average: float = Field(0.998, ge=0, lt=1)
    """Exponential moving average of the weights, a step."""
    validators: int = Field(4, gt=0)
    """Speakers kept out of training, for temperature and threshold."""
    uncertain_share: float = Field(0.1, ge=0, lt=1)
    """How much of what those speakers say may be called uncertain."""
    seed: int = 1


class Config(_Table):
    """A whole configuration."""

    name: str
    version: str
    features: FeatureSpec = FeatureSpec()
    segments: SegmentSettings = SegmentSettings()
    data: Data = Data()
    network: dict[str, Any]
    """`kind`, a file in `networks/`, and the arguments of its `build`."""
    augmentation: Augmentation = Augmentation()
    training: Training = Training()


def load(path: Path) -> Config:
    """Read a configuration; raises ConfigError."""
    try:
        return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: {reason(error)}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_line(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
