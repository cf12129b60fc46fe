"""The thread in which utterances are recognised, one after the other."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from serd.pipeline import Utterance
from serd.pulse import Pulse

_QUEUED = 64
"""Utterances that may wait."""
_NAP_S = 0.02


class Recognising:
    """What waits for the classifier, and the thread that feeds it."""

    def __init__(self, recognise: Callable[[Utterance], None]) -> None:
        """Prepare; `recognise` does all that an utterance is for, and raises nothing."""
        self.pulse = Pulse()
        """It beats with each utterance, and rests while there is none."""
        self.given_up = False
        """Nobody wants any more what is not recognised yet."""
        self._recognise = recognise
        self._queue: queue.Queue[Utterance | None] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._work, name="recogniser", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def idle(self) -> bool:
        """All that was offered is done."""
        return self._queue.unfinished_tasks == 0

    def offer(self, utterance: Utterance, timeout: float) -> bool:
        """Queue an utterance; wait for room at most `timeout` s, and tell whether there was."""
        try:
            self._queue.put(utterance, timeout=timeout)
        except queue.Full:
            return False
        return True

    def finish(self, in_time: Callable[[], bool]) -> int:
        """Recognise what waits, and end; give up when it is no longer `in_time`.

        Returns:
            for how many utterances there was no time.
        """
        told = False
        while self._thread.is_alive() and in_time():
            if not told:
                with suppress(queue.Full):
                    self._queue.put_nowait(None)
                    told = True
            self._thread.join(_NAP_S)
        self.given_up = True
        return self._queue.unfinished_tasks - told

    def _work(self) -> None:
        while (utterance := self._queue.get()) is not None and not self.given_up:
            self.pulse.beat()
            self._recognise(utterance)
            self._queue.task_done()
            self.pulse.rest()
