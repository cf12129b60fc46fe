import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd import stft


def noise(size, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, size).astype(np.float32)


@given(hops=st.integers(2, 40), n_fft=st.sampled_from([8, 64, 512]))
def test_an_unchanged_sound_comes_back(hops, n_fft):
    sound = noise(hops * n_fft // 2)
    again = stft.overlapped(stft.spectra(sound, n_fft))
    assert again.shape == sound.shape
    assert again.dtype == np.float32
    inside = slice(n_fft // 2, -n_fft // 2)
    assert np.allclose(again[inside], sound[inside], atol=1e-6)


def test_a_tone_stands_in_its_bin():
    tone = np.sin(2 * np.pi * 1000 * np.arange(4096) / 16_000).astype(np.float32)
    frames = np.abs(stft.spectra(tone, 512))
    assert (frames.argmax(axis=1) == 32).all()


@given(gain_db=st.floats(-20, 20))
def test_loudness_does_not_matter(gain_db):
    frames = stft.spectra(noise(8192), 512)
    louder = frames * np.complex64(10 ** (gain_db / 20))
    assert np.allclose(stft.log_power(louder), stft.log_power(frames), atol=1e-3)


def test_what_is_not_there_does_not_count():
    sound = noise(8192)
    alone = stft.log_power(stft.spectra(sound, 512))
    longer = stft.log_power(stft.spectra(np.pad(sound, (0, 8192)), 512))
    heard = alone[:-1]
    # The last frame is half silence.
    assert np.allclose(longer[: len(heard)], heard, atol=0.05)


def test_of_silence_nothing_is_infinite():
    assert np.isfinite(stft.log_power(stft.spectra(np.zeros(4096, np.float32), 512))).all()


@pytest.mark.parametrize("bins", [32, 256])
def test_the_highest_bin_is_left_out(bins):
    assert stft.log_power(stft.spectra(noise(4096), 2 * bins)).shape[1] == bins
