from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from serd.audio import SAMPLE_RATE
from training import augment
from training.denoising import mixtures
from training.denoising.config import MixtureSettings
from training.noises import NoiseError

from . import tiny_corpus

SIDES = {
    "validation": {"noise": ("rain",), "rooms": ("bath",)},
    "test": {"noise": ("dog",), "rooms": ("cell",)},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    tiny_corpus.write_noises(root)
    return root


def settings(**changed):
    return MixtureSettings(**{"noise": ("noise",), **SIDES, **changed})


@pytest.fixture
def speech():
    return np.random.default_rng(0).normal(0, 3000, SAMPLE_RATE).astype(np.int16)


def test_nothing_is_on_two_sides(data):
    found = mixtures.sides(settings(), data)
    kinds = [set(side.noises) for side in (found.train, found.validation, found.test)]
    assert kinds == [{"fan", "bell"}, {"rain"}, {"dog"}]
    assert [len(s.rooms) for s in (found.train, found.validation, found.test)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"test": {"noise": ("cat",), "rooms": ("cell",)}}, "no kind of noise is called cat"),
        ({"test": {"noise": ("dog",), "rooms": ("attic",)}}, "no room is called attic"),
        ({"test": {"noise": ("dog", "fan", "bell"), "rooms": ("cell",)}}, "is left to train with"),
        ({"noise": ("nowhere",)}, "nowhere: no such folder"),
    ],
)
def test_what_is_missing_is_named(data, changed, said):
    with pytest.raises(NoiseError, match=said):
        mixtures.sides(settings(**changed), data)


def test_a_kind_for_both_is_refused():
    with pytest.raises(ValidationError, match="rain is for validation and for the test"):
        settings(test={"noise": ("rain",), "rooms": ("cell",)})


@pytest.mark.parametrize("snr_db", [-5, 0, 20])
def test_the_noise_lies_so_far_below_the_speech(snr_db):
    rng = np.random.default_rng(0)
    voice = rng.normal(0, 0.1, 8000).astype(np.float32)
    noise = rng.normal(0, 3, 16_000).astype(np.float32)
    mixture = mixtures.mix(np.pad(voice, 4000), noise, snr_db, augment.power(voice))
    powers = [
        augment.power(mixture.speech[4000:-4000]),
        augment.power(mixture.noisy - mixture.speech),
    ]
    assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(snr_db, abs=0.01)
    assert np.abs(mixture.noisy).max() <= 1


def test_silence_for_noise_changes_nothing(speech):
    voice = speech / np.float32(32_768)
    mixture = mixtures.mix(voice, np.zeros_like(voice), 0, augment.power(voice))
    assert np.array_equal(mixture.noisy, voice)
    assert np.array_equal(mixture.speech, voice)


def test_the_same_chance_gives_the_same_mixture(data, speech):
    around = mixtures.sides(settings(), data).train
    one, same, other = (
        mixtures.vary(speech, settings(), around, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.noisy, same.noisy)
    assert one.noisy.shape != other.noisy.shape or not np.array_equal(one.noisy, other.noisy)
    assert one.noisy.shape == one.speech.shape


def test_a_share_of_the_speech_stays_clean(data, speech):
    around = mixtures.sides(settings(), data).train
    only = settings(clean_share=1)
    mixture = mixtures.vary(speech, only, around, np.random.default_rng(0))
    assert np.array_equal(mixture.noisy, mixture.speech)


def heard_of_noise(own, around, speech, seed) -> float:
    """The strongest frequency, Hz."""
    mixture = mixtures.vary(speech, own, around, np.random.default_rng(seed))
    noise = mixture.noisy - mixture.speech
    return np.abs(np.fft.rfft(noise)).argmax() * SAMPLE_RATE / noise.size


def test_only_the_own_noises_are_heard_faster_or_slower(data, speech):
    own = settings(speed=0, room_share=0, clean_share=0, synthetic_share=0, pause_s=0)
    around = mixtures.sides(own, data).test
    exactly = own.model_copy(update={"noise_speed": 0})
    assert heard_of_noise(exactly, around, speech, 0) == pytest.approx(1500, abs=5)
    hertz = [heard_of_noise(own, around, speech, seed) for seed in range(20)]
    assert min(hertz) >= 1500 * 0.7 - 20
    assert max(hertz) <= 1500 * 1.3 + 20
    assert np.ptp(hertz) > 300


def test_two_noises_may_be_heard_at_once(data, speech):
    own = settings(speed=0, room_share=0, clean_share=0, synthetic_share=0, pause_s=0)
    around = mixtures.sides(own, data).train

    def both(share: float) -> bool:
        """Whether tones of 500 and of 2000 Hz, of some speed, are in a noise."""
        some = own.model_copy(update={"second_share": share, "noise_speed": 0.0})
        for seed in range(12):
            mixture = mixtures.vary(speech, some, around, np.random.default_rng(seed))
            levels = np.abs(np.fft.rfft(mixture.noisy - mixture.speech))
            if min(levels[490:510].max(), levels[1990:2010].max()) > 0.05 * levels.max():
                return True
        return False

    assert both(1)
    assert not both(0)
