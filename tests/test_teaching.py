"""A network that learns from an encoder: what it is told, and that it learns it."""

import json
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from serd.audio import pcm_to_float  # noqa: E402
from serd.features import extract  # noqa: E402
from tests.whisper_file import arrays  # noqa: E402
from training import teaching  # noqa: E402
from training.config import Config  # noqa: E402
from training.dataset import Utterance  # noqa: E402

FRAMES, WINDOW = 80, 160


def config(**augmentation: object) -> Config:
    return Config.model_validate(
        {
            "name": "tiny",
            "version": "1",
            "inputs": {"log_mel": {"frames": WINDOW}},
            "network": {
                "kind": "pupil",
                "weights": "encoder.npz",
                "stem": 12,
                "width": 8,
                "dilations": (1, 2),
            },
            "augmentation": augmentation,
            "data": {"corpora": ("nemo",)},
            "head": {},
            "teaching": {
                "weights": "encoder.npz",
                "corpora": ("nemo",),
                "layers": 2,
                "size": 6,
                "epochs": 8,
                "frames": FRAMES,
                "batch_size": 8,
                "learning_rate": 1e-2,
                "average": 0,
            },
        }
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "encoder.npz", **arrays())
    return tmp_path


def utterances(count: int, seed: int) -> list[Utterance]:
    """Of 0.5 to 2.5 s, tones that come and go."""
    rng = np.random.default_rng(seed)
    found = []
    for clip in range(count):
        length = int(rng.integers(8_000, 40_000))
        t = np.arange(length) / 16_000
        tone = np.sin(2 * np.pi * rng.uniform(100, 3000) * t) * np.sin(2 * np.pi * 2 * t)
        sound = 8_000 * tone + rng.normal(0, 100, length)
        found.append(Utterance(clip, sound.astype(np.int16), {}))
    return found


def test_it_learns_and_leaves_a_network_that_gives_embeddings(data: Path) -> None:
    own, judges = utterances(64, 1), utterances(16, 2)
    teaching.teach(config(), own, judges, 1, data, data / "run", data / "cache")
    losses = json.loads((data / "run" / "history.json").read_text())["val_loss"]
    assert len(losses) == 8
    assert losses[-1] < 0.75 * losses[0]
    network = keras.models.load_model(data / "run" / "model.keras")
    assert network.output_shape == (None, 16)
    assert {x.name: x.shape[1] for x in network.inputs} == {
        "log_mel": WINDOW,
        "log_mel_mask": WINDOW,
    }


def test_the_encoder_hears_every_sound_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, judges = utterances(10, 1), utterances(4, 2)
    teaching.teach(config(), own, judges, 1, data, data / "run", data / "cache")

    def deaf(*_: object) -> None:
        raise AssertionError("heard again")

    monkeypatch.setattr(teaching.whisper, "teacher", deaf)
    teaching.teach(config(), own, judges, 2, data, data / "again", data / "cache")
    with pytest.raises(AssertionError, match="heard again"):
        teaching.teach(config(), own[1:], judges, 1, data, data / "other", data / "cache")


def test_what_is_told_belongs_to_what_is_heard(data: Path) -> None:
    """States that name their step, and sound that names its time."""
    length = WINDOW * 160
    sound = (np.arange(length) / length * 20_000).astype(np.int16)  # grows louder and louder
    states = np.arange(WINDOW // 2, dtype=np.float16)[None, :, None] + 1
    lessons = teaching.Lessons([sound] * 32, np.repeat(states, 32, axis=0), config(), data, 1)
    inputs, told = lessons[0]
    assert told.shape == (8, FRAMES // 2, 2)
    starts = set()
    for features, steps in zip(inputs["log_mel"], told, strict=True):
        first = int(steps[0, 0]) - 1
        starts.add(first)
        begin = first * 320
        heard = extract(
            pcm_to_float(sound[begin : begin + FRAMES * 160]), config().specs["log_mel"]
        )
        assert features == pytest.approx(heard[:FRAMES], abs=1e-5)
        assert (np.diff(steps[:, 0]) == 1).all()
        assert (steps[:, 1] == 1).all()
    assert len(starts) > 3


def test_what_is_filled_up_does_not_count(data: Path) -> None:
    short = np.random.default_rng(0).normal(0, 1000, 4_800).astype(np.int16)  # 30 frames
    states = np.ones((8, WINDOW // 2, 3), np.float16)
    lessons = teaching.Lessons([short] * 8, states, config(), data, 1)
    inputs, told = lessons[0]
    assert (inputs["log_mel_mask"].sum(axis=1) == 31).all()
    assert (told[:, :, -1].sum(axis=1) == 16).all()
    assert (told[:, 16:] == 0).all()


def test_an_epoch_is_the_same_after_a_cut(data: Path) -> None:
    sounds = [u.samples for u in utterances(24, 1)]
    states = np.zeros((24, WINDOW // 2, 2), np.float16)
    some = config(gain_db=6, noise_snr_db=(10, 30))
    one, two = (teaching.Lessons(sounds, states, some, data, 1) for _ in range(2))
    one.on_epoch_end()
    two.go_on_with(1)
    for index in range(len(one)):
        assert one[index][0]["log_mel"] == pytest.approx(two[index][0]["log_mel"])
    assert not np.allclose(
        one[0][0]["log_mel"], teaching.Lessons(sounds, states, some, data, 1)[0][0]["log_mel"]
    )
