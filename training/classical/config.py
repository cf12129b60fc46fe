"""What is studied: each system on each set of features, in one TOML file."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from serd.features import FeatureSpec
from serd.settings import Table
from training import config
from training.classical.models import Kind
from training.config import Name, Task

Parameters = dict[str, Any]
"""Arguments of the scikit-learn class."""
Grid = dict[str, Annotated[list[Any], Field(min_length=1)]]


def _summed(spec: FeatureSpec) -> FeatureSpec:
    if not spec.statistics:
        raise ValueError("these systems take statistics, not frames")
    return spec


class Curve(Table):
    """`[systems.NAME.curve]`: how one parameter tells, the others as they are reported."""

    parameter: str
    values: tuple[int | float | str, ...] = Field(min_length=1)


class System(Table):
    """`[systems.NAME]`."""

    kind: Kind
    title: str
    """For tables."""
    parameters: Parameters = Field(default_factory=dict)
    grid: Grid = Field(default_factory=dict)
    """Values of parameters, of which every combination is tried."""
    tuned: bool = True
    """Each training part chooses from the grid by its own speakers; else `parameters` are
    what is reported, and the grid is searched once, to be looked at."""
    curve: Curve | None = None

    @model_validator(mode="after")
    def _has_choice(self) -> "System":
        if self.tuned and not self.grid:
            raise ValueError("tuned, but without a grid")
        return self


class Study(Task):
    """A whole file."""

    inner_folds: int = Field(4, ge=2)
    """Into how many groups of speakers a training part is divided to choose and calibrate."""
    learning_shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.1, 0.25, 0.5, 0.75, 1.0)
    """Of the training clips, for the learning curve."""
    features: dict[Name, Annotated[FeatureSpec, AfterValidator(_summed)]] = Field(min_length=1)
    systems: dict[Name, System] = Field(min_length=1)


def load(path: Path) -> Study:
    """Read a study; raises `training.config.ConfigError`."""
    return config.parse(Study, path)
