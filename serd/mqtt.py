"""The publisher: everything that serd says and hears over MQTT."""

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from serd.connection import Connection, Refusal
from serd.delivery import MAX_IN_FLIGHT, Delivery
from serd.events import EmotionEvent, compact
from serd.outbox import Outbox, OutboxError
from serd.settings import MqttSettings, as_name
from serd.tasks import Task, TaskThread
from serd.topics import Topics

_log = logging.getLogger(__name__)

_SWITCH = {b"ON": True, b"OFF": False}
_SHOWN = 80  # of what a stranger sent, at most this much is logged
_LOOK_S = 0.25
_GONE = 100  # sources that are no more: at most so many, or a broker full of them would fill us


class Publisher:
    """Keeps one connection to a broker and says everything over it.

    No method waits for the broker, except `drained` and `stop`. One thread does all the
    publishing and calls back; the connection and the methods here only give it tasks.
    """

    def __init__(
        self,
        settings: MqttSettings,
        node: str,
        outbox: Outbox,
        info: Mapping[str, Any],
        listening: Mapping[str, bool],
        on_listening: Callable[[str, bool], None],
        discovery: Mapping[str, Mapping[str, Any]] | None = None,
        forget: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        """Prepare everything; `start` connects.

        Args:
            settings: where the broker is, and how to log in.
            node: this machine's name in topics.
            outbox: where events wait; it stays open when the publisher stops.
            info: what to say about the daemon.
            listening: each source's name, and whether it listens; all are offline until
                told otherwise.
            on_listening: told which source to switch on (True) or off (False).
            discovery: Home Assistant's topics and payloads.
            forget: names the topics, besides our own, that are to be cleared of a source that
                this node once had; None leaves what stands of such on the broker.

        Raises:
            SettingsError: the broker is no URL, or what login needs cannot be read.
        """
        self._topics = Topics(settings.topic_prefix, node)
        self._outbox = outbox
        self._sources = {self._topics.listening_set(name): name for name in listening}
        self._on_listening = on_listening
        self._forget = forget
        self._gone: set[str] = set()
        self._connected = False
        self.outbox_failure = outbox.not_on_disk
        """Why the outbox does not take what it should keep, or not on disk."""
        self._refused: str | None = None  # the last event, or its deletion, and why
        self._told = {outbox.not_on_disk}  # once, not for each event and each try

        self._thread = TaskThread("mqtt-publisher")
        self._connection = Connection(
            settings,
            f"serd-{node}",
            will=(self._topics.status, "offline"),
            subscriptions=[self._topics.commands, *([self._topics.listening("+")] * bool(forget))],
            on_up=lambda in_flight: self._do("connection", partial(self._enter, in_flight)),
            on_down=lambda: self._do("connection", self._leave),
            on_message=self._heard,
            on_answer=lambda number, no: self._do(number, partial(self._answered, number, no)),
            max_in_flight=MAX_IN_FLIGHT,
        )
        self.pulses = {
            "the MQTT publisher": self._thread.pulse,
            "the MQTT connection": self._connection.pulse,
        }
        """Of its loops, by their names."""
        self._delivery = Delivery(
            outbox, lambda topic, said, retain: self._connection.publish(topic, said, 1, retain)
        )
        self._delivery.retain(self._topics.status, "online")
        self._delivery.retain(self._topics.info, compact(info))
        for name, on in listening.items():
            self._delivery.retain(self._topics.source_status(name), "offline")
            self._delivery.retain(self._topics.listening(name), "ON" if on else "OFF")
        for topic, payload in (discovery or {}).items():
            self._delivery.retain(topic, compact(payload))

    @property
    def connected(self) -> bool:
        """The broker has let us in and has not been lost since, as far as is known."""
        return self._connected

    @property
    def lost(self) -> int:
        """Events that neither the outbox nor the broker took."""
        return self._delivery.lost

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever it is needed; returns at once."""
        self._thread.start()
        self._connection.start()

    def publish_event(self, event: EmotionEvent) -> None:
        """Keep an event, and publish it as soon as the broker lets."""
        topic, payload = self._topics.event(event.source), event.to_json()
        first = self._delivery.at_first_try(event.id)
        try:
            self._outbox.put(event.id, topic, payload)
        except OutboxError as error:
            self._refused = str(error)
            self._delivery.keep_in_memory(event.id, topic, payload)
        else:
            self._refused = None
        self._look_at_outbox()
        # Without a first try there is nothing to tell apart, and one pump is as good as many.
        self._do(event.id if first else "event", partial(self._first_try, event.id))

    def set_source_status(self, name: str, online: bool) -> None:
        """Say that a source delivers sound, or that it does not."""
        self._retain(self._topics.source_status(name), "online" if online else "offline")

    def set_listening(self, name: str, on: bool) -> None:
        """Say that a source listens, or that it does not."""
        self._retain(self._topics.listening(name), "ON" if on else "OFF")

    def set_state(self, name: str, payload: str) -> None:
        """Say a source's smoothed state, as JSON."""
        self._retain(self._topics.state(name), payload)

    def mend_outbox(self) -> None:
        """Have an outbox that fails tried again; to be called now and then."""
        if self.outbox_failure is not None:
            self._do("outbox", self._outbox.mend)

    def publish_health(self, payload: str) -> None:
        """Say how the daemon is; QoS 0, and lost when there is no connection."""
        self._do("health", partial(self._publish_health, payload))

    def drained(self, timeout: float) -> bool:
        """Wait until all is said and acknowledged, at most `timeout` s; tell whether it is."""
        delivery, outbox = self._delivery, self._outbox
        return self._thread.wait(
            lambda: delivery.settled and not delivery.unkept and len(outbox) == 0, timeout
        )

    def drain(self, patience_s: float, given_up: Callable[[], bool]) -> int:
        """Wait until all is said and acknowledged; tell how many events are left in the outbox.

        Args:
            patience_s: for the broker to take something, each time; then it is over.
            given_up: asked several times a second whether it is over.
        """
        waiting, deadline = len(self._outbox), time.monotonic() + patience_s
        while not self.drained(_LOOK_S) and not given_up():
            if len(self._outbox) < waiting:
                waiting, deadline = len(self._outbox), time.monotonic() + patience_s
            elif time.monotonic() >= deadline:
                break
        if left := len(self._outbox):
            _log.error("events that wait in the outbox for the broker: %d", left)
        return left

    def stop(self, timeout: float) -> None:
        """Say that the node and its sources are offline, and leave.

        Args:
            timeout: s; then the connection is cut, so that the broker says the last will.
        """
        if not self._thread.alive:
            return
        deadline = time.monotonic() + timeout
        self._do("farewell", self._say_farewell)
        taken = self._thread.wait(lambda: self._delivery.settled, timeout)
        if left := self._delivery.give_up():
            _log.error("events are lost, for the outbox did not take them: %d", left)
        self._thread.finish(max(0.2, deadline - time.monotonic()))
        self._connected = False
        self._connection.close(politely=taken, timeout=max(0.2, deadline - time.monotonic()))

    # What the publisher's thread does, one after the other.

    def _do(self, name: Hashable, task: Task) -> None:
        self._thread.give(name, partial(self._do_and_pump, task))

    def _do_and_pump(self, task: Task) -> None:
        for step in (task, self._delivery.pump):
            try:
                step()
            except OutboxError as error:
                self._refused = str(error)
        self._look_at_outbox()

    def _retain(self, topic: str, payload: str) -> None:
        self._do(topic, partial(self._delivery.retain, topic, payload))

    def _first_try(self, event_id: str) -> None:
        try:
            self._delivery.pump()
        finally:
            self._delivery.put_off(event_id)

    def _publish_health(self, payload: str) -> None:
        if self._connected:
            self._connection.publish(self._topics.health, payload, 0, retain=True)

    def _say_farewell(self) -> None:
        self._delivery.close()
        for name in self._sources.values():
            self._delivery.retain(self._topics.source_status(name), "offline")
        self._delivery.retain(self._topics.status, "offline")

    def _enter(self, in_flight: int) -> None:
        self._connected = True
        self._delivery.connect(in_flight)

    def _leave(self) -> None:
        self._connected = False
        self._delivery.disconnect()

    def _answered(self, number: int, refusal: Refusal | None) -> None:
        lost = self.lost
        if refusal is None:
            self._delivery.acknowledge(number)
        elif topic := self._delivery.refuse(number, refusal.for_good):
            then = "it is tried again, ever more seldom"
            if refusal.for_good:
                then = "an event is lost" if self.lost > lost else "it is left unsaid"
            _log.error("the broker refuses %s: %s; %s", topic, refusal.cause, then)

    def _obey(self, topic: str, name: str, on: bool) -> None:
        self._on_listening(name, on)
        self._delivery.retain(topic, "ON" if on else "OFF")

    def _clear(self, name: str) -> None:
        theirs = self._forget(name) if self._forget else ()
        ours = self._topics.source_status, self._topics.state, self._topics.listening
        # Its `listening` last: should the connection break before, we are told of it again.
        topics = [*theirs, *(topic(name) for topic in ours)]
        if all(self._connection.publish(topic, "", 0, retain=True) for topic in topics):
            _log.info("source %s is no more: the broker is told to forget it", name)

    def _look_at_outbox(self) -> None:
        before, self.outbox_failure = self.outbox_failure, self._refused or self._outbox.not_on_disk
        if self.outbox_failure is None:
            if before is not None:
                self._told.clear()
                _log.warning("the outbox takes events again")
        elif self.outbox_failure not in self._told:
            self._told.add(self.outbox_failure)
            _log.error("%s", self.outbox_failure)

    # What the connection calls, in its own thread.

    def _heard(self, topic: str, payload: bytes | bytearray, replayed: bool) -> None:
        shown = bytes(payload[:_SHOWN])
        name, on = self._sources.get(topic), _SWITCH.get(shown)
        if (said_of := self._topics.listens(topic)) is not None:
            if replayed and on is not None:
                self._find_gone(said_of)
            return
        # A retained command would come back with each connection and undo newer ones.
        if name is None or on is None or replayed:
            why = "it is retained" if replayed else "neither ON nor OFF"
            if name is None:
                why = "there is no such source"
            _log.warning("MQTT: ignored the command %.80r on %.80r: %s", shown, topic, why)
            return
        listening = self._topics.listening(name)
        self._do(listening, partial(self._obey, listening, name, on))

    def _find_gone(self, name: str) -> None:
        with suppress(ValueError):
            ours = as_name(name) in self._sources.values()
            if ours or len(self._gone | {name}) > _GONE:
                return
            self._gone.add(name)
            self._do(("gone", name), partial(self._clear, name))
