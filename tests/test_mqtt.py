import json
import logging
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from serd.broker import BrokerError, EmbeddedBroker
from serd.events import EmotionEvent
from serd.outbox import Outbox

from .mosquitto import Mosquitto, Watcher, eventually, free_port, mosquitto, retained, watcher
from .publishing import EVENTS, event, publisher, read, read_ids

__all__ = ["mosquitto", "publisher", "watcher"]  # fixtures


def test_an_event_arrives_as_it_was_given(mosquitto, watcher, publisher):
    outbox = Outbox(None, 1000, 1e9)
    one = publisher(mosquitto.url, outbox)
    eventually(lambda: one.connected)
    given = event()
    one.publish_event(given)
    assert one.drained(30)
    eventually(lambda: watcher.last(EVENTS))
    assert read(watcher.payloads(EVENTS)) == [given]
    assert not any(message.retain for message in watcher.seen if message.topic == EVENTS)
    assert len(outbox) == 0


def test_what_a_newcomer_is_told(mosquitto, publisher):
    topic, payload = "homeassistant/device/serd_pi_mic/config", {"o": {"name": "serd"}}
    one = publisher(mosquitto.url, discovery={topic: payload})
    one.set_source_status("mic", True)
    one.set_state("mic", '{"emotion":"idle"}')
    eventually(lambda: one.connected)
    one.publish_health('{"depth":0}')
    assert one.drained(30)
    eventually(lambda: "serd/pi/health" in retained(mosquitto.port))
    assert retained(mosquitto.port) == {
        "serd/pi/status": "online",
        "serd/pi/info": '{"version":"1"}',
        "serd/pi/mic/status": "online",
        "serd/pi/mic/listening": "ON",
        "serd/pi/mic/state": '{"emotion":"idle"}',
        "serd/pi/health": '{"depth":0}',
        topic: json.dumps(payload, separators=(",", ":")),
    }


def test_a_killed_broker_loses_nothing(tmp_path, publisher):
    broker = Mosquitto(tmp_path, persistent=True)
    watcher = Watcher(broker.port, remembered_as="watcher")
    try:
        one = publisher(broker.url)
        eventually(lambda: one.connected)
        one.publish_event(event(0))
        assert one.drained(30)
        eventually(lambda: watcher.last(EVENTS))
        broker.kill()
        for number in range(1, 51):  # the first may be on its way before the loss is noticed
            one.publish_event(event(number))
        assert not one.drained(0.1)
        broker.start()
        assert one.drained(60)
        eventually(lambda: len(set(read_ids(watcher))) >= 51)
        # A killed broker, too, may deliver again what it had delivered.
        unique: dict[str, EmotionEvent] = {}
        for said in read(watcher.payloads(EVENTS)):
            unique.setdefault(said.id, said)
        first, *late = unique.values()
        assert not first.queued
        assert [said.duration_ms for said in late] == list(range(1, 51))
        assert all(said.queued for said in late)
    finally:
        watcher.close()
        broker.kill()


def test_a_forgetful_broker_is_told_everything_again(mosquitto, publisher, caplog):
    caplog.set_level(logging.INFO)
    one = publisher(mosquitto.url)
    one.set_source_status("mic", True)
    one.set_state("mic", '{"emotion":"sad"}')
    eventually(lambda: one.connected)
    assert one.drained(30)
    told = retained(mosquitto.port)
    assert told["serd/pi/mic/state"] == '{"emotion":"sad"}'
    mosquitto.kill()
    eventually(lambda: not one.connected)
    mosquitto.start()
    eventually(lambda: one.connected)
    assert one.drained(30)
    assert retained(mosquitto.port) == told
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == len(set(warnings))  # each cause is told once
    lost, *_, back = warnings
    assert "connection lost" in lost  # the first connection was no news
    assert back == f"MQTT broker 127.0.0.1:{mosquitto.port}: connected"


