"""How good speech sounds beside the same speech without noise."""

from collections.abc import Callable, Mapping

import numpy as np

from serd.audio import SAMPLE_RATE, Floats

Measure = Callable[[Floats, Floats], float]
"""Of the speech and of an estimate of it, float32 `[n]` each."""


def si_sdr(speech: Floats, estimate: Floats) -> float:
    """Scale-invariant signal-to-distortion ratio, dB: how far what is not speech lies below it.

    Args:
        speech: float32 `[n]`, not silent.
        estimate: float32 `[n]`, of any loudness.

    Returns:
        dB; infinite where nothing differs but the loudness.

    Reference:
        Le Roux et al., SDR – half-baked or well done?, ICASSP 2019.

    >>> round(si_sdr(np.array([1, -1, 1, -1.0]), np.array([2, -2, 1, -1.0])), 2)
    9.54
    """
    s, e = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (speech, estimate))
    target = s * (np.vdot(e, s) / np.vdot(s, s))
    error = e - target
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.vdot(target, target) / np.vdot(error, error)))


def pesq(speech: Floats, estimate: Floats) -> float:
    """Perceived quality, wide-band, about 1…4.6.

    Reference:
        ITU-T P.862.2.
    """
    from pesq import pesq as measured

    return float(measured(SAMPLE_RATE, speech, estimate, "wb"))


def stoi(speech: Floats, estimate: Floats) -> float:
    """Short-time objective intelligibility, 0…1.

    Reference:
        Taal et al., An algorithm for intelligibility prediction of time-frequency weighted
        noisy speech, TASLP 2011.
    """
    from pystoi import stoi as measured

    return float(measured(speech, estimate, SAMPLE_RATE))


MEASURES: Mapping[str, Measure] = {"si_sdr": si_sdr, "pesq": pesq, "stoi": stoi}
