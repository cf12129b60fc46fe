"""Sound from a mel spectrogram: first the spectrum that it may come from, then its phases."""

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

from serd import filterbanks
from serd.audio import SAMPLE_RATE, Floats

Complexes = NDArray[np.complex64]

N_FFT = 1024
HOP_LENGTH = 256
N_MELS = 128

_OVERLAP = N_FFT // HOP_LENGTH
_HANN = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
_MEL_STEPS = 40
_PHASE_STEPS = 24
_MOMENTUM = np.float32(0.9)
_TINY = np.float32(1e-20)


def sound(mel_db: NDArray[np.uint8], seed: int) -> Floats:
    """What sounds like a mel spectrogram; of unknown loudness.

    Args:
        mel_db: `[frames, N_MELS]`, at least one frame; the power in dB, 80 at the loudest and
            0 for all that is 80 dB below it or less. At 16 kHz with a periodic Hann window,
            frame `t` centred on sample `t * HOP_LENGTH`.
        seed: of the phases that the search starts from.

    Returns:
        float32 `[(frames - 1) * HOP_LENGTH]`.
    """
    power = np.power(10, (mel_db.astype(np.float32) - 80) / 10, dtype=np.float32)
    power[mel_db == 0] = 0  # so that a silent clip stays silent
    return griffin_lim(np.sqrt(spectrum(power)), seed)


def spectrum(mel: Floats) -> Floats:
    """The power spectrum, nowhere negative, whose mel bands fit in the least-squares sense.

    Args:
        mel: float32 `[frames, N_MELS]`, power.

    Returns:
        float32 `[frames, N_FFT // 2 + 1]`.

    Reference:
        Multiplicative updates: Lee and Seung, Algorithms for non-negative matrix
        factorization, NIPS 2000.
    """
    bands = _bands()
    spectra = bands.T
    wanted = spectra @ np.ascontiguousarray(mel.T)
    x: Floats = np.ones_like(wanted)
    for _ in range(_MEL_STEPS):
        x *= wanted / (spectra @ (bands @ x) + _TINY)
    return x.T


def griffin_lim(magnitude: Floats, seed: int) -> Floats:
    """The sound whose short-time spectrum has about these magnitudes.

    Args:
        magnitude: float32 `[frames, N_FFT // 2 + 1]`.
        seed: of the phases that the search starts from.

    Returns:
        float32 `[(frames - 1) * HOP_LENGTH]`.

    Reference:
        Perraudin, Balazs and Søndergaard, A fast Griffin-Lim algorithm, WASPAA 2013.
    """
    angles = np.random.default_rng(seed).random(magnitude.shape, np.float32) * np.float32(2 * np.pi)
    ahead: Complexes = np.exp(1j * angles)
    before: Complexes = np.zeros_like(ahead)
    for _ in range(_PHASE_STEPS):
        consistent = _stft(_istft(_with_phases(magnitude, ahead)))
        ahead = consistent + _MOMENTUM * (consistent - before)
        before = consistent
    return _istft(_with_phases(magnitude, ahead))


def _with_phases(magnitude: Floats, of: Complexes) -> Complexes:
    return of * (magnitude / (np.abs(of) + _TINY))


def _stft(samples: Floats) -> Complexes:
    padded = np.pad(samples, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    spectra: Complexes = scipy.fft.rfft(frames * _HANN)
    return spectra


def _istft(spectra: Complexes) -> Floats:
    """The sound whose short-time spectrum is nearest (Griffin and Lim 1984)."""
    frames = scipy.fft.irfft(spectra, N_FFT) * _HANN
    return _overlap_add(frames) / _overlap_add(np.broadcast_to(_HANN**2, frames.shape))


def _overlap_add(frames: Floats) -> Floats:
    """`[frames, N_FFT]` to `[(frames - 1) * HOP_LENGTH]`, without the padding at both ends."""
    parts = frames.reshape(len(frames), _OVERLAP, HOP_LENGTH)
    summed = np.zeros((len(frames) + _OVERLAP - 1, HOP_LENGTH), np.float32)
    for i in range(_OVERLAP):
        summed[i : i + len(frames)] += parts[:, i]
    return summed.reshape(-1)[N_FFT // 2 : -N_FFT // 2]


@lru_cache(maxsize=1)
def _bands() -> scipy.sparse.csr_matrix:
    """The mel filters as rows, `[N_MELS, N_FFT // 2 + 1]`; nearly all of it is zero."""
    filters = filterbanks.mel(SAMPLE_RATE, N_FFT, N_MELS, 0, SAMPLE_RATE / 2)
    return scipy.sparse.csr_matrix(filters.T)
