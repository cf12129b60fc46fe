"""What to hand to the broker next: retained topics first, then events in their order."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from serd.events import as_queued
from serd.outbox import Outbox

MAX_IN_FLIGHT = 20
"""Messages for which the broker may owe an answer, and events kept where the outbox takes none."""

_HELD_S = (1.0, 300.0)
"""The first and the longest time for which a topic that was refused is not tried again."""


@dataclass(frozen=True)
class _Event:
    """An event that the outbox did not take."""

    id: str
    topic: str
    payload: str


@dataclass(frozen=True)
class _Sent:
    """Something that the broker has not answered yet."""

    topic: str
    event_id: str | None = None  # in the outbox
    unkept: _Event | None = None  # an event that is not there
    retained: bool = False


class Delivery:
    """Keeps account of what is said, what is acknowledged and what still waits.

    It knows nothing of the network, and belongs to one thread, but for `at_first_try` and
    `keep_in_memory`. Of a retained topic only the latest payload matters, and one at a time is
    on its way, so that a broker that acknowledges nothing cannot make anything grow.

    What a broker refuses, but may take another time, stays where it is; its topic waits, longer
    with each refusal, and holds up no other.
    """

    def __init__(
        self,
        outbox: Outbox,
        publish: Callable[[str, str, bool], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin unconnected.

        Args:
            outbox: where the events wait.
            publish: hands topic, payload and whether it is retained to the connection,
                QoS 1; returns a number that `acknowledge` or `refuse` will get, or None
                when it cannot be done.
            clock: monotonic, s.
        """
        self._outbox = outbox
        self._publish = publish
        self._clock = clock
        self._in_flight = 0  # as many may be; 0 while there is no connection
        self._closed = False
        self._retained: dict[str, str] = {}  # topic → what shall stand there
        self._unsaid: dict[str, None] = {}  # topics in `_retained` to publish, in order
        self._sent: dict[int, _Sent] = {}
        self._handed_over = 0  # the last event given away, by its place in the outbox
        self._changes = outbox.changes  # of places
        self._held: dict[str, float] = {}  # topic → until when nothing is offered to it
        self._held_s: dict[str, float] = {}  # topic → for how long the last time
        self._first_tries: set[str] = set()
        self._unkept: dict[str, _Event] = {}
        self._lock = threading.Lock()  # of `_unkept` and `lost`
        self.lost = 0
        """Events that neither the outbox nor the broker took."""

    @property
    def settled(self) -> bool:
        """Nothing is on its way, and what could be said is said; the outbox apart."""
        return not self._sent and (not self._in_flight or self._unsaid.keys() <= self._held.keys())

    @property
    def unkept(self) -> int:
        """Events that are in no outbox and not on their way either."""
        return len(self._unkept)

    def connect(self, in_flight: int = MAX_IN_FLIGHT) -> None:
        """There is a new connection: all that is retained is said again, then the events.

        Args:
            in_flight: what the broker is ready to owe an answer for.
        """
        self.disconnect()
        self._in_flight = min(in_flight, MAX_IN_FLIGHT)
        self._unsaid = dict.fromkeys(self._retained)

    def disconnect(self) -> None:
        """The connection is lost: what was not acknowledged waits again."""
        self._in_flight = 0
        for sent in self._sent.values():
            if sent.unkept is not None:
                self.keep_in_memory(sent.unkept.id, sent.topic, sent.unkept.payload)
        self._sent.clear()
        self._first_tries.clear()
        self._held.clear()
        self._held_s.clear()
        self._handed_over = 0

    def close(self) -> None:
        """Hand over no more events; those that wait stay in the outbox."""
        self._closed = True

    def retain(self, topic: str, payload: str) -> None:
        """Say what shall stand on a topic from now on."""
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            self._unsaid[topic] = None

    def at_first_try(self, event_id: str) -> bool:
        """An event is about to be kept, and may go out at once unless too many wait for that."""
        if not self._in_flight or len(self._first_tries) >= MAX_IN_FLIGHT:
            return False
        self._first_tries.add(event_id)
        return True

    def put_off(self, event_id: str) -> None:
        """The first try is over; if the event still waits, it is a queued one from now on."""
        self._first_tries.discard(event_id)

    def keep_in_memory(self, event_id: str, topic: str, payload: str) -> None:
        """Take an event that the outbox did not; of too many the oldest are lost."""
        with self._lock:
            self._unkept[event_id] = _Event(event_id, topic, payload)
            if len(self._unkept) > MAX_IN_FLIGHT:
                del self._unkept[next(iter(self._unkept))]
                self.lost += 1

    def give_up(self) -> int:
        """Count as lost what is kept in memory only, and forget it; how many that were."""
        with self._lock:
            left = len(self._unkept)
            self._unkept.clear()
            self.lost += left
        return left

    def acknowledge(self, number: int) -> None:
        """The broker has it; a number that is not known is passed over.

        Raises:
            OutboxError: the event has arrived but cannot be deleted.
        """
        if sent := self._sent.pop(number, None):
            self._held_s.pop(sent.topic, None)
            if sent.event_id:
                self._outbox.delete(sent.event_id)

    def refuse(self, number: int, for_good: bool) -> str | None:
        """The broker does not want it.

        Args:
            number: of what; one that is not known is passed over.
            for_good: it will not take it another time either: an event is lost.

        Returns:
            Its topic, if the broker had taken what was said there until now.

        Raises:
            OutboxError: the event is lost but cannot be deleted.
        """
        if not (sent := self._sent.pop(number, None)):
            return None
        if for_good:
            if not sent.retained:
                self._lose(sent)
            return sent.topic
        if sent.retained:
            self._unsaid[sent.topic] = None
        elif sent.unkept:
            self.keep_in_memory(sent.unkept.id, sent.topic, sent.unkept.payload)
        if sent.topic in self._held:
            return None  # those that were on their way at the same time
        before_s = self._held_s.get(sent.topic)
        held_s = min(2 * before_s, _HELD_S[1]) if before_s else _HELD_S[0]
        self._held_s[sent.topic] = held_s
        self._held[sent.topic] = self._clock() + held_s
        return None if before_s else sent.topic

    def pump(self) -> None:
        """Hand over all that may be handed over now.

        Raises:
            OutboxError: the outbox cannot be read.
        """
        self._release()
        on_their_way = {sent.topic for sent in self._sent.values() if sent.retained}
        for topic in [one for one in self._unsaid if one not in on_their_way | self._held.keys()]:
            if self._hand_over(self._retained[topic], _Sent(topic, retained=True)):
                del self._unsaid[topic]
        if self._closed:
            return
        try:
            self._pump_outbox()
        finally:  # and just when the outbox is broken
            self._pump_unkept()

    def _pump_outbox(self) -> None:
        if self._changes != self._outbox.changes:
            self._changes = self._outbox.changes
            self._handed_over = 0
        on_their_way = {sent.event_id for sent in self._sent.values()}
        if not (room := self._room()):
            return
        waiting, seen = self._outbox.waiting(
            room + len(on_their_way), self._handed_over, list(self._held)
        )
        for event in waiting:
            if event.id not in on_their_way:
                payload = self._worded(event.id, event.payload)
                if not self._hand_over(payload, _Sent(event.topic, event_id=event.id)):
                    return
            self._handed_over = event.seq
        self._handed_over = seen

    def _pump_unkept(self) -> None:
        with self._lock:
            waiting = [one for one in self._unkept.values() if one.topic not in self._held]
        for event in waiting:
            payload = self._worded(event.id, event.payload)
            if not self._hand_over(payload, _Sent(event.topic, unkept=event)):
                return
            with self._lock:
                self._unkept.pop(event.id, None)

    def _release(self) -> None:
        """Try the topics again that have been held long enough."""
        over = [topic for topic, until in self._held.items() if self._clock() >= until]
        for topic in over:
            del self._held[topic]
            self._handed_over = 0

    def _worded(self, event_id: str, payload: str) -> str:
        return payload if event_id in self._first_tries else as_queued(payload)

    def _room(self) -> int:
        return max(0, self._in_flight - len(self._sent))

    def _hand_over(self, payload: str, sent: _Sent) -> bool:
        number = self._publish(sent.topic, payload, sent.retained) if self._room() else None
        if number is None:
            return False
        self._sent[number] = sent
        return True

    def _lose(self, sent: _Sent) -> None:
        with self._lock:
            self.lost += 1
        if sent.event_id:
            self._outbox.delete(sent.event_id)
