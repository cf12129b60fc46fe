"""An encoder with fewer weights: the same where nothing is lost, near it where some is."""

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from serd.audio import Floats  # noqa: E402
from tests.whisper_file import LAYERS, MELS, WIDTH, arrays  # noqa: E402
from training.networks import NetworkError, narrowing, whisper  # noqa: E402

FRAMES = 40
WHOLE = {
    "stem": WIDTH,
    "positions": WIDTH,
    "keys": WIDTH // whisper.HEADS,
    "values": WIDTH // whisper.HEADS,
    "hidden": 4 * WIDTH,
}


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez(tmp_path / "encoder.npz", **arrays())
    return tmp_path / "encoder.npz"


def heard(seed: int = 1, directions: int = MELS) -> list[Floats]:
    """Sounds of 20 to 40 frames that differ in so many ways."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(0).normal(size=(directions, MELS)) / np.sqrt(directions)
    sounds = rng.normal(size=(24, FRAMES, directions)) @ basis
    masks = np.arange(FRAMES) < rng.integers(FRAMES // 2, FRAMES, (24, 1))
    return [sounds.astype(np.float32), masks.astype(np.float32)]


def narrowed(npz: Path, sizes: dict[str, int], told: list[Floats]) -> "keras.Model":
    shapes = {"log_mel": (FRAMES, MELS)}
    network = keras.Model(*whisper.embed(shapes, layers=LAYERS, width=WIDTH, **sizes))
    narrowing.fit(network, npz, told)
    return keras.Model(network.inputs, network.get_layer(whisper.STEPS).output)


def off(npz: Path, sizes: dict[str, int], told: list[Floats], asked: list[Floats]) -> float:
    """What the last states are off, where something is heard; 1: as much as they differ at all."""
    real = asked[1][:, :: whisper.STRIDE] > 0
    right = np.array(whisper.teacher(FRAMES, npz, LAYERS)(asked))[..., -WIDTH:][real]
    apart = np.array(narrowed(npz, sizes, told)(asked))[real] - right
    return float(np.sqrt(np.square(apart).mean() / right.var(axis=0).mean()))


def test_with_all_its_numbers_it_is_the_same(npz: Path) -> None:
    assert off(npz, WHOLE, heard(1), heard(2)) < 1e-3


@pytest.mark.parametrize(
    ("part", "fewer"),
    [("stem", 6), ("positions", 4), ("keys", 1), ("values", 1), ("hidden", 24)],
)
def test_with_fewer_it_is_near(npz: Path, part: str, fewer: int) -> None:
    assert 1e-3 < off(npz, WHOLE | {part: fewer}, heard(1), heard(2)) < 0.6


def test_the_fewer_the_further_away(npz: Path) -> None:
    apart = [off(npz, WHOLE | {"hidden": size}, heard(1), heard(2)) for size in (48, 36, 24, 12)]
    assert apart == sorted(apart)


def test_what_speech_does_not_need_is_what_is_left_out(npz: Path) -> None:
    """Of sounds that are alike but for their loudness, half the numbers tell more."""
    half, alike = WHOLE | {"stem": 6}, heard(2, directions=1)
    assert off(npz, half, heard(1, directions=1), alike) < 0.7 * off(npz, half, heard(1), alike)


def test_it_is_narrower_than_weights_can_be_loaded(npz: Path) -> None:
    with pytest.raises(NetworkError, match="narrower than its weights"):
        whisper.embed({"log_mel": (FRAMES, MELS)}, str(npz), layers=1, width=WIDTH, keys=1)
