"""What a published model is made of: one TOML file."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from serd.audio import SAMPLE_RATE
from serd.features import FeatureSpec
from serd.settings import SegmentSettings, Table
from serd.wording import first_line, reason
from training.augment import Augmentation
from training.conditions import Robustness
from training.convert import Kind
from training.corpora.clip import EMOTIONS
from training.schedules import Head, Teaching, Training
from training.splits import STRICT, Protocol

Model = TypeVar("Model", bound=BaseModel)


def _name(given: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", given):
        raise ValueError("takes a-z, 0-9, _ and -, at most 64, the first a letter or a digit")
    return given


Name = Annotated[str, AfterValidator(_name)]
"""Of a folder, and of a bundle."""
Seeds = Annotated[tuple[int, ...], Field(min_length=1)]


class ConfigError(Exception):
    """A configuration that cannot be used; one line."""


class Data(Table):
    """`[data]`."""

    corpora: tuple[str, ...] = Field(("ravdess",), min_length=1)
    """Names of corpora, or `folder:PATH` and `csv:PATH`."""
    train_only: tuple[str, ...] = ()
    """Corpora that help: only `cross-corpus`, when it leaves them out, tests on them."""
    test_only: tuple[str, ...] = ()
    """Corpora that `cross-corpus` tests on and nothing trains on."""

    @model_validator(mode="after")
    def _on_one_side(self) -> "Data":
        if both := set(self.train_only) & {*self.corpora, *self.test_only}:
            raise ValueError(f"{min(both)} is in train_only and in another list")
        return self

    @property
    def trained(self) -> tuple[str, ...]:
        """Whatever corpora a network is trained on."""
        return (*self.corpora, *self.train_only)


class Window(Table):
    """`[inputs.NAME]`: what the network takes under this name."""

    features: FeatureSpec = FeatureSpec()
    frames: int | None = Field(None, gt=0)
    """What the network sees at once; none for statistics, which have no frames."""

    @model_validator(mode="after")
    def _frames_or_statistics(self) -> "Window":
        if (self.frames is None) != bool(self.features.statistics):
            raise ValueError("an input has either frames or statistics")
        if self.features.sample_rate != SAMPLE_RATE:
            raise ValueError(f"serd's sound has {SAMPLE_RATE} samples a second")
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        size = self.features.size
        return (size,) if self.frames is None else (self.frames, size)


class Conversion(Table):
    """`[conversion]`."""

    kind: Kind = "int8"
    """Of the published bundle."""
    float_ops: tuple[str, ...] = ()
    """With `int8`, TFLite's operations that stay in float32."""
    reason: str = ""
    """Why this one."""


class Pretrained(Table):
    """`[[pretrained]]`: what the network starts from, for its card."""

    name: str
    licence: str
    source: str


class Range(Table):
    """`[tune]`: what a setting may be, either of `choices` or between two `bounds`."""

    choices: tuple[Any, ...] = ()
    bounds: tuple[int, int] | tuple[float, float] = (0, 0)
    """Lowest and highest; whole numbers are drawn between whole numbers."""
    log: bool = False
    """Whether small values are as likely as large ones."""

    @model_validator(mode="after")
    def _one(self) -> "Range":
        if bool(self.choices) == (self.bounds[0] < self.bounds[1]):
            raise ValueError("give either choices, or bounds of which the first is lower")
        if self.log and self.bounds[0] <= 0:
            raise ValueError("with log, the bounds must be above 0")
        return self


