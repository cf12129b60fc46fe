import numpy as np
import pytest

from serd import cleaning
from serd.audio import float_to_pcm
from serd.cleaning import Cleaning
from serd.levels import snr_db
from serd.settings import DenoiseSettings


def halved(samples):
    return samples // 2


@pytest.fixture
def noisy():
    """Bursts 20 dB above a noise."""
    rng = np.random.default_rng(0)
    bursts = np.repeat(np.tile([1.0, 0.1], 10), 1600)
    return float_to_pcm((0.05 * bursts * rng.normal(size=bursts.size)).astype(np.float32))


def test_only_noisy_utterances_are_cleaned(noisy):
    estimate = snr_db(noisy)
    for below, expected in ((estimate - 0.1, False), (estimate, False), (estimate + 0.1, True)):
        cleaned = Cleaning(below, halved)(noisy)
        assert cleaned.denoised is expected
        assert cleaned.snr_db == estimate
        assert np.array_equal(cleaned.samples, halved(noisy) if expected else noisy)


def test_without_a_denoiser_nothing_changes(noisy):
    cleaned = Cleaning(float("inf"))(noisy)
    assert not cleaned.denoised
    assert cleaned.samples is noisy


@pytest.mark.parametrize(
    ("settings", "denoised"),
    [
        ({"mode": "on"}, True),
        ({"mode": "off"}, False),
        ({"mode": "off", "model": "no such"}, False),
        ({"mode": "auto", "below_snr_db": 60}, True),
        ({"mode": "auto", "below_snr_db": 0}, False),
    ],
)
def test_settings(noisy, settings, denoised):
    assert cleaning.load(DenoiseSettings(**settings))(noisy).denoised is denoised


def test_by_default_the_model_says_when(noisy):
    from serd import bundle

    threshold = bundle.read_any_card(bundle.find("denoiser")).below_snr_db
    cleaned = cleaning.load(DenoiseSettings())(noisy)
    assert cleaned.denoised is (cleaned.snr_db < threshold)
