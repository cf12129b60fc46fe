"""A model on disk: a folder with `model.tflite` and the `card.json` that says what it is."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from serd.audio import SAMPLE_RATE
from serd.baseline import Adaptation
from serd.features import FeatureSpec
from serd.tflite import Network, TfliteError
from serd.wording import first_line, reason

MODEL_FILE = "model.tflite"
CARD_FILE = "card.json"


class BundleError(Exception):
    """A bundle that must not be used; the message says which and why, in one line."""


class Input(BaseModel):
    """What the network wants under one name: exactly one of the three."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    features: FeatureSpec | None = None
    """Features of one window."""
    mask_of: str | None = None
    """1 where that input's frames are real, 0 where they only fill up the window."""
    baseline: int | None = Field(None, gt=0)
    """The mean embedding of what this source has said so far, of this size."""

    @model_validator(mode="after")
    def _one(self) -> "Input":
        if sum(x is not None for x in (self.features, self.mask_of, self.baseline)) != 1:
            raise ValueError("an input is one of features, mask_of and baseline")
        return self


class Facts(BaseModel):
    """What is to be known of any model, by programs and people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    version: str
    quantization: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of `model.tflite`."""
    data: tuple[dict[str, str], ...] = ()
    licence: str = ""
    metrics: dict[str, Any] = {}
    trained_by: dict[str, str] = {}

    @property
    def id(self) -> str:
        """Name and version, as events show it."""
        return f"{self.name}-{self.version}"


class Card(Facts):
    """All that is to be known of a classifier."""

    labels: tuple[str, ...] = Field(min_length=2)
    inputs: tuple[Input, ...] = Field(min_length=1)
    outputs: tuple[str, ...] = ("scores",)
    """`scores` are logits, one a label; `embedding`, which does not depend on the baseline, is
    of the baseline's size."""
    adaptation: Adaptation | None = None
    """What to make a baseline of embeddings by."""
    temperature: float = Field(1.0, gt=0)
    """Logits are divided by it before the softmax."""
    uncertain_below: float = Field(0.0, ge=0, le=1)
    """With less confidence than this the emotion is `uncertain`."""

    @model_validator(mode="after")
    def _unambiguous(self) -> "Card":
        for names in (self.labels, [i.name for i in self.inputs]):
            if len(set(names)) != len(names):
                raise ValueError("two labels or two inputs have the same name")
        return self

    @model_validator(mode="after")
    def _adaptable(self) -> "Card":
        sizes = [i.baseline for i in self.inputs if i.baseline is not None]
        if len(sizes) > 1:
            raise ValueError("two inputs are baselines")
        there = {bool(sizes), "embedding" in self.outputs, self.adaptation is not None}
        if len(there) > 1:
            raise ValueError("a baseline, the output embedding and adaptation go together")
        if self.adaptation is not None and sizes != [len(self.adaptation.mean)]:
            raise ValueError("the baseline and adaptation differ in size")
        return self


class DenoiserCard(Facts):
    """All that is to be known of a network that takes noise out."""

    n_fft: int = Field(ge=4, multiple_of=2)
    """Samples of a frame, of which each overlaps the next by half."""
    frames: int = Field(gt=0)
    """Of a window."""
    context: int = Field(ge=0)
    """So many frames at either end of a window are only looked at, their gains not used."""
    least_gain_db: float = Field(le=0)
    """Nothing is made softer than by this much: what is left of the noise sounds natural."""
    below_snr_db: float
    """In noisier utterances than this the emotion is recognised better without the noise."""


@dataclass(frozen=True)
class Bundle:
    """A checked card and the network that fits it."""

    card: Card
    network: Network
    path: Path