class Task(Table):
    """What any study is about: clips, and how results are to be had of them."""

    name: Name
    version: str
    labels: tuple[str, ...] = Field(EMOTIONS, min_length=2)
    """Clips of other emotions are left out."""
    segments: SegmentSettings = SegmentSettings()
    data: Data = Data()
    protocols: dict[Protocol, Seeds] = Field({STRICT: (1,)}, min_length=1)
    """Which protocols are measured, with which seeds."""

    @field_validator("labels")
    @classmethod
    def _known(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(labels) - set(EMOTIONS):
            raise ValueError(f"no such emotion: {', '.join(sorted(unknown))}")
        if len(set(labels)) < len(labels):
            raise ValueError("an emotion stands there twice")
        return labels


class Config(Task):
    """A whole configuration."""

    title: str = ""
    """For tables."""
    inputs: dict[str, Window] = Field(min_length=1)
    network: dict[str, Any]
    """`kind`, a file in `networks/`, and the arguments of its `build`."""
    pretrained: tuple[Pretrained, ...] = ()
    sources: tuple[Pretrained, ...] = ()
    """`[[sources]]`: what it was trained with beside the corpora, for its card: noises, rooms."""
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    teaching: Teaching | None = None
    head: Head | None = None
    conversion: Conversion = Conversion()
    robustness: Robustness | None = None
    tune: dict[str, Range] = Field(default_factory=dict)
    """What `serd-train tune` searches, by dotted names as `training.learning_rate`."""
    notes: tuple[str, ...] = ()
    """What a reader of the results has to know."""

    @field_validator("network")
    @classmethod
    def _of_a_kind(cls, network: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(network.get("kind"), str):
            raise ValueError("kind is missing")  # noqa: TRY004 - pydantic wants a ValueError
        if own := sorted({"shapes", "n_labels"} & set(network)):
            raise ValueError(f"{own[0]} follows from inputs and labels")
        return network

    @model_validator(mode="after")
    def _tried_on_what_is_unheard(self) -> "Config":
        if self.robustness:
            self.robustness.check(self.augmentation)
            if STRICT not in self.protocols:
                raise ValueError(f"robustness: it is measured by the protocol {STRICT}")
        return self

    @model_validator(mode="after")
    def _taught_for_a_head(self) -> "Config":
        if self.teaching is None:
            return self
        if self.head is None:
            raise ValueError("teaching: without [head] nothing is made of it")
        if self.network["kind"] != "whisper":
            raise ValueError("teaching: only a network of kind whisper can be taught")
        known = {*self.data.trained, *self.data.test_only}
        if unknown := set(self.teaching.corpora) - known:
            raise ValueError(f"teaching.corpora: {min(unknown)} is not in [data]")
        return self

    def with_weights(self, weights: str) -> "Config":
        """With other pretrained weights, in whichever network takes some.

        With `none` nothing is frozen, for as many epochs altogether, and name and title say so.

        Raises:
            ConfigError: no network takes any.
        """
        changed = self._with(lambda _: weights)
        if self._with(lambda _: "") == self:
            if weights == "none":
                return self
            raise ConfigError(f"{self.name}: its network takes no pretrained weights")
        if weights != "none" or changed == self:
            return changed
        options = self.training
        epochs = {"frozen_epochs": 0, "epochs": options.frozen_epochs + options.epochs}
        return changed.model_copy(
            update={
                "name": f"{self.name}-scratch",
                "title": f"{self.title or self.name}, from scratch",
                "pretrained": (),
                "training": options.model_copy(update={**epochs, "unfreeze_from": ""}),
            }
        )

    def with_weights_below(self, folder: Path) -> "Config":
        """With the paths of weights below a folder, where they are there."""
        return self._with(lambda old: str(folder / old) if (folder / old).is_file() else old)

    def _with(self, weights: Callable[[str], str]) -> "Config":
        return self.model_copy(update={"network": _with_weights(self.network, weights)})

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The features of each input."""
        return {name: window.features for name, window in self.inputs.items()}


def _with_weights(network: dict[str, Any], weights: Callable[[str], str]) -> dict[str, Any]:
    changed = {
        key: _with_weights(value, weights) if isinstance(value, dict) else value
        for key, value in network.items()
    }
    return changed | ({"weights": weights(network["weights"])} if "weights" in network else {})


def load(path: Path) -> Config:
    """Read a configuration; raises ConfigError."""
    return parse(Config, path)


def parse(model: type[Model], path: Path) -> Model:
    """Read a TOML file of this model's tables; raises ConfigError.

    With `extends = "FILE"`, all that does not stand in it is as in that file beside it.
    """
    try:
        return model.model_validate(_tables(path))
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: {reason(error)}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_line(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: extends itself") from error


def _tables(path: Path) -> dict[str, Any]:
    own = tomllib.loads(path.read_text("utf-8"))
    base = own.pop("extends", None)
    return own if base is None else {**_tables(path.parent / str(base)), **own}
