import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from serd.audio import SAMPLE_RATE, Pcm, float_to_pcm, pcm_to_float
from training.augment import Augmentation
from training.conditions import AS_IT_IS, Robustness, conditions
from training.noises import NoiseError
from training.surroundings import Played

from . import tiny_corpus

EVERYTHING = Robustness(noise=("noise",), noise_only=("dog", "rain"), rooms="rir")
TIME = np.arange(SAMPLE_RATE) / SAMPLE_RATE


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    tiny_corpus.write_noises(root)
    return root


def played(samples: np.ndarray, number: int = 0) -> Played:
    """Half of it speech, half a pause."""
    pcm = float_to_pcm(samples.astype(np.float32))
    return Played(number, pcm, 2 * power(pcm))


def power(pcm: Pcm) -> float:
    return float(np.mean(np.square(pcm_to_float(pcm), dtype=float)))


def db(ratio: float) -> float:
    return float(10 * np.log10(ratio))


@pytest.fixture
def voice() -> Played:
    rush = 0.05 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)
    return played(rush * (TIME < 0.5))


def test_what_is_asked_for_is_there(data: Path) -> None:
    assert list(conditions(EVERYTHING, data)) == [
        "as it is",
        "gain +12 dB",
        "gain -12 dB",
        "telephone",
        "MP3, 64 kbit/s",
        "MP3, 32 kbit/s",
        "Opus, 16 kbit/s",
        "room bath",
        "room cell",
        "room hall",
        "noise, 20 dB",
        "noise, 10 dB",
        "noise, 5 dB",
        "noise, 0 dB",
    ]
    some = conditions(Robustness(rooms="rir", rooms_only=("cell",)), data)
    assert [name for name in some if name.startswith("room")] == ["room cell"]
    assert not any(name.startswith("room") for name in conditions(Robustness(), data))


def test_every_condition_keeps_length_and_place(data: Path, voice: Played) -> None:
    """The voice is heard in the first half, and most of it where it was."""
    before = pcm_to_float(voice.samples)
    for name, condition in conditions(EVERYTHING, data).items():
        heard = condition(voice)
        assert (heard.dtype, heard.shape) == (np.int16, voice.samples.shape), name
        assert np.array_equal(heard, condition(voice)), name
        after = pcm_to_float(heard)
        likeness = np.fft.irfft(np.fft.rfft(after, 32_768) * np.fft.rfft(before, 32_768).conj())
        assert likeness.argmax() == 0, name
        assert np.corrcoef(before, after)[0, 1] > 0.5, name


def test_as_it_is_changes_nothing(data: Path, voice: Played) -> None:
    assert conditions(EVERYTHING, data)[AS_IT_IS](voice) is voice.samples


@pytest.mark.parametrize("gain_db", [12, -12])
def test_gain_is_a_gain(data: Path, voice: Played, gain_db: int) -> None:
    heard = conditions(EVERYTHING, data)[f"gain {gain_db:+d} dB"](voice)
    assert db(power(heard) / power(voice.samples)) == pytest.approx(gain_db, abs=0.01)


def test_what_is_too_loud_is_clipped(data: Path) -> None:
    tone = played(0.5 * np.sin(2 * np.pi * 440 * TIME))
    heard = conditions(EVERYTHING, data)["gain +12 dB"](tone)
    assert (np.abs(heard.astype(int)) >= 32_767).mean() > 0.5


def test_a_telephone_has_its_band(data: Path, voice: Played) -> None:
    heard = conditions(EVERYTHING, data)["telephone"](voice)
    levels = np.abs(np.fft.rfft(pcm_to_float(heard) * np.hanning(heard.size))) ** 2
    assert levels[:190].sum() + levels[4010:].sum() < 1e-3 * levels[300:3400].sum()


def test_fewer_bits_are_worse(data: Path, voice: Played) -> None:
    some = conditions(EVERYTHING, data)
    errors = [
        power(some[name](voice) - voice.samples) for name in ("MP3, 64 kbit/s", "MP3, 32 kbit/s")
    ]
    assert 0 < errors[0] < errors[1]


def test_a_room_has_its_echo(data: Path) -> None:
    click = np.zeros(SAMPLE_RATE)
    click[500] = 0.5
    heard = conditions(EVERYTHING, data)["room bath"](played(click))
    assert np.flatnonzero(np.abs(heard) > 500).tolist() == [500, 700]


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("snr_db", [20, 10, 5, 0])
def test_noise_is_so_far_below_the_speech(
    data: Path, voice: Played, snr_db: int, recorded: bool
) -> None:
    wanted = EVERYTHING if recorded else Robustness()
    heard = conditions(wanted, data)[f"noise, {snr_db} dB"](voice)
    noise = heard.astype(np.int32) - voice.samples
    in_speech = 2 * power(voice.samples)
    assert db(in_speech * 32_768**2 / np.mean(noise**2.0)) == pytest.approx(snr_db, abs=0.1)


def test_clips_hear_one_kind_after_the_other(data: Path) -> None:
    """The dog's tone is 1500 Hz, the rain's 1000, and the bell is left out."""
    silence = np.zeros(SAMPLE_RATE, np.int16)
    noise = conditions(EVERYTHING, data)["noise, 0 dB"]
    heard = [noise(Played(number, silence, 0.01)) for number in range(4)]
    assert [int(np.abs(np.fft.rfft(h)).argmax()) for h in heard] == [1500, 1000, 1500, 1000]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Robustness(noise=("nowhere",)), "nowhere: no such folder"),
        (Robustness(noise=("noise",), noise_only=("cat",)), "no kind of noise is called cat"),
        (Robustness(rooms="rir", rooms_only=("attic",)), "no room is called attic"),
    ],
)
def test_what_is_missing_is_named(data: Path, wanted: Robustness, said: str) -> None:
    with pytest.raises(NoiseError, match=said):
        conditions(wanted, data)


@pytest.mark.parametrize("what", [{"noise_only": ("dog",)}, {"rooms_only": ("cell",)}])
def test_a_choice_of_nothing_is_refused(what: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="is missing"):
        Robustness.model_validate(what)


HEARS = Augmentation(
    noise_snr_db=(0, 20),
    noise=("noise",),
    noise_without=("dog",),
    room_share=0.5,
    rooms_without=("cell",),
)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"noise": ("noise",)}, "training hears noise too"),
        ({"noise": ("noise",), "noise_only": ("dog", "rain")}, "training hears rain too"),
        ({"rooms": "rir"}, "training hears rooms too"),
        ({"rooms": "rir", "rooms_only": ("hall",)}, "training hears hall too"),
    ],
)
def test_what_training_hears_is_refused(wanted: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Robustness.model_validate(wanted).check(HEARS)
    Robustness.model_validate(wanted).check(Augmentation())


def test_what_training_leaves_out_is_taken() -> None:
    for wanted in (
        Robustness(),
        Robustness(noise=("noise",), noise_only=("dog",), rooms="rir", rooms_only=("cell",)),
        Robustness(noise=("others",), rooms="elsewhere"),
    ):
        wanted.check(HEARS)


def test_the_tables_in_the_readme_are_right() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (block,) = (
        b.partition("```")[0] for b in text.split("```toml\n") if b.startswith("[augmentation]")
    )
    tables = tomllib.loads(block)
    Robustness(**tables["robustness"]).check(Augmentation(**tables["augmentation"]))