def test_events_of_a_killed_process_go_out_later(mosquitto, watcher, publisher, tmp_path):
    path = tmp_path / "outbox.db"
    program = f"""
import os, signal
from tests.publishing import event
from serd.outbox import Outbox
outbox = Outbox({str(path)!r}, 1000, 1e9)
for number in range(30):
    one = event(number)
    outbox.put(one.id, {EVENTS!r}, one.to_json())
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", program], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    one = publisher(mosquitto.url, Outbox(path, 1000, 1e9))
    assert one.drained(30)
    eventually(lambda: len(watcher.payloads(EVENTS)) >= 30)
    arrived = read(watcher.payloads(EVENTS))
    assert [said.duration_ms for said in arrived] == list(range(30))
    assert all(said.queued for said in arrived)


def test_the_last_will_of_a_killed_process(mosquitto, watcher):
    program = f"""
import time
from serd.mqtt import Publisher
from serd.outbox import Outbox
from serd.settings import MqttSettings
one = Publisher(MqttSettings(broker={mosquitto.url!r}), "pi", Outbox(None, 10, 1e9), {{}},
    {{"mic": True}}, on_listening=lambda name, on: None)
one.start()
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[1])
    try:
        eventually(lambda: watcher.last("serd/pi/status") == "online")
    finally:
        process.kill()
        process.wait()
    eventually(lambda: watcher.last("serd/pi/status") == "offline", "the last will")


def test_a_clean_stop_says_offline(mosquitto, watcher, publisher):
    one = publisher(mosquitto.url)
    one.set_source_status("mic", True)
    eventually(lambda: watcher.last("serd/pi/mic/status") == "online")
    one.stop(10)
    assert not one.connected
    told = retained(mosquitto.port)
    assert told["serd/pi/status"] == told["serd/pi/mic/status"] == "offline"
    # Said once: by us, and not again as a last will.
    time.sleep(0.2)
    assert watcher.payloads("serd/pi/status") == ["online", "offline"]


def test_listening_commands(mosquitto, watcher, publisher, caplog):
    obeyed: list[tuple[str, bool]] = []
    publisher(mosquitto.url, on_listening=lambda name, on: obeyed.append((name, on)))
    eventually(lambda: watcher.last("serd/pi/mic/listening") == "ON")
    say = watcher.client.publish
    garbage = [b"", b"on", b"ON ", b"1", b"\xff\xfe", b"ON\n", b'{"a":1}', b"O" * 3_000_000]
    for payload in garbage:
        say("serd/pi/mic/listening/set", payload, qos=1)
    say("serd/pi/nobody/listening/set", b"OFF", qos=1)
    say("serd/pi/mic/listening/set", b"OFF", qos=1)
    eventually(lambda: watcher.last("serd/pi/mic/listening") == "OFF")
    assert obeyed == [("mic", False)]
    say("serd/pi/mic/listening/set", b"ON", qos=1)
    eventually(lambda: watcher.last("serd/pi/mic/listening") == "ON")
    assert obeyed == [("mic", False), ("mic", True)]
    ignored = [record for record in caplog.records if "ignored" in record.message]
    assert len(ignored) == len(garbage) + 1
    assert [record.message.rpartition(": ")[2] for record in ignored] == [
        *["neither ON nor OFF"] * len(garbage),
        "there is no such source",
    ]
    assert max(len(record.message) for record in ignored) < 250


def test_a_retained_command_is_not_obeyed(mosquitto, watcher, publisher, caplog):
    watcher.client.publish("serd/pi/mic/listening/set", b"OFF", qos=1, retain=True)
    eventually(lambda: watcher.last("serd/pi/mic/listening/set"))
    obeyed: list[bool] = []
    publisher(mosquitto.url, on_listening=lambda _name, on: obeyed.append(on))
    eventually(lambda: any("ignored" in one and "retained" in one for one in caplog.messages))
    eventually(lambda: watcher.last("serd/pi/mic/listening") == "ON")
    assert obeyed == []


def test_a_failing_switch_harms_nothing_else(mosquitto, watcher, publisher):
    def fail(_name: str, _on: bool) -> None:
        raise RuntimeError("no such microphone")

    one = publisher(mosquitto.url, on_listening=fail)
    eventually(lambda: one.connected)
    watcher.client.publish("serd/pi/mic/listening/set", b"OFF", qos=1)
    eventually(lambda: watcher.last("serd/pi/mic/listening/set"))
    one.publish_event(event())
    assert one.drained(30)
    eventually(lambda: watcher.last("serd/pi/mic/listening") == "ON")