def roots() -> list[Path]:
    """Where models are looked for by name: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    return [package / "models", package.parent / "models"]


def available() -> list[Path]:
    """The folders of all models that can be named."""
    return sorted(card.parent for root in roots() for card in root.glob(f"*/{CARD_FILE}"))


def find(model: str) -> Path:
    """The folder of a model, by its name or by its path.

    Raises:
        BundleError: there is none.
    """
    with suppress(OSError):  # a name that is too long
        for root in roots():
            if (root / model / CARD_FILE).is_file():
                return root / model
        if (Path(model) / CARD_FILE).is_file():
            return Path(model)
    names = ", ".join(path.name for path in available()) or "none"
    raise BundleError(f"{model}: no such model (there are: {names}) and no folder with a card.json")


def read_card(path: Path) -> Card:
    """A classifier's card, without its network.

    Raises:
        BundleError: as `read_any_card`, or it is no classifier.
    """
    card = read_any_card(path)
    if not isinstance(card, Card):
        raise BundleError(f"{path}: it takes noise out and recognises nothing")
    return card


def read_any_card(path: Path) -> Card | DenoiserCard:
    """A bundle's card, without its network.

    Raises:
        BundleError: it is missing, not JSON, or not a card.
    """
    try:
        content = json.loads((path / CARD_FILE).read_bytes())
        kind = DenoiserCard if isinstance(content, dict) and "n_fft" in content else Card
        return kind.model_validate(content)
    except OSError as error:
        raise BundleError(
            f"{path}: {CARD_FILE}: {(error.strerror or str(error)).lower()}"
        ) from error
    except ValidationError as error:
        raise BundleError(f"{path}: {CARD_FILE}: {first_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: {CARD_FILE}: not JSON ({error})") from error


def load(path: Path, num_threads: int = 1) -> Bundle:
    """Read a classifier and make sure that its parts belong together.

    Raises:
        BundleError: hash, shapes or labels do not fit, or something cannot be read.
    """
    card = read_card(path)
    network = open_network(path, card, num_threads)
    _check_shapes(card, network, path)
    return Bundle(card, network, path)


def open_network(path: Path, card: Facts, num_threads: int = 1) -> Network:
    """The network that a card belongs to.

    Raises:
        BundleError: its hash does not fit, or it cannot be read.
    """
    file = path / MODEL_FILE
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"{file}: {reason(error)}") from error
    if digest != card.sha256:
        raise BundleError(f"{file}: its SHA-256 is not the card's; the file was changed or damaged")
    try:
        return Network(file, num_threads)
    except TfliteError as error:
        raise BundleError(str(error)) from error


def _check_shapes(card: Card, network: Network, path: Path) -> None:
    shapes = network.input_shapes
    if set(shapes) != {i.name for i in card.inputs}:
        raise BundleError(f"{path}: the network's inputs are {sorted(shapes)}, not the card's")
    specs = {i.name: i.features for i in card.inputs if i.features is not None}
    for wanted in card.inputs:
        shape = shapes[wanted.name]
        if not _fits(wanted, shape, specs, shapes):
            raise BundleError(f"{path}: input {wanted.name} has the shape {shape}, not the card's")
    if any(spec.sample_rate != SAMPLE_RATE for spec in specs.values()):
        raise BundleError(f"{path}: its features are not of sound at {SAMPLE_RATE} Hz")
    if set(network.output_shapes) != set(card.outputs) or "scores" not in card.outputs:
        raise BundleError(f"{path}: the network's outputs are not the card's")
    if network.output_shapes["scores"] != (1, len(card.labels)):
        raise BundleError(f"{path}: the network does not have one score a label")
    size = 0 if card.adaptation is None else len(card.adaptation.mean)
    if size and network.output_shapes["embedding"] != (1, size):
        raise BundleError(f"{path}: the network's embedding is not of the baseline's size")


def _fits(
    wanted: Input,
    shape: tuple[int, ...],
    specs: dict[str, FeatureSpec],
    shapes: dict[str, tuple[int, ...]],
) -> bool:
    if wanted.baseline is not None:
        return shape == (1, wanted.baseline)
    spec = specs.get(wanted.mask_of or wanted.name)
    if spec is None:
        return False  # a mask of nothing
    if wanted.mask_of is not None:
        return not spec.statistics and shape == shapes[wanted.mask_of][:2]
    if spec.statistics:
        return shape == (1, spec.size)
    return len(shape) == 3 and shape[::2] == (1, spec.size)
