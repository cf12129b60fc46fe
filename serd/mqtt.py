"""The publisher: everything that serd says and hears over MQTT 3.1.1."""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from serd.delivery import MAX_IN_FLIGHT, Delivery
from serd.events import EmotionEvent, compact
from serd.outbox import Outbox, OutboxError
from serd.settings import MqttSettings, SettingsError
from serd.tasks import Task, TaskThread
from serd.topics import Topics

_log = logging.getLogger(__name__)

PORTS = {"mqtt": 1883, "mqtts": 8883}
_SWITCH = {b"ON": True, b"OFF": False}
_SHOWN = 80  # of what a stranger sent, at most this much is kept and logged

_PLAIN = {  # what paho says, in plain words
    "Unspecified error": "hung up",
    "Bad user name or password": "wrong user name or password",
    "Not authorized": "not authorised (user name or password missing or wrong?)",
}


class Publisher:
    """Keeps one connection to a broker and says everything over it.

    No method waits for the broker, except `drained` and `stop`. One thread does all the
    publishing and calls back; paho and the methods here only give it tasks.
    """

    def __init__(
        self,
        settings: MqttSettings,
        node: str,
        outbox: Outbox,
        info: Mapping[str, Any],
        sources: Sequence[str],
        on_listening: Callable[[str, bool], None],
        discovery: Mapping[str, Mapping[str, Any]] | None = None,
        on_connection: Callable[[bool, str], None] | None = None,
    ) -> None:
        """Prepare everything; `start` connects.

        Args:
            settings: where the broker is: an `mqtt://` or `mqtts://` URL.
            node: this machine's name in topics.
            outbox: where events wait; it stays open when the publisher stops.
            info: what to say about the daemon.
            sources: their names; each is offline, and listening, until told otherwise.
            on_listening: told which source to switch on (True) or off (False).
            discovery: Home Assistant's topics and payloads.
            on_connection: told whether the connection is there, and why not.

        Raises:
            SettingsError: the password cannot be read, or the broker is no URL.
        """
        self._topics = Topics(settings.topic_prefix, node)
        self._outbox = outbox
        self._sources = {self._topics.listening_set(name): name for name in sources}
        self._on_listening = on_listening
        self._on_connection = on_connection or (lambda _connected, _cause: None)
        self._keepalive_s = settings.keepalive_s
        self._connected = False
        self._cause = ""  # of the present failure, as it was told
        self._outbox_cause = ""
        self.lost = 0
        """Events that neither the outbox nor the broker took."""

        self._thread = TaskThread("mqtt-publisher")
        url = urlsplit(settings.broker)
        if not url.hostname:
            raise SettingsError(f"mqtt.broker: {settings.broker!r} is not a URL")
        self._host, self._port = url.hostname, url.port or PORTS[url.scheme]
        self._broker = f"MQTT broker {self._host}:{self._port}"
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"serd-{node}",
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.max_inflight_messages_set(MAX_IN_FLIGHT)
        self._client.reconnect_delay_set(min_delay=1, max_delay=30)
        self._client.will_set(self._topics.status, "offline", qos=1, retain=True)
        if settings.username is not None:
            self._client.username_pw_set(settings.username, password(settings))
        if url.scheme == "mqtts":
            self._client.tls_set()  # with the system's certificate authorities
        self._client.on_connect = self._paho_connect
        self._client.on_connect_fail = self._paho_connect_fail
        self._client.on_disconnect = self._paho_disconnect
        self._client.on_publish = self._paho_publish
        self._client.on_message = self._paho_message

        self._delivery = Delivery(outbox, self._publish)
        self._delivery.retain(self._topics.status, "online")
        self._delivery.retain(self._topics.info, compact(info))
        for name in sources:
            self._delivery.retain(self._topics.source_status(name), "offline")
            self._delivery.retain(self._topics.listening(name), "ON")
        for topic, payload in (discovery or {}).items():
            self._delivery.retain(topic, compact(payload))

    @property
    def connected(self) -> bool:
        """The broker has let us in and has not been lost since, as far as is known."""
        return self._connected

    def start(self) -> None:
        """Begin to connect, and to reconnect whenever it is needed; returns at once."""
        self._thread.start()
        self._client.connect_async(self._host, self._port, keepalive=self._keepalive_s)
        self._client.loop_start()

    def publish_event(self, event: EmotionEvent) -> None:
        """Keep an event, and publish it as soon as the broker lets."""
        topic, payload = self._topics.event(event.source), event.to_json()
        if self._connected:
            self._delivery.at_first_try(event.id)
        try:
            self._outbox.put(event.id, topic, payload)
        except OutboxError as error:
            self._delivery.put_off(event.id)
            self._tell_outbox(error)
            self._do(partial(self._publish_unkept, topic, payload))
        else:
            self._outbox_cause = ""
            self._do(partial(self._publish_kept, event.id))

    def set_source_status(self, name: str, online: bool) -> None:
        """Say that a source delivers sound, or that it does not."""
        topic = self._topics.source_status(name)
        self._do(partial(self._delivery.retain, topic, "online" if online else "offline"))

    def set_state(self, name: str, payload: str) -> None:
        """Say a source's smoothed state, as JSON."""
        self._do(partial(self._delivery.retain, self._topics.state(name), payload))

    def publish_health(self, payload: str) -> None:
        """Say how the daemon is; QoS 0, and lost when there is no connection."""
        if self._connected:
            self._client.publish(self._topics.health, payload, qos=0, retain=True)

    def drained(self, timeout: float) -> bool:
        """Wait until all is said and acknowledged, at most `timeout` s; tell whether it is."""
        return self._thread.wait(lambda: self._delivery.settled and len(self._outbox) == 0, timeout)

    def stop(self, timeout: float) -> None:
        """Say that the node and its sources are offline, and leave.

        Args:
            timeout: s; then the connection is cut, so that the broker says the last will.
        """
        if not self._thread.alive:
            return
        deadline = time.monotonic() + timeout
        self._do(self._say_farewell)
        taken = self._thread.wait(lambda: self._delivery.settled, timeout)
        self._thread.finish(max(0.5, deadline - time.monotonic()))
        self._connected = False
        if taken:
            self._client.disconnect()
        else:
            self._cut()
        # A name server that does not answer must not hold up the exit.
        leaving = threading.Thread(target=self._client.loop_stop, daemon=True)
        leaving.start()
        leaving.join(max(2.0, deadline - time.monotonic()))

    # What the publisher's thread does, one after the other.

    def _do(self, task: Task) -> None:
        self._thread.give(partial(self._do_and_pump, task))

    def _do_and_pump(self, task: Task) -> None:
        try:
            task()
            self._delivery.pump()
        except OutboxError as error:
            self._tell_outbox(error)

    def _publish(self, topic: str, payload: str, retain: bool) -> int | None:
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        return sent.mid if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def _publish_kept(self, event_id: str) -> None:
        self._delivery.pump()
        self._delivery.put_off(event_id)

    def _publish_unkept(self, topic: str, payload: str) -> None:
        if not self._delivery.offer_unkept(topic, payload):
            self.lost += 1
            _log.error("an event is lost: neither the outbox nor the broker takes it")

    def _say_farewell(self) -> None:
        self._delivery.close()
        for name in self._sources.values():
            self._delivery.retain(self._topics.source_status(name), "offline")
        self._delivery.retain(self._topics.status, "offline")

    def _enter(self) -> None:
        self._connected = True
        self._cause = ""
        _log.info("%s: connected", self._broker)
        self._client.subscribe(self._topics.commands, qos=1)
        self._delivery.connect()
        self._on_connection(True, "")

    def _leave(self, reason: str) -> None:
        was_connected, self._connected = self._connected, False
        self._delivery.disconnect()
        if was_connected:
            self._fail(f"connection lost: {reason}")
        elif not self._cause:
            self._fail("hung up without an answer")

    def _fail(self, cause: str) -> None:
        if cause != self._cause:  # once for each cause, not for each try
            self._cause = cause
            _log.warning("%s %s; retrying", self._broker, cause)
            self._on_connection(False, cause)

    def _obey(self, topic: str, payload: bytes, replayed: bool) -> None:
        name, on = self._sources.get(topic), _SWITCH.get(payload)
        # A retained command would come back with each connection and undo newer ones.
        if name is None or on is None or replayed:
            _log.warning("MQTT: ignored the command %.80r on %.80r", payload, topic)
            return
        self._on_listening(name, on)
        self._delivery.retain(self._topics.listening(name), payload.decode())

    def _tell_outbox(self, error: OutboxError) -> None:
        if str(error) != self._outbox_cause:
            self._outbox_cause = str(error)
            _log.error("%s; what it does not take is published without it", error)

    # What paho calls, in its own thread, often holding a lock: only give tasks here.

    def _paho_connect(
        self, client: Client, _: Any, __: ConnectFlags, reason: ReasonCode, *___: Any
    ) -> None:
        if reason.is_failure:
            self._do(partial(self._fail, f"refused the connection: {_plain(reason)}"))
        else:
            client.drop_out_messages()  # they come again, from the outbox
            self._do(self._enter)

    def _paho_connect_fail(self, *_: Any) -> None:
        why = _reason(sys.exception())  # paho calls this while it handles the error
        self._do(partial(self._fail, f"unreachable: {why}"))

    def _paho_disconnect(
        self, _: Client, __: Any, ___: DisconnectFlags, reason: ReasonCode, *____: Any
    ) -> None:
        self._do(partial(self._leave, _plain(reason)))

    def _paho_publish(self, _: Client, __: Any, number: int, *___: Any) -> None:
        self._do(partial(self._delivery.acknowledge, number))

    def _paho_message(self, _: Client, __: Any, message: MQTTMessage) -> None:
        said = bytes(message.payload[:_SHOWN])
        self._do(partial(self._obey, message.topic, said, message.retain))

    def _cut(self) -> None:
        self._client.drop_out_messages()
        if (connection := self._client.socket()) is not None:
            with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)


def password(settings: MqttSettings) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        where = f"mqtt.password_file: {settings.password_file}"
        raise SettingsError(f"{where}: {_reason(error)}") from error


def _plain(reason: ReasonCode) -> str:
    return _PLAIN.get(str(reason), str(reason).lower())


def _reason(error: BaseException | None) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