def test_an_absent_broker_is_told_once(publisher, caplog):
    outbox = Outbox(None, 1000, 1e9)
    port = free_port()
    one = publisher(f"mqtt://127.0.0.1:{port}", outbox)
    for number in range(5):
        one.publish_event(event(number))
    time.sleep(3.5)  # two more tries
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"MQTT broker 127.0.0.1:{port} unreachable: connection refused; retrying"]
    assert len(outbox) == 5


class DeafBroker:
    """Lets everybody in, one after the other, and never acknowledges anything."""

    def __init__(self, subscribed: int = 1) -> None:
        self.unacknowledged = 0
        self._subscribed = subscribed
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                self._answer(self._server.accept()[0])

    def _answer(self, connection: socket.socket) -> None:
        with suppress(ConnectionError), connection, connection.makefile("rb") as stream:
            while head := stream.read(1):
                length = shift = 0
                more = 0x80
                while more & 0x80:
                    (more,) = stream.read(1)
                    length |= (more & 0x7F) << shift
                    shift += 7
                body = stream.read(length)
                kind, qos = head[0] >> 4, head[0] >> 1 & 3
                if kind == 1:
                    connection.sendall(b"\x20\x02\x00\x00")
                elif kind == 8:
                    connection.sendall(struct.pack("!BB2sB", 0x90, 3, body[:2], self._subscribed))
                elif kind == 3 and qos:
                    self.unacknowledged += 1

    def close(self) -> None:
        self._server.close()


def test_a_broker_that_never_acknowledges(publisher):
    broker = DeafBroker()
    outbox = Outbox(None, 1000, 1e9)
    one = publisher(broker.url, outbox)
    eventually(lambda: one.connected)
    # Were anything here to wait for the broker, it would wait for ever.
    for number in range(200):
        one.publish_event(event(number))
        one.set_state("mic", f'{{"number":{number}}}')
    assert not one.drained(1)
    assert len(outbox) == 200
    assert 0 < broker.unacknowledged <= 20
    assert len(one._connection._client._out_messages) <= 20
    one.stop(0.5)
    broker.close()


def test_a_broker_that_lets_nobody_hear_commands(publisher, caplog, monkeypatch):
    monkeypatch.setattr("serd.connection._NEWS_S", 0)  # each connection is a new one
    broker = DeafBroker(subscribed=0x80)
    one = publisher(broker.url)
    refused = lambda: [line for line in caplog.messages if "hear" in line]  # noqa: E731
    eventually(refused)
    answers = []
    client = one._connection._client
    hear = client.on_subscribe
    client.on_subscribe = lambda *answer: answers.append(hear(*answer))
    one._connection._cut()
    eventually(lambda: answers)
    where = broker.url.removeprefix("mqtt://")
    refusal = f"MQTT broker {where} does not let us hear serd/pi/+/listening/set: refused"
    assert refused() == [refusal]  # once, not with each connection
    one.stop(0.5)
    broker.close()


def test_without_an_outbox_events_go_out_live(mosquitto, watcher, publisher, caplog):
    outbox = Outbox(None, 1000, 1e9)
    one = publisher(mosquitto.url, outbox)
    eventually(lambda: one.connected)
    outbox._connection.execute("PRAGMA query_only=1")
    for number in range(3):
        one.publish_event(event(number))
    assert one.drained(30)
    eventually(lambda: len(watcher.payloads(EVENTS)) == 3)
    assert not any(said.queued for said in read(watcher.payloads(EVENTS)))
    assert one.lost == 0
    assert sum("readonly" in record.message for record in caplog.records) == 1


def test_an_outbox_whose_disk_is_back_is_used_again(
    mosquitto, watcher, publisher, tmp_path, caplog
):
    disk = tmp_path / "disk"
    disk.touch()
    outbox = Outbox(disk / "outbox.db", 1000, 1e9, not_on_disk="the disk is away")
    one = publisher(mosquitto.url, outbox)
    eventually(lambda: one.connected)
    for number in range(3):
        one.publish_event(event(number))
    assert one.drained(30)
    assert one.outbox_failure == "the disk is away"
    for _ in range(3):
        one.mend_outbox()
        assert one.drained(30)
    assert "file exists" in one.outbox_failure
    disk.unlink()
    one.mend_outbox()
    eventually(lambda: one.outbox_failure is None)
    for number in range(3, 6):
        one.publish_event(event(number))
    assert one.drained(30)
    eventually(lambda: len(watcher.payloads(EVENTS)) == 6)
    assert (disk / "outbox.db").exists()
    assert sum("file exists" in said for said in caplog.messages) == 1
    assert caplog.messages.count("the outbox takes events again") == 1


