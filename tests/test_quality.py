import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd.audio import pcm_to_float
from serd.bench import speechlike
from training.denoising import others
from training.denoising.quality import MEASURES, si_sdr


@pytest.fixture(scope="module")
def speech():
    return pcm_to_float(speechlike(4))[12_000:52_000]


def with_noise(speech, snr_db, seed=0):
    noise = np.random.default_rng(seed).normal(size=speech.size)
    scale = np.sqrt(np.mean(speech**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    return (speech + scale * noise).astype(np.float32)


@given(snr_db=st.floats(-10, 40), gain=st.floats(0.01, 10))
def test_si_sdr_is_the_ratio_that_was_mixed_however_loud(speech, snr_db, gain):
    mixed = np.float32(gain) * with_noise(speech, snr_db)
    assert si_sdr(speech, mixed) == pytest.approx(snr_db, abs=0.2)


def test_si_sdr_knows_no_offset_and_no_error(speech):
    assert si_sdr(speech, 3 * speech) > 100
    assert si_sdr(speech, with_noise(speech, 10) + 0.5) == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("name", MEASURES)
def test_less_noise_is_better(speech, name):
    found = [MEASURES[name](speech, with_noise(speech, snr_db)) for snr_db in (0, 10, 20, 40)]
    assert found == sorted(found)
    assert found[-1] > found[0]


@pytest.mark.parametrize("name", others.OTHERS)
def test_what_others_do_stays_in_its_place(speech, name):
    made = others.OTHERS[name](with_noise(speech, 20))
    assert made.shape == speech.shape
    assert made.dtype == np.float32
    lags = range(-40, 41)
    inside = slice(2000, -2000)
    likeness = [np.vdot(np.roll(made, lag)[inside], speech[inside]) for lag in lags]
    assert abs(lags[int(np.argmax(likeness))]) <= 2
