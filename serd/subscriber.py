"""Hears what serd publishes, from any machine: `serd watch`."""

import logging
import queue
from collections.abc import Iterator
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from serd.events import EmotionEvent
from serd.mqtt import PORTS, password
from serd.settings import MqttSettings, SettingsError
from serd.topics import Topics

_log = logging.getLogger(__name__)


class Subscriber:
    """Receives the events and states of nodes from a broker, coming back when it is lost."""

    def __init__(self, settings: MqttSettings) -> None:
        """Prepare; nothing is sent before `messages`.

        Raises:
            SettingsError: there is no broker, or the password cannot be read.
        """
        broker = settings.broker
        if broker == "none":
            raise SettingsError("mqtt.broker: there is nothing to hear from none")
        if broker == "embedded":
            broker = f"mqtt://127.0.0.1:{settings.embedded_port}"
        url = urlsplit(broker)
        self._host, self._port = url.hostname or "localhost", url.port or PORTS[url.scheme]
        self._topics = Topics(settings.topic_prefix, "+")
        self._received: queue.SimpleQueue[EmotionEvent | tuple[str, bool]] = queue.SimpleQueue()
        self._client = Client(CallbackAPIVersion.VERSION2)
        if settings.username is not None:
            self._client.username_pw_set(settings.username, password(settings))
        if url.scheme == "mqtts":
            self._client.tls_set()
        self._client.reconnect_delay_set(1, 1)  # a person is waiting
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(self._topics.event("+"), 1), (self._topics.status, 1)]
        )
        self._client.on_message = self._on_message
        self._client.on_connect_fail = self._on_connect_fail
        self._unreachable = False

    def messages(self) -> Iterator[EmotionEvent | tuple[str, bool]]:
        """Events, and (node, online) when a node comes or goes; for ever."""
        self._client.connect_async(self._host, self._port)
        self._client.loop_start()
        try:
            while True:
                yield self._received.get()
        finally:
            self._client.loop_stop()

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        if not self._unreachable:  # once, not for each try
            self._unreachable = True
            _log.warning("MQTT broker %s:%d unreachable; retrying", self._host, self._port)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        levels = message.topic.split("/")
        if levels[-1] == "status":
            self._received.put((levels[-2], message.payload == b"online"))
            return
        try:
            self._received.put(EmotionEvent.from_json(bytes(message.payload)))
        except (ValueError, RecursionError):
            return  # another schema, or somebody else's
