import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd.audio import SAMPLE_RATE
from training import synthetic_noise
from training.augment import power

SECOND = SAMPLE_RATE


@given(st.integers(1, 3 * SECOND), st.integers(0, 10_000))
def test_there_is_always_noise_of_the_length_asked_for(length, seed):
    x = synthetic_noise.synthetic_noise(length, np.random.default_rng(seed))

    assert x.shape == (length,)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert power(x) > 0 or length < SECOND


def test_the_same_state_makes_the_same_noise_and_another_makes_another():
    first, again, other = (
        synthetic_noise.synthetic_noise(SECOND, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert np.corrcoef(first, other)[0, 1] < 0.5


def test_a_hum_has_its_power_in_a_few_narrow_lines_and_a_rush_everywhere():
    def flatness(kind):
        rng = np.random.default_rng(3)
        sounds = [kind(SECOND, rng) for _ in range(20)]
        spectra = [np.square(np.abs(np.fft.rfft(x[:2048] * np.hanning(2048)))) for x in sounds]
        return np.median([np.exp(np.log(s + 1e-12).mean()) / s.mean() for s in spectra])

    assert flatness(synthetic_noise._humming) < 0.1 * flatness(synthetic_noise._rushing)


def test_clatter_is_mostly_pauses():
    rng = np.random.default_rng(4)
    peaks = [
        np.abs(x).max() / np.sqrt(power(x))
        for x in (synthetic_noise._clattering(4 * SECOND, rng) for _ in range(20))
    ]

    assert np.median(peaks) > 8


@pytest.mark.parametrize("rate", [0.1, 3])
def test_what_is_slow_changes_as_fast_as_it_is_asked_to(rate):
    curve = synthetic_noise._slow(20 * SECOND, np.random.default_rng(5), rate)
    crossings = np.count_nonzero(np.diff(np.sign(curve)))

    assert curve.std() == pytest.approx(1, rel=0.05)
    assert rate * 20 / 4 < crossings < rate * 20 * 4
