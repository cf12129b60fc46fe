"""What to hand to the broker next: retained topics first, then events in their order."""

from collections.abc import Callable
from dataclasses import dataclass

from serd.events import as_queued
from serd.outbox import Outbox

MAX_IN_FLIGHT = 20
"""Events for which the broker may owe an acknowledgement."""


@dataclass(frozen=True)
class _Sent:
    """Something that the broker has not acknowledged yet."""

    topic: str
    retained: bool = False
    event_id: str | None = None  # in the outbox


class Delivery:
    """Keeps account of what is said, what is acknowledged and what still waits.

    It knows nothing of the network, and belongs to one thread, but for `at_first_try`.
    Of a retained topic only the latest payload matters, and one at a time is on its way,
    so that a broker that acknowledges nothing cannot make anything grow.
    """

    def __init__(self, outbox: Outbox, publish: Callable[[str, str, bool], int | None]) -> None:
        """Begin unconnected.

        Args:
            outbox: where the events wait.
            publish: hands topic, payload and whether it is retained to the connection,
                QoS 1; returns a number that `acknowledge` will get, or None when it
                cannot be done.
        """
        self._outbox = outbox
        self._publish = publish
        self._connected = False
        self._closed = False
        self._retained: dict[str, str] = {}  # topic → what shall stand there
        self._unsaid: dict[str, None] = {}  # topics in `_retained` to publish, in order
        self._sent: dict[int, _Sent] = {}
        self._handed_over = 0  # the last event given away, by its place in the outbox
        self._first_tries: set[str] = set()

    @property
    def settled(self) -> bool:
        """Nothing is on its way, and what could be said is said; the outbox apart."""
        return not self._sent and (not self._unsaid or not self._connected)

    def connect(self) -> None:
        """There is a connection: all that is retained is said again, then the events."""
        self._connected = True
        self._unsaid = dict.fromkeys(self._retained)

    def disconnect(self) -> None:
        """The connection is lost: what was not acknowledged waits again."""
        self._connected = False
        self._sent.clear()
        self._first_tries.clear()
        self._handed_over = 0

    def close(self) -> None:
        """Hand over no more events; those that wait stay in the outbox."""
        self._closed = True

    def retain(self, topic: str, payload: str) -> None:
        """Say what shall stand on a topic from now on."""
        if self._retained.get(topic) != payload:
            self._retained[topic] = payload
            self._unsaid[topic] = None

    def at_first_try(self, event_id: str) -> None:
        """An event is about to enter the outbox and may go out at once."""
        self._first_tries.add(event_id)

    def put_off(self, event_id: str) -> None:
        """The first try is over; if the event still waits, it is a queued one from now on."""
        self._first_tries.discard(event_id)

    def offer_unkept(self, topic: str, payload: str) -> bool:
        """Publish an event that the outbox did not take; tell whether that was possible."""
        return self._room() > 0 and self._hand_over(payload, _Sent(topic))

    def acknowledge(self, number: int) -> None:
        """The broker has it; a number that is not known is passed over.

        Raises:
            OutboxError: the event has arrived but cannot be deleted.
        """
        sent = self._sent.pop(number, None)
        if sent and sent.event_id:
            self._outbox.delete(sent.event_id)

    def pump(self) -> None:
        """Hand over all that may be handed over now.

        Raises:
            OutboxError: the outbox cannot be read.
        """
        on_their_way = {sent.topic for sent in self._sent.values() if sent.retained}
        for topic in [topic for topic in self._unsaid if topic not in on_their_way]:
            if self._hand_over(self._retained[topic], _Sent(topic, retained=True)):
                del self._unsaid[topic]
        if not (room := self._room()):
            return
        for event in self._outbox.waiting(room, after=self._handed_over):
            first = event.id in self._first_tries
            payload = event.payload if first else as_queued(event.payload)
            if not self._hand_over(payload, _Sent(event.topic, event_id=event.id)):
                return
            self._handed_over = event.seq

    def _room(self) -> int:
        if not self._connected or self._closed:
            return 0
        return MAX_IN_FLIGHT - sum(not sent.retained for sent in self._sent.values())

    def _hand_over(self, payload: str, sent: _Sent) -> bool:
        number = self._publish(sent.topic, payload, sent.retained) if self._connected else None
        if number is None:
            return False
        self._sent[number] = sent
        return True
