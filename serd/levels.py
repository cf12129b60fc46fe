"""How loud an utterance is, and how far above its noise."""

import math

import numpy as np

from serd.audio import SAMPLE_RATE, Pcm

SILENCE_DBFS = -96.0
"""The level of digital silence: what 16 bits can hold."""

MAX_SNR_DB = 60.0

_FRAME = SAMPLE_RATE // 50  # 20 ms: shorter than a syllable, longer than a pitch period
_QUIET_SHARE = 0.1  # at least this much of an utterance and the quiet around it is not speech


def dbfs(pcm: Pcm) -> float:
    """The RMS level, where a full-scale square wave is 0 and a sine is -3.

    Args:
        pcm: int16 `[n]`, any length.

    Returns:
        dB re full scale, not below `SILENCE_DBFS`.

    >>> round(dbfs(np.full(100, -16_384, np.int16)), 2)
    -6.02
    """
    power = float(np.mean(np.square(pcm / 32_768))) if pcm.size else 0.0
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


def snr_db(pcm: Pcm) -> float:
    """Estimate the speech-to-noise ratio of one utterance from its own pauses.

    The quietest tenth of the 20-ms frames is taken for noise alone, which it is in an
    utterance with pauses or quiet around it; the frames that stand out above it for
    speech and noise. Below 10 dB it tells 1 to 4 dB too much.

    Args:
        pcm: int16 `[n]`, an utterance and some quiet before and after it.

    Returns:
        dB, 0…`MAX_SNR_DB`; 0 when nothing stands out or it is shorter than ten frames.
    """
    frames = pcm[: pcm.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    if len(frames) < 10:
        return 0.0
    # Without a constant offset, which is neither speech nor noise.
    powers = np.var(frames.astype(np.float64), axis=1)
    noise = max(float(np.quantile(powers, _QUIET_SHARE)), 1 / 12)  # rounding is noise too
    loud = powers[powers > 2 * noise]
    if loud.size == 0:
        return 0.0
    speech = float(loud.mean()) - noise
    return float(np.clip(10 * np.log10(speech / noise), 0, MAX_SNR_DB))
