"""Short-time spectra that sound can be made of again.

Frames overlap by half. The window is the root of Hann's and is applied on the way there and
on the way back: so the frames of an unchanged sound add up to it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats

Spectra = NDArray[np.complex64]

_FLOOR = 1e-9
"""Power, a little above that of the rounding to 16 bits."""
_SPREAD = 1.5
"""Of the logarithm of speech's power, about."""


def spectra(samples: Floats, n_fft: int) -> Spectra:
    """Of all whole frames.

    Args:
        samples: float32 `[n]`, -1…1.
        n_fft: samples of a frame, even.

    Returns:
        complex64 `[n // hop - 1, n_fft // 2 + 1]`, where `hop = n_fft // 2`; frame `i` begins
        with sample `i * hop`.

    >>> spectra(np.zeros(1024, np.float32), 512).shape
    (3, 257)
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[:: n_fft // 2]
    return np.fft.rfft(frames * _window(n_fft)).astype(np.complex64, copy=False)


def overlapped(frames: Spectra) -> Floats:
    """The sum of all frames in their places.

    Args:
        frames: complex64 `[t, n_fft // 2 + 1]`.

    Returns:
        float32 `[(t + 1) * hop]`. The first and the last hop have one frame where others have
        two: what comes before and after must be added.
    """
    n_fft = 2 * (frames.shape[1] - 1)
    sounds = np.fft.irfft(frames, n_fft).astype(np.float32, copy=False) * _window(n_fft)
    first, second = sounds[:, : n_fft // 2], sounds[:, n_fft // 2 :]
    whole = np.zeros((len(frames) + 1, n_fft // 2), np.float32)
    whole[:-1] += first
    whole[1:] += second
    return whole.ravel()


def log_power(frames: Spectra) -> Floats:
    """The logarithm of the power, about 0 in the mean, however loud it is.

    Digital silence, as before the first and after the last sample, does not count.

    Args:
        frames: complex64 `[t, bins + 1]`, a window.

    Returns:
        float32 `[t, bins]`, without the highest, in which there is next to nothing.
    """
    power = np.square(np.abs(frames[:, :-1]))
    logs = np.log10(np.maximum(power, np.float32(_FLOOR)))
    heard = power.any(axis=1)
    level = logs[heard].mean() if heard.any() else np.float32(0)
    return (logs - level) / np.float32(_SPREAD)


@lru_cache(maxsize=4)
def _window(n_fft: int) -> Floats:
    """The root of the periodic Hann window."""
    return np.sin(np.pi * np.arange(n_fft) / n_fft).astype(np.float32)
