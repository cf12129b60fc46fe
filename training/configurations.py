"""Configurations by their names, and what each is of."""

import tomllib
from pathlib import Path
from typing import Literal

from training.config import Config, ConfigError, load

FOLDER = Path(__file__).parent / "configs"


def find(name: str) -> Path:
    """The file that is meant by a path, or by the name of a file in training/configs.

    Raises:
        ConfigError: neither is there.
    """
    named = FOLDER / f"{name}.toml"
    if named.is_file():
        return named
    if not Path(name).exists() and not name.endswith(".toml"):
        names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.toml")))
        raise ConfigError(f"{name}: no such file, and none of {names}")
    return Path(name)


def kind(path: Path) -> Literal["classical", "denoiser", "network"]:
    """Whether a configuration lists systems of scikit-learn's, or is of a denoiser or a network."""
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError):
        return "network"  # its loader says why
    return "classical" if "systems" in tables else "denoiser" if "mixtures" in tables else "network"


def network(name: str, weights: str | None = None) -> Config:
    """Read that of a network alone.

    Args:
        name: as of `find`.
        weights: to begin with instead of those it names, as of `Config.with_weights`.

    Raises:
        ConfigError: it is of something else, or not valid.
    """
    path = find(name)
    if kind(path) != "network":
        raise ConfigError(f"{path}: of no network alone: only serd-train reproduce takes it")
    loaded = load(path)
    return loaded if weights is None else loaded.with_weights(weights)
