"""What a user would otherwise take noise out with."""

from collections.abc import Callable, Mapping

import numpy as np

from serd.audio import SAMPLE_RATE, Floats, float_to_pcm, pcm_to_float

_RNNOISE_RATE = 48_000
_RNNOISE_DELAY = 960
"""Samples at that rate."""


def nothing(noisy: Floats) -> Floats:
    """The sound as it is."""
    return noisy


def noisereduce(noisy: Floats) -> Floats:
    """Spectral gating with the package's defaults, in which the noise may change."""
    from noisereduce import reduce_noise

    return reduce_noise(noisy, SAMPLE_RATE).astype(np.float32)


def rnnoise(noisy: Floats) -> Floats:
    """RNNoise at its own 48 kHz; its delay is taken back."""
    from pyrnnoise import RNNoise
    from scipy.signal import resample_poly

    ratio = _RNNOISE_RATE // SAMPLE_RATE
    longer = np.pad(noisy, (0, _RNNOISE_DELAY // ratio))
    wide = float_to_pcm(resample_poly(longer, ratio, 1))
    frames = [frame for _, frame in RNNoise(_RNNOISE_RATE).denoise_chunk(wide[None], partial=True)]
    made = pcm_to_float(np.concatenate(frames, axis=-1).ravel()[_RNNOISE_DELAY:])
    return resample_poly(made, 1, ratio)[: noisy.size].astype(np.float32)


OTHERS: Mapping[str, Callable[[Floats], Floats]] = {
    "nothing": nothing,
    "noisereduce": noisereduce,
    "RNNoise": rnnoise,
}
