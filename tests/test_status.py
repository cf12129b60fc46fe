import json
import signal
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from serd import __version__
from serd.settings import MqttSettings, Settings
from serd.status import ask, read
from serd.status_table import lasting, print_status
from serd.subscriber import NoAnswerError
from serd.topics import Topics

from .mosquitto import Mosquitto, eventually, free_port, mosquitto, retained, watcher
from .program import one_line
from .running import Talker, configuration, running

__all__ = ["mosquitto", "watcher"]  # fixtures

NOW = datetime(2026, 1, 1, 10, tzinfo=UTC)
PI = Topics("serd", "pi")


def said(age_s=30, **other):
    """What stands on the broker about a node that is well."""
    accounts = {"samples": 16_000 * 7_320, "utterances": 1_203, "dropped": 2, "samples_lost": 8_000}
    health = {
        "time": (NOW - timedelta(seconds=age_s)).isoformat(),
        "interval_s": 60,
        "uptime_s": 7_400,
        "memory_mb": 88.1,
        "latency_ms": {"median": 18.4, "p99": 27.0},
        "outbox": {"depth": 0, "dropped": 0},
        "sources": {"mic": accounts},
    }
    info = {"version": "1.2", "model": {"name": "cnn-1.1"}, "sources": ["mic"]}
    return {
        "serd/pi/status": b"online",
        "serd/pi/info": json.dumps(info).encode(),
        "serd/pi/health": json.dumps(health).encode(),
        "serd/pi/mic/status": b"online",
        "serd/pi/mic/listening": b"ON",
        "serd/pi/mic/state": b'{"emotion": "angry", "confidence": 0.81}',
    } | {topic.replace("_", "/"): payload for topic, payload in other.items()}


def test_a_node_that_is_well_is_told_in_a_few_lines(capsys):
    status = read(PI, said(), NOW)
    assert status.problems == []
    print_status(status)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "pi is online  serd 1.2, cnn-1.1, up 2 h 3 min, 88.1 MB, health of 30 s ago",
        "source  status  listening  state           heard  utterances  dropped   lost",
        "mic     online  on         angry 81 %  2 h 2 min       1,203        2  0.5 s",
        "outbox: 0 waiting, 0 dropped; latency: 18 ms, 99th percentile 27 ms",
    ]


def failing(why):
    health = json.loads(said()["serd/pi/health"])
    return {"serd/pi/health": json.dumps(health | {"outbox": {"failure": why}}).encode()}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"serd/pi/status": b"offline"}, "pi is offline"),
        ({"serd/pi/status": b"on fire"}, "pi is offline"),
        ({"serd/pi/mic/status": b"offline"}, "source mic is offline"),
        ({"serd/pi/health": said(181)["serd/pi/health"]}, "no word of its health for 181 s"),
        (failing("outbox /x: disk is full"), "outbox /x: disk is full"),
    ],
)
def test_what_is_not_well(change, problem, capsys):
    status = read(PI, said() | change, NOW)
    (found,) = status.problems
    assert found.startswith(problem)
    print_status(status)
    said_of_it = found if status.online else "pi is offline"
    assert said_of_it in capsys.readouterr().out


@pytest.mark.parametrize("age_s", [-500, 0, 179])
def test_health_is_fresh_for_three_intervals(age_s):
    assert read(PI, said(age_s), NOW).problems == []


def test_a_muted_source_is_well(capsys):
    status = read(PI, said() | {"serd/pi/mic/listening": b"OFF"}, NOW)
    assert status.problems == []
    print_status(status)
    assert " off " in capsys.readouterr().out


NONSENSE = [b"", b"\xff", b"null", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}', b"[1]", b'"x"']
VALUES = [None, True, "\x1b[2J\n", "x" * 9_999, [], {}, -1, 0.5, 10**400, "2026-01-01", [[{}]]]


@pytest.mark.parametrize("topic", list(said()))
@pytest.mark.parametrize("payload", NONSENSE)
def test_nonsense_counts_as_not_said(topic, payload, capsys):
    status = read(PI, said() | {topic: payload}, NOW)
    print_status(status)
    assert json.loads(json.dumps(status.as_dict(), allow_nan=False))
    assert capsys.readouterr().out.startswith("pi is ")


@pytest.mark.parametrize("value", VALUES)
def test_values_of_another_kind_do_no_harm(value, capsys):
    whole = said()
    for topic in ("serd/pi/info", "serd/pi/health", "serd/pi/mic/state"):
        content = json.loads(whole[topic])
        for key in content:
            changed = whole | {topic: json.dumps(content | {key: value}).encode()}
            print_status(read(PI, changed, NOW))
            shown = capsys.readouterr().out
            assert "".join(shown.splitlines()).isprintable()
    for key in json.loads(whole["serd/pi/health"])["sources"]["mic"]:
        health = json.loads(whole["serd/pi/health"])
        health["sources"]["mic"][key] = value
        print_status(read(PI, whole | {"serd/pi/health": json.dumps(health).encode()}, NOW))


