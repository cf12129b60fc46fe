"""Hears what serd publishes, from any machine: `serd watch` and `serd status`."""

import logging
import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from serd import login
from serd.events import EmotionEvent
from serd.settings import MqttSettings, SettingsError
from serd.topics import Topics

_log = logging.getLogger(__name__)

_WAITING = 10_000
"""Messages that may wait for who reads them: a terminal that is stopped must not eat the memory."""
_ANSWER_S = 10.0
"""For a broker to let us in."""
_RETAINED_S = 2.0
"""After the subscription: for what is retained to arrive."""


class NoAnswerError(Exception):
    """A broker does not answer, or not as asked; the message says why, in one line."""


class Subscriber:
    """Receives the events and states of nodes from a broker, coming back when it is lost."""

    def __init__(self, settings: MqttSettings) -> None:
        """Prepare; nothing is sent before `messages`.

        Raises:
            SettingsError: there is no broker, or the password cannot be read.
        """
        if settings.broker == "none":
            raise SettingsError("mqtt.broker: there is nothing to hear from none")
        self._host, self._port = login.address(settings)
        self._topics = Topics(settings.topic_prefix, "+")
        self._received: queue.Queue[EmotionEvent | tuple[str, bool]] = queue.Queue(_WAITING)
        self._passed_over = False
        self._client = login.client(settings)
        self._client.reconnect_delay_set(1, 1)  # a person is waiting
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_connect_fail = self._on_connect_fail
        self._told: set[str] = set()

    def messages(self) -> Iterator[EmotionEvent | tuple[str, bool]]:
        """Events, and (node, online) when a node comes or goes; for ever."""
        self._client.connect_async(self._host, self._port)
        self._client.loop_start()
        try:
            while True:
                yield self._received.get()
        finally:
            self._client.loop_stop()

    def retained(
        self, topics: Sequence[str], enough: Callable[[Mapping[str, bytes]], bool]
    ) -> dict[str, bytes]:
        """What stands on some topics now.

        Args:
            topics: filters, which do not overlap.
            enough: tells whether these topics and payloads are all there is to wait for.

        Raises:
            NoAnswerError: the broker cannot be reached, or lets nobody in or read.
        """
        found: dict[str, bytes] = {}
        heard: queue.SimpleQueue[MQTTMessage | str | None] = queue.SimpleQueue()
        client = self._client

        def enter(_client: Client, _data: object, _flags: object, code: Any, *_: object) -> None:
            if code.is_failure:
                heard.put(f"refused the connection: {login.plain(code)}")
            else:
                client.subscribe([(topic, 0) for topic in topics])

        client.on_connect = enter
        client.on_connect_fail = lambda *_: heard.put(f"unreachable: {login.why(sys.exception())}")
        client.on_disconnect = lambda *_: heard.put("hung up")
        client.on_subscribe = lambda _client, _data, _number, codes, *_: heard.put(
            "lets nobody read that" if all(code.is_failure for code in codes) else None
        )
        client.on_message = lambda _client, _data, message: heard.put(message)
        where = f"MQTT broker {self._host}:{self._port}"
        deadline = time.monotonic() + _ANSWER_S
        subscribed = False
        client.connect_async(self._host, self._port)
        client.loop_start()
        try:
            while not (subscribed and enough(found)):
                one = heard.get(timeout=max(0.0, deadline - time.monotonic()))
                if isinstance(one, str):
                    raise NoAnswerError(f"{where} {one}")
                if isinstance(one, MQTTMessage):
                    found[one.topic] = bytes(one.payload)
                else:
                    subscribed, deadline = True, time.monotonic() + _RETAINED_S
        except queue.Empty:
            if not subscribed:
                raise NoAnswerError(f"{where} does not answer") from None
        finally:
            client.on_disconnect = None
            client.disconnect()
            client.loop_stop()
        return found

    def _on_connect(
        self, client: Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            self._tell(f"refused the connection: {login.plain(code)}")
        else:
            client.subscribe([(self._topics.event("+"), 1), (self._topics.status, 1)])

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        self._tell(f"unreachable: {login.why(sys.exception())}")

    def _tell(self, trouble: str) -> None:
        if trouble not in self._told:  # once, not for each try
            self._told.add(trouble)
            _log.warning("MQTT broker %s:%d %s; retrying", self._host, self._port, trouble)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        levels = message.topic.split("/")
        if levels[-1] == "status":
            self._take((levels[-2], message.payload == b"online"))
            return
        try:
            self._take(EmotionEvent.from_json(bytes(message.payload)))
        except (ValueError, RecursionError):
            return  # another schema, or somebody else's

    def _take(self, one: EmotionEvent | tuple[str, bool]) -> None:
        try:
            self._received.put_nowait(one)
        except queue.Full:
            if not self._passed_over:  # once, for who does not read them does not read this
                self._passed_over = True
                _log.warning("nobody reads what arrives: some is passed over")
