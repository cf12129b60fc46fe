"""The publisher's connection to a broker: it comes back whenever it is lost, never in a hurry."""

import logging
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import LogLevel, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from serd import login
from serd.pulse import Pulse
from serd.settings import MqttSettings

_PAUSE_S = (1.0, 30.0)
"""The first and the longest before another try; then up to half of it is left out, by chance."""
_STEADY_S = 2.0
"""What is lost sooner counts as a try that failed: or two clients of one name would throw each
other out for ever without a pause."""
_NEWS_S = 60.0
"""What was told is told again only after a connection that held for so long."""
_LONGEST = 65_536
"""Bytes of a message that anybody may send us; only MQTT 5 can tell a broker so."""

_UNSPECIFIED = 0x80  # all that MQTT 3.1.1 knows of a refused subscription
_FOR_GOOD = {0x90, 0x95, 0x99}  # topic name invalid, packet too large, payload format invalid

_log = logging.getLogger(__name__)


class Refusal:
    """What a broker of MQTT 5 says instead of taking a message."""

    def __init__(self, code: ReasonCode) -> None:
        self.cause = str(code).lower().replace("authorized", "authorised")
        self.for_good = code.value in _FOR_GOOD
        """It is the message that it does not want; otherwise nobody's, or not now."""


class Connection:
    """One client of one name. It calls back in a thread of paho's, which must not be kept waiting.

    What goes wrong is logged once, and again only after a connection that held for a while; a
    refused subscription, once it was granted.
    """

    def __init__(
        self,
        settings: MqttSettings,
        name: str,
        will: tuple[str, str],
        subscriptions: Sequence[str],
        on_up: Callable[[int], None],
        on_down: Callable[[], None],
        on_message: Callable[[str, bytes | bytearray, bool], None],
        on_answer: Callable[[int, Refusal | None], None],
        max_in_flight: int,
    ) -> None:
        """Prepare; `start` connects.

        Args:
            settings: where the broker is, and how to log in.
            name: the client's; no other may come with it.
            will: the topic, and what the broker is to leave there should we vanish.
            subscriptions: filters, asked for with each connection.
            on_up: told how many messages the broker may owe an answer for.
            on_down: told that nothing of what was not answered will be.
            on_message: told topic, payload, and whether it was retained.
            on_answer: told the number that `publish` gave, and why it was refused, if it was.
            max_in_flight: no more messages are taken until one of them is answered.

        Raises:
            SettingsError: the broker is no URL, or what login needs cannot be read.
        """
        self._host, self._port = login.address(settings)
        self._broker = f"MQTT broker {self._host}:{self._port}"
        self._name = name
        self._keepalive_s = settings.keepalive_s
        self._subscriptions = [(topic, 1) for topic in subscriptions]
        self._on_up = on_up
        self._on_down = on_down
        self._on_message = on_message
        self._on_answer = on_answer
        self._max_in_flight = max_in_flight
        self._pause_s = _PAUSE_S[0]
        self._up_since: float | None = None
        self._soon_lost = 0  # so many connections, one after the other
        self._refused = self._leaving = False
        self._told: set[str] = set()
        self._unheard: set[str] = set()  # topics; that they are refused was told
        self._worried = False  # whoever reads the log, since the last connection
        self._last_error = ""  # that paho only logs
        self._client = login.client(settings, name)
        self.pulse = Pulse()
        """It beats while paho's loop turns, each second with a silent broker too, and rests while
        there is no broker: to look for one may take long."""
        self._look_after = self._client.loop_misc
        self._client.loop_misc = self._turned  # type: ignore[method-assign] # it has no callback
        # paho's own count of what is in flight goes wrong when it loses the connection while
        # somebody publishes; that it holds no more than these is kept here and by our caller.
        self._client.max_inflight_messages_set(0)
        self._client.max_queued_messages_set(max_in_flight)
        self._client.will_set(*will, qos=1, retain=True)
        self._client.on_pre_connect = lambda *_: self.pulse.rest()
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._unreachable
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._published
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._heard
        self._client.on_log = self._paho_logged

    def start(self) -> None:
        """Begin to connect; returns at once."""
        properties = None
        if self._client.protocol == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = _LONGEST
        self._client.connect_async(
            self._host, self._port, self._keepalive_s, clean_start=True, properties=properties
        )
        self._client.loop_start()

    def publish(self, topic: str, payload: str, qos: int, retain: bool) -> int | None:
        """Hand a message over; a number that `on_answer` is told, None when it cannot be done."""
        sent = self._client.publish(topic, payload, qos, retain)
        return sent.mid if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def close(self, politely: bool, timeout: float) -> None:
        """Leave for good.

        Args:
            politely: say goodbye; otherwise the broker says the will.
            timeout: s.
        """
        self._leaving = True
        if politely:
            self._client.disconnect()
        else:
            self._cut()
        # A name server that does not answer must not hold up the exit.
        leaving = threading.Thread(target=self._client.loop_stop, daemon=True)
        leaving.start()
        leaving.join(timeout)

    def _cut(self) -> None:
        self._client.drop_out_messages()
        if (connection := self._client.socket()) is not None:
            with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)

    # What paho calls, often holding a lock.

    def _turned(self) -> MQTTErrorCode:
        self.pulse.beat()
        return self._look_after()

    def _connected(
        self,
        client: Client,
        _: Any,
        __: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._refused = True
            self._tell(f"refused the connection: {login.plain(code)}")
            return
        client.drop_out_messages()  # they come again, from the outbox
        self._up_since = time.monotonic()
        _log.log(logging.WARNING if self._worried else logging.INFO, "%s: connected", self._broker)
        self._worried = False
        client.subscribe(self._subscriptions)
        allowed = getattr(properties, "ReceiveMaximum", self._max_in_flight)
        self._on_up(min(allowed, self._max_in_flight))

    def _unreachable(self, *_: Any) -> None:
        self.pulse.rest()
        # paho calls this while it handles the error
        self._tell(f"unreachable: {login.why(sys.exception())}")
        self._pause()

    def _disconnected(
        self, _: Client, __: Any, ___: DisconnectFlags, code: ReasonCode, *____: Any
    ) -> None:
        self.pulse.rest()
        if self._leaving:
            return
        since, self._up_since = self._up_since, None
        refused, self._refused = self._refused, False
        reason = login.tls_reason(self._last_error) or login.plain(code)
        self._last_error = ""
        if since is not None:
            held_s = time.monotonic() - since
            if held_s >= _STEADY_S:
                self._soon_lost, self._pause_s = 0, _PAUSE_S[0]
            else:
                self._soon_lost += 1
            if held_s >= _NEWS_S:
                self._told.clear()
            self._on_down()
            self._tell(f"connection lost: {reason}")
            if self._soon_lost == 3:
                self._tell(f"lost soon, again and again: has another client the name {self._name}?")
        elif not refused:
            self._tell(f"let nobody in: {reason}")
        self._pause()

    def _pause(self) -> None:
        pause_s = self._pause_s * random.uniform(0.5, 1)  # noqa: S311 # not all boxes at once
        # paho's own pauses begin anew with each connection, however short, and know no chance.
        self._client.reconnect_delay_set(pause_s, pause_s)  # type: ignore[arg-type]
        self._pause_s = min(2 * self._pause_s, _PAUSE_S[1])

    def _published(self, _: Client, __: Any, number: int, code: ReasonCode, *___: Any) -> None:
        self._on_answer(number, Refusal(code) if code.is_failure else None)

    def _subscribed(
        self, _: Client, __: Any, ___: int, codes: list[ReasonCode], *_____: Any
    ) -> None:
        for (topic, _qos), code in zip(self._subscriptions, codes, strict=False):
            if not code.is_failure:
                self._unheard.discard(topic)
            elif topic not in self._unheard:
                self._unheard.add(topic)
                cause = "refused" if code.value == _UNSPECIFIED else Refusal(code).cause
                _log.warning("%s does not let us hear %s: %s", self._broker, topic, cause)

    def _heard(self, _: Client, __: Any, message: MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):  # a topic that no broker should have let pass
            self._on_message(message.topic, message.payload, message.retain)

    def _paho_logged(self, _: Client, __: Any, level: int, line: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._last_error = line

    def _tell(self, trouble: str) -> None:
        if trouble not in self._told:
            self._told.add(trouble)
            self._worried = True
            _log.warning("%s %s; retrying", self._broker, trouble)
