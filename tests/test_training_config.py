from pathlib import Path

import pytest

from training import config
from training.classical import config as classical
from training.config import ConfigError
from training.configurations import FOLDER
from training.denoising import config as denoising

LOADERS = {"classical": classical.load, "denoiser": denoising.load}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_what_is_published_can_be_read_and_is_called_as_its_file(name: str) -> None:
    loaded = LOADERS.get(name, config.load)(FOLDER / f"{name}.toml")
    assert loaded.name == name


def test_what_does_not_stand_in_a_file_is_as_in_the_one_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_bytes((FOLDER / "cnn.toml").read_bytes())
    own = 'extends = "base.toml"\nname = "mine"\n[protocols]\nrandom = [4]\n'
    (tmp_path / "mine.toml").write_text(own)
    mine, base = (config.load(tmp_path / f"{name}.toml") for name in ("mine", "base"))
    expected = {"name": "mine", "protocols": {"random": (4,)}}
    assert mine == base.model_copy(update=expected)


def test_settings_kept_by_an_older_version_are_the_same() -> None:
    """Of a run that was begun before there were helping corpora, balance, masks and votes."""
    cnn = config.load(FOLDER / "cnn.toml")
    new = {"training": {"balance", "mask_lacking", "votes"}, "data": {"train_only"}}
    kept = cnn.model_dump_json(exclude=new)
    assert "train_only" not in kept
    assert config.Config.model_validate_json(kept) == cnn


@pytest.mark.parametrize(
    ("extends", "why"),
    [('"none.toml"', "none.toml: "), ('"mine.toml"', "extends itself"), ("3", "3: ")],
)
def test_what_cannot_be_extended_is_one_line(tmp_path: Path, extends: str, why: str) -> None:
    (tmp_path / "mine.toml").write_text(f"extends = {extends}\n")
    with pytest.raises(ConfigError, match=f"^[^\n]*{why}[^\n]*$"):
        config.load(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("kind", "tables", "why"),
    [
        ("whisper", '[teaching]\nweights = "x.npz"\ncorpora = ["nemo"]', r"without \[head\]"),
        ("cnn", '[head]\n[teaching]\nweights = "x.npz"\ncorpora = ["nemo"]', "of kind whisper"),
        (
            "whisper",
            '[head]\n[teaching]\nweights = "x.npz"\ncorpora = ["tess"]',
            r"tess is not in \[data\]",
        ),
    ],
)
def test_teaching_needs_sounds_and_a_use(tmp_path: Path, kind: str, tables: str, why: str) -> None:
    own = 'extends = "base.toml"\nname = "mine"\n[data]\ncorpora = ["ravdess", "nemo"]\n' + tables
    own += f'\n[network]\nkind = "{kind}"\n'
    (tmp_path / "base.toml").write_bytes((FOLDER / "cnn.toml").read_bytes())
    (tmp_path / "mine.toml").write_text(own)
    with pytest.raises(ConfigError, match=why):
        config.load(tmp_path / "mine.toml")
