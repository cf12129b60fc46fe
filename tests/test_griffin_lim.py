"""There and back: sound to mel spectrogram to sound."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra training")

from serd import filterbanks
from serd.audio import Floats
from serd.features import FeatureSpec, extract
from training.griffin_lim import HOP_LENGTH, N_FFT, N_MELS, griffin_lim, sound, spectrum

RATE = 16_000
SPEC = FeatureSpec(
    n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS, log_mel_scale="db", pad_mode="constant"
)


def mel_db(samples: Floats) -> np.ndarray:
    """Steps of 1 dB above 80 below the loudest, uint8 `[frames, N_MELS]`."""
    db = extract(samples, SPEC)
    return np.rint(np.clip(db - db.max() + 80, 0, 80)).astype(np.uint8)


def voice() -> Floats:
    """1.5 s of a gliding voice with syllables, a little noise behind it."""
    t = np.arange(int(1.5 * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(2 * np.pi * 0.9 * t)) / RATE
    tones = sum(np.sin(k * phase) / k for k in range(1, 30))
    noise = np.random.default_rng(1).normal(0, 0.003, t.size)
    return (tones * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t)) * 0.2 + noise).astype(np.float32)


def test_a_voice_keeps_its_mel_spectrogram() -> None:
    mel = mel_db(voice())
    made = sound(mel, seed=1)
    assert (made.dtype, made.size) == (np.float32, (len(mel) - 1) * HOP_LENGTH)
    error = np.abs(mel_db(made).astype(int) - mel)
    assert error.mean() < 1.5  # dB
    assert error[mel > 50].mean() < 1.5
    # Nothing of it comes from the spectrogram's shape alone.
    other = mel_db(sound(np.roll(mel, 20, axis=1), seed=1))
    assert np.abs(other.astype(int) - mel).mean() > 5


def test_real_speech_keeps_its_mel_spectrogram(speech: Floats) -> None:
    mel = mel_db(speech[: 4 * RATE])
    error = np.abs(mel_db(sound(mel, seed=1)).astype(int) - mel)
    assert error.mean() < 1.5  # dB


@pytest.mark.parametrize("hz", [200, 1000, 3000])
def test_a_tone_keeps_its_frequency(hz: float) -> None:
    tone = (0.5 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.float32)
    made = sound(mel_db(tone), seed=1)
    loudest = np.abs(np.fft.rfft(made * np.hanning(made.size))).argmax() * RATE / made.size
    band = 0.04 * hz + 10  # as wide as the mel bands are there, Hz
    assert loudest == pytest.approx(hz, abs=band)


def test_the_seed_alone_chooses_the_phases() -> None:
    mel = mel_db(voice()[:RATE])
    assert np.array_equal(sound(mel, seed=1), sound(mel, seed=1))
    assert not np.allclose(sound(mel, seed=1), sound(mel, seed=2), atol=1e-4)


def test_silence_stays_silent() -> None:
    assert not sound(np.zeros((50, N_MELS), np.uint8), seed=1).any()


def test_the_spectrum_has_the_bands_that_were_asked_for() -> None:
    rng = np.random.default_rng(1)
    bands = filterbanks.mel(RATE, N_FFT, N_MELS, 0, RATE / 2)
    mel = rng.gamma(1, 1, (20, N_FFT // 2 + 1)).astype(np.float32) @ bands
    found = spectrum(mel)
    assert found.min() >= 0
    assert np.linalg.norm(found @ bands - mel) < 0.02 * np.linalg.norm(mel)


def test_the_magnitudes_of_a_sound_give_a_sound_of_these_magnitudes() -> None:
    """Compared by an independent short-time transform."""
    librosa = pytest.importorskip("librosa", reason="needs the extra training")

    def magnitude(samples: Floats) -> np.ndarray:
        return np.abs(librosa.stft(samples, n_fft=N_FFT, hop_length=HOP_LENGTH)).T

    wanted = magnitude(voice())
    found = magnitude(griffin_lim(wanted, seed=1))
    assert found.shape == wanted.shape
    assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)
