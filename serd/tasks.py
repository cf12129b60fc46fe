"""One thread that does what others give it, in order."""

import logging
import threading
from collections.abc import Callable
from queue import Queue

_log = logging.getLogger(__name__)

Task = Callable[[], None]


class TaskThread:
    """Tasks one after the other, so that they need no locks among themselves."""

    def __init__(self, name: str) -> None:
        self._tasks: Queue[Task | None] = Queue()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def give(self, task: Task) -> None:
        """Have a task done later; returns at once. What it raises is logged."""
        self._tasks.put(task)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until no task is left and a condition holds, at most `timeout` s."""
        with self._progress:
            return self._progress.wait_for(
                lambda: self._tasks.unfinished_tasks == 0 and condition(), timeout
            )

    def finish(self, timeout: float) -> None:
        """Do what was given before, then end; wait at most `timeout` s for that."""
        self._tasks.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception:  # noqa: BLE001 - one bad task must not silence all others
                _log.exception("a task of %s failed", self._thread.name)
            self._tasks.task_done()
            with self._progress:
                self._progress.notify_all()
