"""A network that learns from an encoder: what it is told, and that it learns it."""

import json
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from serd.audio import Pcm, pcm_to_float  # noqa: E402
from serd.features import extract  # noqa: E402
from tests.whisper_file import WIDTH, arrays  # noqa: E402
from training import states, teaching  # noqa: E402
from training.config import Config  # noqa: E402
from training.dataset import CacheError  # noqa: E402
from training.states import Teacher  # noqa: E402
from training.teaching import Lessons, Speech  # noqa: E402

WINDOW = 160


def config(**augmentation: object) -> Config:
    return Config.model_validate(
        {
            "name": "tiny",
            "version": "1",
            "inputs": {"log_mel": {"frames": WINDOW}},
            "network": {
                "kind": "whisper",
                "layers": 2,
                "width": WIDTH,
                "stem": 6,
                "positions": 4,
                "keys": 1,
                "values": 1,
                "hidden": 12,
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
                "batch_size": 8,
                "learning_rate": 1e-2,
            },
        }
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "encoder.npz", **arrays())
    return tmp_path


def sounds(count: int, seed: int) -> list[Pcm]:
    """Of 0.5 to 1.6 s, tones that come and go."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        length = int(rng.integers(8_000, 25_000))
        t = np.arange(length) / 16_000
        tone = np.sin(2 * np.pi * rng.uniform(100, 3000) * t) * np.sin(2 * np.pi * 2 * t)
        found.append((8_000 * tone + rng.normal(0, 100, length)).astype(np.int16))
    return found


def teacher(data: Path, some: list[Pcm]) -> Teacher:
    own = config()
    return Teacher(own, teaching.options_of(own), some, data, data / "cache")


def speech(count: int, seed: int, data: Path) -> Speech:
    some = sounds(count, seed)
    return Speech(
        some,
        list(teacher(data, sounds(20, 1)).hear(some)),
        [*range(count)],
        ["a", "b"] * (count // 2),
    )


def lessons(some: Speech, data: Path, own: Config | None = None, kept: str = "kept") -> Lessons:
    return Lessons(some, own or config(), data, 1, data / kept)


def losses(folder: Path) -> list[float]:
    return json.loads((folder / "history.json").read_text())["loss"]


def test_it_learns_and_leaves_a_network_that_gives_embeddings(data: Path) -> None:
    own, judges = speech(64, 1, data), speech(16, 2, data)
    teaching.teach(config(), own, judges, np.eye(12, 3), 1, data, data / "run")
    assert len(losses(data / "run")) == 8
    assert losses(data / "run")[-1] < 0.5 * losses(data / "run")[0]
    network = keras.models.load_model(data / "run" / "model.keras")
    assert network.output_shape == (None, 4 * WIDTH)
    assert {x.name: x.shape[1] for x in network.inputs} == {
        "log_mel": WINDOW,
        "log_mel_mask": WINDOW,
    }


def test_the_encoder_hears_every_sound_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = teacher(data, sounds(10, 1)).hear(sounds(4, 2))

    def deaf(*_: object) -> None:
        raise AssertionError("heard again")

    monkeypatch.setattr(states.whisper, "teacher", deaf)
    assert (teacher(data, sounds(10, 1)).hear(sounds(4, 2)) == first).all()
    with pytest.raises(AssertionError, match="heard again"):
        teacher(data, sounds(10, 1)).hear(sounds(4, 3))
    with pytest.raises(AssertionError, match="heard again"):
        teacher(data, sounds(9, 1)).hear(sounds(4, 2))


def test_what_is_told_are_main_components(data: Path) -> None:
    """Together of variance 1, and none that could be told from another one."""
    some = sounds(20, 1)
    found = teacher(data, some).hear(some).astype(np.float32)
    rows = found[found.any(axis=2)]
    assert rows.mean(axis=0) == pytest.approx(0, abs=1e-2)
    square = rows.T @ rows / len(rows)
    assert np.trace(square) == pytest.approx(len(square), rel=0.01)
    assert square - np.diag(np.diag(square)) == pytest.approx(0, abs=0.02)


def test_every_corpus_is_heard_as_often(data: Path) -> None:
    """A sound's loudness tells whose it is."""
    rng = np.random.default_rng(0)
    loud, quiet = (rng.normal(0, scale, (8, 16_000)).astype(np.int16) for scale in (3000, 30))
    states_ = [np.full((WINDOW // 2, 1), who, np.float16) for who in (1, 2, 2, 2, 2, 2, 2, 2)]
    some = Speech([loud[0], *quiet[1:]], states_, [*range(8)], ["loud", *["quiet"] * 7])
    told = lessons(some, data)[0][1]
    assert sorted(told[:, 0, 0]) == [1] * 4 + [2] * 4


def test_means_and_spreads_are_compared_too() -> None:
    """Each in proportion to how much it differs from window to window: here by 1."""
    turns = np.where(np.arange(WINDOW // 2) % 2, 1, -1)[:, None]
    heard = [(mean + spread * turns).astype(np.float16) for mean, spread in ((5, 1), (7, 3))]
    own = Speech([np.zeros(WINDOW * 160, np.int16)] * 2, heard, [0, 1], ["a", "a"])
    needed = np.array([[0], [3]], np.float32)  # the spread, whose variance is 1
    options = teaching.options_of(config())
    distance = teaching._Distance(own, needed, options)
    told = np.ones((1, WINDOW // 2, 2), np.float32)
    told[0, :, :1] = turns[: WINDOW // 2]
    told[:, 30:] = 0
    for mean, spread, off, needed_off in ((0, 1, 0, 0), (0.5, 1, 0.25, 0), (0, 2, 1, 1)):
        guess = (mean + spread * turns[None, : WINDOW // 2]).astype(np.float32)
        expected = (1 + options.sums) * off + options.needed * needed_off
        assert float(distance(told, guess)) == pytest.approx(expected, rel=0.01)
        guess[:, 30:] = 9
        assert float(distance(told, guess)) == pytest.approx(expected, rel=0.01)


def test_what_is_told_belongs_to_what_is_heard(data: Path) -> None:
    """Each sound's loudness is its states' number."""
    rng = np.random.default_rng(0)
    some = [rng.normal(0, 3 ** (n + 1), 8_000).astype(np.int16) for n in range(8)]
    numbers = [np.full((WINDOW // 2, 1), n, np.float16) for n in range(8)]
    inputs, told = lessons(Speech(some, numbers, [*range(8)], ["a"] * 8), data)[0]
    assert sorted(told[:, 0, 0]) == list(range(8))
    for features, mask, steps in zip(*inputs.values(), told, strict=True):
        heard = extract(pcm_to_float(some[int(steps[0, 0])]), config().specs["log_mel"])
        assert features[: len(heard)] == pytest.approx(heard, abs=1e-3)
        assert mask.sum() == len(heard)
        assert steps[:, 1].sum() == len(heard) // 2 + 1


def test_what_is_filled_up_does_not_count(data: Path) -> None:
    short = np.random.default_rng(0).normal(0, 1000, 4_800).astype(np.int16)  # 30 frames
    same = np.ones((WINDOW // 2, 3), np.float16)
    inputs, told = lessons(Speech([short] * 8, [same] * 8, [*range(8)], ["a"] * 8), data)[0]
    assert (inputs["log_mel_mask"].sum(axis=1) == 31).all()
    assert (told[:, :, -1].sum(axis=1) == 16).all()
    assert (told[:, 16:] == 0).all()


def test_an_epoch_is_the_same_after_a_cut(data: Path) -> None:
    own = speech(24, 1, data)
    some = config(gain_db=6, noise_snr_db=(10, 30))
    one, two = (lessons(own, data, some, kept) for kept in ("a", "b"))
    one.on_epoch_end()
    two.go_on_with(1)
    for index in range(len(one)):
        assert one[index][0]["log_mel"] == pytest.approx(two[index][0]["log_mel"])


def test_each_window_is_varied_a_few_times(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was varied once is kept, over a cut too."""
    own = speech(8, 1, data)
    room = {"gain_db": 6, "noise_snr_db": (10, 30)}
    heard = lessons(own, data, config(**room))
    epochs = []
    for epoch in range(4):
        heard.go_on_with(epoch)
        order = np.argsort(heard._order)
        epochs.append(heard[0][0]["log_mel"][order])
    assert len({epoch.tobytes() for epoch in epochs}) == 4
    monkeypatch.setattr("training.variations.extract", None)
    again = lessons(own, data, config(**room))
    for epoch in (5, 4):
        again.go_on_with(epoch)
        order = np.argsort(again._order)
        assert (again[0][0]["log_mel"][order] == epochs[epoch - 4]).all()


def test_no_room_for_lessons_is_said(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.variations.os.posix_fallocate", full)
    with pytest.raises(CacheError, match=r"kept: no space left"):
        lessons(speech(8, 1, data), data)