@pytest.mark.parametrize(("seconds", "words"), [(86_400 * 400, "400 d 0 h"), (-5, "-5.0 s")])
def test_a_long_time_and_none(seconds, words):
    assert lasting(seconds) == words


def test_of_a_running_daemon(command, serd, mosquitto, watcher, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    path = configuration(tmp_path, mosquitto.url)
    ask = lambda *words: serd("status", "--config", path, *words)  # noqa: E731
    words = [*command, "run", "--config", str(path), "--source", f"cam={talker.spec}"]
    with running(tmp_path / "run", words) as one:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        eventually(lambda: '"online":true' in (watcher.last("serd/pi/health") or ""))
        done = ask()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"pi is online  serd {__version__}, cnn-")
        (row,) = [line for line in done.stdout.splitlines() if line.startswith("cam ")]
        assert row.split()[1:4] == ["online", "on", "idle"]
        done = ask("--format", "json")
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert (found["online"], found["problems"]) == (True, [])
        assert found["sources"]["cam"]["listening"]
        assert found["health"]["sources"]["cam"]["samples"] > 0
        assert 0 <= found["health_age_s"] < 60
        watcher.client.publish("serd/pi/cam/listening/set", b"OFF", qos=1)
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "OFF")
        assert not json.loads(ask("--format", "json").stdout)["sources"]["cam"]["listening"]
        # A name of the command line goes before the configuration's.
        done = serd("status", "pi", "--broker", mosquitto.url)
        assert done.returncode == 0
        done = serd("status", "shed", "--config", path)
        one_line(done, 1, "nothing of shed, or this login may not read it; there are: pi")
        assert one.end(signal.SIGTERM) == 0
    done = ask()
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("pi is offline")
    assert json.loads(ask("--format", "json").stdout)["problems"] == ["pi is offline"]


def test_health_is_told_at_once_and_once_more_at_the_end(command, mosquitto, watcher, tmp_path):
    path = tmp_path / "serd.toml"
    path.write_text(
        f'node = "pi"\n[mqtt]\nbroker = "{mosquitto.url}"\n[health]\ninterval_s = 9999\n'
    )
    source = "cam=exec:sh -c 'while head -c 3200 /dev/zero; do sleep 0.1; done'"
    words = [*command, "run", "--config", str(path), "--source", source]
    with running(tmp_path / "run", words) as one:
        eventually(lambda: watcher.payloads("serd/pi/health"))
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        mosquitto.kill()
        eventually(lambda: "connection lost" in one.err)
        mosquitto.start()
        eventually(lambda: retained(mosquitto.port).get("serd/pi/status") == "online")
        assert one.end(signal.SIGTERM) == 0
    last = json.loads(retained(mosquitto.port)["serd/pi/health"])
    cam = last["sources"]["cam"]
    assert not cam["online"]
    assert cam["samples"] == cam["samples_discarded"] > 0


def test_a_node_that_nobody_knows(serd, mosquitto):
    done = serd("status", "pi", "--broker", mosquitto.url)
    one_line(done, 1, "the broker knows nothing of pi, or this login may not read it")


def test_no_broker_is_one_line(serd):
    port = free_port()
    done = serd("status", "--broker", f"mqtt://127.0.0.1:{port}")
    one_line(done, 1, f"MQTT broker 127.0.0.1:{port} unreachable: connection refused")
    assert done.stdout == ""
    one_line(serd("status", "--broker", "none"), 2, "mqtt.broker: ")
    one_line(serd("status", "a/b"), 2, "node: ")


def test_a_broker_that_lets_nobody_in(serd, tmp_path):
    broker = Mosquitto(tmp_path, users={"anna": "secret"})
    try:
        one_line(
            serd("status", "--broker", broker.url), 1, "refused the connection: not authorised"
        )
    finally:
        broker.kill()


def test_a_broker_that_says_nothing(monkeypatch):
    monkeypatch.setattr("serd.subscriber._ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = MqttSettings(broker=f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(
            NoAnswerError, match=r"\AMQTT broker 127\.0\.0\.1:\d+ does not answer\Z"
        ):
            ask(Settings(mqtt=broker))


def test_a_broker_that_hangs_up(serd):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        one_line(serd("status", "--broker", url), 1, "hung up")
