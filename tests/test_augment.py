import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd.features import FeatureSpec, extract
from training import augment
from training.config import Augmentation

RNG = np.random.default_rng(0)
SOUND = RNG.normal(0, 0.1, 16_000).astype(np.float32) * np.hanning(16_000).astype(np.float32)
LOG_MEL = extract(SOUND, FeatureSpec())


def test_nothing_switched_on_changes_nothing() -> None:
    assert np.array_equal(augment.augment(LOG_MEL, Augmentation(), RNG), LOG_MEL)


def test_gain_moves_the_features_as_it_moves_the_sound() -> None:
    louder = extract(SOUND * np.float32(10 ** (6 / 20)), FeatureSpec())
    assert np.abs(louder - (LOG_MEL + 6 / 40)).max() < 1e-3


def test_warp_by_one_and_no_shift_is_the_identity() -> None:
    assert np.allclose(augment.warp(LOG_MEL, 1, 0), LOG_MEL[:-1], atol=1e-6)


@given(speed=st.floats(0.8, 1.25))
def test_speed_changes_the_length(speed: float) -> None:
    warped = augment.warp(LOG_MEL, speed, 0)
    assert len(warped) == pytest.approx(len(LOG_MEL) / speed, abs=2)


def test_a_shift_by_whole_bands_moves_the_bands() -> None:
    shifted = augment.warp(LOG_MEL, 1, 3)
    assert np.allclose(shifted[:, 3:], LOG_MEL[:-1, :-3], atol=1e-6)


@given(snr_db=st.floats(0, 40), seed=st.integers(0, 100))
def test_noise_has_the_power_asked_for(snr_db: float, seed: int) -> None:
    noisy = augment.add_noise(LOG_MEL, snr_db, np.random.default_rng(seed))
    clean, both = (10.0 ** (4 * x.astype(float) - 4) for x in (LOG_MEL, noisy))
    assert both.mean() / clean.mean() - 1 == pytest.approx(10 ** (-snr_db / 10), rel=0.01, abs=1e-5)
    assert noisy.max() - noisy.min() <= 2 + 1e-6


@given(seed=st.integers(0, 100))
def test_masks_leave_the_rest_alone(seed: int) -> None:
    masked = augment.mask(LOG_MEL, 1, 1, np.random.default_rng(seed))
    changed = masked != LOG_MEL
    assert changed.mean() <= 0.1 + 0.125
    assert np.unique(masked[changed]).size <= 1
