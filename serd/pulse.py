"""A loop's sign of life."""

import time
from collections.abc import Callable


class Pulse:
    """Tells a loop that waits for something to do from one that hangs while it does it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin at rest; `clock` is monotonic, s."""
        self._clock = clock
        self._since: float | None = None

    def beat(self) -> None:
        """The loop has got further, and goes on."""
        self._since = self._clock()

    def rest(self) -> None:
        """The loop waits from now on for what may never come, or has ended well."""
        self._since = None

    @property
    def silent_s(self) -> float:
        """For how long a loop that is at work has got no further, s; 0 at rest."""
        since = self._since
        return 0.0 if since is None else self._clock() - since
