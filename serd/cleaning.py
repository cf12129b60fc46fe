"""Decides which utterances are recognised without their noise."""

from dataclasses import dataclass

from serd import bundle, denoiser
from serd.audio import Pcm
from serd.denoiser import Denoiser
from serd.levels import snr_db
from serd.settings import DenoiseSettings


@dataclass(frozen=True)
class Cleaned:
    """An utterance as it is to be recognised."""

    samples: Pcm
    """int16 `[n]`, as many as were heard."""
    snr_db: float
    """Of what was heard, as `levels.snr_db` estimates it."""
    denoised: bool


class Cleaning:
    """Takes the noise out of utterances: of all, of none, or of noisy ones; not thread-safe."""

    def __init__(self, below_snr_db: float, denoiser: Denoiser | None = None) -> None:
        """Clean what is estimated to be noisier than a threshold, dB."""
        self._below_snr_db = below_snr_db
        self._denoiser = denoiser

    def __call__(self, samples: Pcm) -> Cleaned:
        """One utterance, int16 `[n]` at 16 kHz."""
        estimate = snr_db(samples)
        if self._denoiser is None or estimate >= self._below_snr_db:
            return Cleaned(samples, estimate, denoised=False)
        return Cleaned(self._denoiser(samples), estimate, denoised=True)


def load(settings: DenoiseSettings) -> Cleaning:
    """What the settings ask for; the network is only read where it may be needed.

    Raises:
        BundleError: it cannot be used.
    """
    if settings.mode == "off":
        return Cleaning(float("-inf"))
    loaded = denoiser.load(bundle.find(settings.model))
    if settings.mode == "on":
        return Cleaning(float("inf"), loaded)
    own = settings.below_snr_db
    return Cleaning(loaded.card.below_snr_db if own is None else own, loaded)
