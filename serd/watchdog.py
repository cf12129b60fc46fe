"""Feeds systemd's watchdog for as long as every loop gets further."""

import logging
import time
from collections.abc import Callable, Mapping

from serd import notify
from serd.pulse import Pulse

STUCK_S = 60.0
"""A loop hangs when it has got no further for this long, s; the slowest machine recognises the
longest utterance in less."""

_log = logging.getLogger(__name__)


class Watchdog:
    """Looks at pulses; systemd restarts the daemon when one of them stays away."""

    def __init__(
        self, pulses: Mapping[str, Pulse], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Watch loops by their names; the one that calls `look` needs no pulse."""
        self._pulses = pulses
        self._clock = clock
        self._every_s = (notify.watchdog_s() or float("inf")) / 4
        self._next = clock()
        self._stuck: list[str] = []

    def look(self) -> None:
        """Feed it when it is time, unless a loop hangs; to be called several times a second."""
        stuck = [name for name, pulse in self._pulses.items() if pulse.silent_s > STUCK_S]
        for name in stuck:
            if name not in self._stuck:
                _log.error("%s hangs: no progress for %g s", name, STUCK_S)
        self._stuck = stuck
        if not stuck and self._clock() >= self._next and self._every_s < float("inf"):
            self._next = self._clock() + self._every_s
            notify.tell("WATCHDOG=1")
