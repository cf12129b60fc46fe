"""Shows each event to whom it concerns here; where that fails, no event is lost by it."""

import logging
from collections.abc import Callable

from serd.events import EmotionEvent
from serd.wording import reason

_log = logging.getLogger(__name__)


class Showing:
    """A full disk, say, below stdout is told once, and again when it takes what is printed."""

    def __init__(self, show: Callable[[EmotionEvent, bool], None]) -> None:
        """Begin; `show` gets an event, and whether a broker is connected."""
        self._show = show
        self._failing = False

    def event(self, event: EmotionEvent, connected: bool) -> bool:
        """Show an event; tell whether that went well.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        try:
            self._show(event, connected)
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._failing:
                _log.error("stdout: %s; events are not printed", reason(error))
            self._failing = True
        else:
            if self._failing:
                _log.warning("stdout: events are printed again")
            self._failing = False
        return not self._failing
