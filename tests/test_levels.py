import numpy as np
import pytest

from serd.levels import MAX_SNR_DB, SILENCE_DBFS, dbfs, snr_db

RATE = 16_000


def test_levels_of_known_signals():
    time_s = np.arange(RATE) / RATE
    sine = np.sin(2 * np.pi * 1000 * time_s)
    for peak_db in (0, -20, -60):
        pcm = np.rint(32_767 * 10 ** (peak_db / 20) * sine).astype(np.int16)
        assert dbfs(pcm) == pytest.approx(peak_db - 3.01, abs=0.1)
    assert dbfs(np.full(10, -32_768, np.int16)) == pytest.approx(0)


def test_the_level_of_silence():
    assert dbfs(np.zeros(100, np.int16)) == SILENCE_DBFS
    assert dbfs(np.zeros(0, np.int16)) == SILENCE_DBFS
    assert dbfs(np.eye(1, 10_000_000, dtype=np.int16)[0]) == SILENCE_DBFS


def utterance(snr: float, seed: int, pink: bool, duration_s: float = 3.0, pad_s: float = 0.2):
    """Syllables of a voice, in noise; the ratio is that of the syllables to the noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(duration_s * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(130 + 20 * np.sin(2 * np.pi * 0.7 * time_s)) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    voice = voice * np.clip(np.sin(2 * np.pi * 3.5 * time_s) + 0.4, 0, None)
    power = np.mean(voice[voice != 0] ** 2)
    pad = np.zeros(int(pad_s * RATE))
    clean = np.concatenate([pad, voice, pad])
    noise = rng.standard_normal(clean.size)
    if pink:
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.arange(spectrum.size) + 20), noise.size)
    noise *= np.sqrt(power / 10 ** (snr / 10)) / noise.std()
    mix = clean + noise
    return np.rint(mix / np.abs(mix).max() * 20_000).astype(np.int16)


@pytest.mark.parametrize("pink", [False, True])
@pytest.mark.parametrize("duration_s", [1.0, 3.0, 12.0])
def test_the_ratio_in_noise(pink, duration_s):
    told = {
        snr: [snr_db(utterance(snr, seed, pink, duration_s)) for seed in range(3)]
        for snr in (0, 5, 10, 15, 20, 25, 30)
    }
    for snr, estimates in told.items():
        assert np.mean(estimates) == pytest.approx(snr, abs=3 if snr >= 10 else 4.5)
    means = [np.mean(estimates) for estimates in told.values()]
    assert np.all(np.diff(means) > 2.5)  # 5 dB more always shows


def test_the_ratio_does_not_depend_on_the_level():
    loud = utterance(15, 0, pink=False)
    assert snr_db((loud // 20).astype(np.int16)) == pytest.approx(snr_db(loud), abs=0.5)


def test_the_ratio_does_not_depend_on_an_offset():
    pcm = utterance(15, 0, pink=False)
    assert snr_db(pcm + np.int16(5000)) == pytest.approx(snr_db(pcm), abs=0.01)


def test_the_ends_of_the_ratio():
    noise = np.random.default_rng(0).normal(0, 1000, RATE).astype(np.int16)
    assert snr_db(noise) == 0
    assert snr_db(np.zeros(RATE, np.int16)) == 0
    assert snr_db(noise[:100]) == 0
    assert snr_db(np.zeros(0, np.int16)) == 0
    in_silence = np.concatenate([np.zeros(RATE // 2, np.int16), noise * 10])
    assert snr_db(in_silence) == MAX_SNR_DB
