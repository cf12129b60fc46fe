"""One thread that does what others give it, in order."""

import logging
import threading
from collections.abc import Callable, Hashable

from serd.pulse import Pulse

_log = logging.getLogger(__name__)

Task = Callable[[], None]


class TaskThread:
    """Tasks one after the other, so that they need no locks among themselves.

    Each has a name, and one that is given takes the place of one of its name that still waits:
    so there are never more than names, however long a task takes.
    """

    def __init__(self, name: str) -> None:
        self._tasks: dict[Hashable, Task] = {}
        self._changed = threading.Condition()
        self._busy = False
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.pulse = Pulse()
        """It beats with each task, and rests while there is none."""

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def give(self, name: Hashable, task: Task) -> None:
        """Have a task done after those that wait; returns at once. What it raises is logged."""
        with self._changed:
            self._tasks.pop(name, None)
            self._tasks[name] = task
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until no task is left and a condition holds, at most `timeout` s."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._tasks and not self._busy and condition(), timeout
            )

    def finish(self, timeout: float) -> None:
        """Do what was given before, then end; wait at most `timeout` s for that."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            self.pulse.beat()
            try:
                task()
            except Exception:  # noqa: BLE001 - one bad task must not silence all others
                _log.exception("a task of %s failed", self._thread.name)
            self.pulse.rest()

    def _next(self) -> Task | None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._tasks or self._ending)
            if not self._tasks:
                return None
            self._busy = True
            return self._tasks.pop(next(iter(self._tasks)))