def test_a_source_that_is_no_more_is_cleared(mosquitto, watcher, publisher):
    others = {
        "serd/pi2/cam/listening": "ON",
        "serd/pi/cam/listening/set": "OFF",
        "serd/pi/notes/listening": "a note of somebody",
        "homeassistant/device/serd_pi_mic/config": "{}",
    }
    theirs = {f"serd/pi/cam/{what}": "ON" for what in ("status", "state", "listening")}
    theirs["homeassistant/device/serd_pi_cam/config"] = "{}"
    for topic, payload in (others | theirs).items():
        watcher.client.publish(topic, payload, qos=1, retain=True)
    eventually(lambda: len(retained(mosquitto.port)) >= 8)
    publisher(mosquitto.url).drained(30)  # this one is not to clear
    assert retained(mosquitto.port).items() >= theirs.items()
    publisher(mosquitto.url, forget=lambda name: [f"homeassistant/device/serd_pi_{name}/config"])
    eventually(lambda: not retained(mosquitto.port).keys() & theirs.keys(), "their clearing")
    told = retained(mosquitto.port)
    assert told.items() >= others.items()
    assert told["serd/pi/mic/listening"] == "ON"


def test_the_connection_s_pulse_goes_on_with_a_silent_broker_and_rests_without_one(publisher):
    broker = DeafBroker()
    pulse = (one := publisher(broker.url)).pulses["the MQTT connection"]
    eventually(lambda: one.connected)
    first = pulse._since
    assert first is not None
    eventually(lambda: pulse._since > first, "its beat")  # nothing comes, and it turns all the same
    one.stop(0.5)
    broker.close()
    absent = publisher(f"mqtt://127.0.0.1:{free_port()}").pulses["the MQTT connection"]
    eventually(lambda: absent.silent_s == 0)


def test_a_hung_connection_is_seen(publisher):
    broker = DeafBroker()
    one = publisher(broker.url)
    pulse, go = one.pulses["the MQTT connection"], threading.Event()
    eventually(lambda: one.connected)
    one._connection._look_after = lambda: go.wait(30)
    eventually(lambda: pulse.silent_s > 2)  # it turns each second otherwise
    go.set()
    one.stop(0.5)
    broker.close()


def test_what_neither_outbox_nor_broker_takes_is_told(publisher, caplog):
    outbox = Outbox(None, 1000, 1e9)
    one = publisher(f"mqtt://127.0.0.1:{free_port()}", outbox)
    outbox._connection.execute("PRAGMA query_only=1")
    for number in range(23):
        one.publish_event(event(number))
    eventually(lambda: one.lost == 3)
    assert "readonly" in one.outbox_failure
    assert not one.drained(0.1)
    one.stop(0.1)
    assert "events are lost, for the outbox did not take them: 20" in caplog.messages
    assert one.lost == 23


def test_the_embedded_broker(publisher, capfd):
    pytest.importorskip("amqtt", reason="the embedded broker is not installed")
    with EmbeddedBroker(0) as broker:
        watcher = Watcher(broker.port)
        one = publisher(f"mqtt://127.0.0.1:{broker.port}")
        eventually(lambda: one.connected)
        for number in range(100):
            one.publish_event(event(number))
        assert one.drained(30)
        eventually(lambda: len(watcher.payloads(EVENTS)) >= 100)
        arrived = [said.duration_ms for said in read(watcher.payloads(EVENTS))]
        assert arrived == list(range(100))
        assert retained(broker.port)["serd/pi/status"] == "online"
        with pytest.raises(BrokerError, match="in use"):
            EmbeddedBroker(broker.port)
        one._connection._cut()  # as if the process had died
        eventually(lambda: "offline" in watcher.payloads("serd/pi/status"), "the last will")
        one.stop(5)
        assert retained(broker.port)["serd/pi/status"] == "offline"
        watcher.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", broker.port)) != 0
    assert capfd.readouterr() == ("", "")
