"""Who speaks at each source of a daemon, kept over restarts."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from serd import voices
from serd.adaptation import Speaker
from serd.baseline import Baseline, Floats
from serd.bundle import Card
from serd.company import Company
from serd.settings import BASELINES, Settings, SettingsError
from serd.voices import VoicesError

_SAVE_S = 60.0
"""From one writing of a source's voices to the next, at least: SD cards wear out."""

_log = logging.getLogger(__name__)


class Companies:
    """A company for each source, in a file each; what cannot be kept is still used."""

    def __init__(
        self, settings: Settings, card: Card, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Go on with those that are kept; what is no good of it begins anew.

        Raises:
            SettingsError, VoicesError: as of `fixed`.
        """
        everywhere = fixed(settings, card)
        running = settings.adaptation.baseline in (None, "running")
        self._settings = settings
        self._card = card
        self._clock = clock
        self._failing = False
        self._companies = {
            name: Company(card.adaptation, self._read(name))
            for name in settings.sources
            if running and card.adaptation is not None
        }
        self.speakers: Mapping[str, Speaker] = self._companies or dict.fromkeys(
            settings.sources, everywhere
        )
        """At each source."""
        self._kept = {name: company.voices for name, company in self._companies.items()}
        self._tried = dict.fromkeys(self._companies, clock())

    def save(self, at_end: bool = False) -> None:
        """Write what is new, unless the last time was just now and this is not the end."""
        for name, company in self._companies.items():
            found, now = company.voices, self._clock()
            if found is self._kept[name] or not (at_end or now - self._tried[name] >= _SAVE_S):
                continue
            self._tried[name] = now
            try:
                voices.write(self._file(name), self._card, found)
            except VoicesError as error:
                if not self._failing:
                    _log.error("%s; voices are kept in memory only", error)
                self._failing = True
            else:
                self._kept[name], self._failing = found, False

    def _file(self, name: str) -> Path:
        return voices.heard(self._settings) / f"{name}.json"

    def _read(self, name: str) -> tuple[Baseline, ...]:
        try:
            return voices.read(self._file(name), self._card)
        except VoicesError as error:
            _log.warning("%s; the voices of source %s begin anew", error, name)
            return ()


def fixed(settings: Settings, card: Card) -> Floats | None:
    """The baseline that a daemon holds every voice against, `[size]`, if it names somebody's.

    Raises:
        SettingsError: the settings ask for what a daemon cannot do.
        VoicesError: nobody of this name can be used.
    """
    choice = settings.adaptation.baseline
    if choice in ("file", "all"):
        said = "a daemon does not know what will be said; only serd classify does"
        raise SettingsError(f"adaptation.baseline: {choice}: {said}")
    if choice is None or choice in BASELINES:
        return None
    return voices.named(choice, settings, card)
