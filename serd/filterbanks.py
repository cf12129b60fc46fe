"""Matrices that turn a spectrum into mel bands, pitch classes or cepstral coefficients."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

# The Slaney mel scale: linear below 1 kHz, logarithmic above.
_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: float) -> float:
    """Frequency in Hz on Slaney's mel scale.

    >>> round(hz_to_mel(1000.0), 6)
    15.0
    """
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_START_MEL + np.log(hz / _LOG_START_HZ) / _LOG_STEP)


def mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `hz_to_mel`, element by element."""
    above = _LOG_START_HZ * np.exp(_LOG_STEP * (mels - _LOG_START_MEL))
    return np.where(mels < _LOG_START_MEL, mels * _LINEAR_HZ_PER_MEL, above)


@lru_cache(maxsize=8)
def mel(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Matrix:
    """Triangular mel filters of equal area.

    Args:
        sample_rate: in Hz.
        n_fft: length of the transform, in samples.
        n_mels: number of bands.
        fmin: lower edge of the first band, in Hz.
        fmax: upper edge of the last band, in Hz, at most half the sample rate.

    Returns:
        float32 `[n_fft // 2 + 1, n_mels]`.

    Reference:
        Slaney, Auditory Toolbox, Interval Research technical report 1998-010.
    """
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)[:, None]
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), n_mels + 2))
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - lower) / (centre - lower)
    falling = (upper - bins) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (upper - lower))).astype(np.float32)


@lru_cache(maxsize=8)
def chroma(sample_rate: int, n_fft: int, n_chroma: int = 12) -> Matrix:
    """Weights that fold a spectrum onto the pitch classes, C first, tuned to A = 440 Hz.

    Each bin spreads over its neighbours with a Gaussian as wide as the bin is in
    semitones; octaves far from the fifth count less (Gaussian, two octaves wide).

    Returns:
        float32 `[n_fft // 2 + 1, n_chroma]`.

    Reference:
        Ellis, Chroma feature analysis and synthesis, LabROSA, 2007.
    """
    hz = np.arange(1, n_fft) * sample_rate / n_fft
    pitch = n_chroma * np.log2(hz / (440 / 16))
    pitch = np.concatenate([[pitch[0] - 1.5 * n_chroma], pitch])  # 0 Hz, far below the rest
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])[:, None]
    half = n_chroma // 2
    distance = (pitch[:, None] - np.arange(n_chroma) + half) % n_chroma - half
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((pitch / n_chroma - 5) / 2) ** 2)[:, None]
    from_c = np.roll(weights, -3 * (n_chroma // 12), axis=1)
    return from_c[: n_fft // 2 + 1].astype(np.float32)


@lru_cache(maxsize=8)
def dct(n_in: int, n_out: int) -> Matrix:
    """The first `n_out` orthonormal type-II cosine vectors, as columns of `[n_in, n_out]`.

    >>> bool(np.allclose(dct(8, 8).T @ dct(8, 8), np.eye(8), atol=1e-6))
    True
    """
    angles = np.pi / n_in * np.outer(np.arange(n_in) + 0.5, np.arange(n_out))
    basis = np.cos(angles) * np.sqrt(2 / n_in)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)
