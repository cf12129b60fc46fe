import json
import re
import signal
from datetime import UTC, datetime, timedelta

import pytest

from serd.events import EmotionEvent
from serd.settings import MqttSettings
from serd.subscriber import Subscriber
from serd.terminal import EventTable, bar, event_line

from .mosquitto import Watcher, eventually, free_port, mosquitto, retained, watcher
from .running import Talker, configuration, durations_ms, running

__all__ = ["mosquitto", "watcher"]  # fixtures

START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def event(**other):
    return EmotionEvent(
        **{
            "node": "pi",
            "source": "mic",
            "event_type": "angry",
            "confidence": 0.5,
            "scores": {"angry": 0.5, "surprised": 0.3, "disgust": 0.2},
            "start": START,
            "end": START + timedelta(seconds=1.5),
            "duration_ms": 1_500,
            "dbfs": -23.4,
            "snr_db": 10.0,
            "truncated": False,
            "denoised": False,
            "model": "m-1",
            "latency_ms": 1,
        }
        | other
    )


@pytest.fixture
def watch(tmp_path, command):
    def start(url, *words):
        return running(tmp_path / "watch", [*command, "watch", "--broker", url, *words])

    return start


def lines(watch):
    """What it says of events, without their times."""
    return [line.split(maxsplit=1)[1] for line in watch.out if " is " not in line]


def test_a_line_tells_what_else_it_might_be():
    line = event_line(event())
    assert re.match(
        r"\d\d:\d\d:\d\d  pi/mic +angry +█████····· +50%   1.5 s  surprised 30 %$", line
    )


def test_an_uncertain_event_names_the_best_label():
    assert event_line(event(event_type="uncertain")).endswith("angry 50 %")


def test_no_name_can_break_a_line_or_command_the_terminal():
    line = event_line(event(node="\x1b[2J\n", source="mic\r", event_type="\x07"))
    assert line.isprintable()


@pytest.mark.parametrize(("share", "drawn"), [(-1, "·" * 10), (0.25, "██▌·······"), (9, "█" * 10)])
def test_a_bar_has_one_width(share, drawn):
    assert bar(share) == drawn


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_stays_in_its_terminal(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    table = EventTable("title")
    for source in ("mic", "a-very-long-name-of-a-source"):
        table.add(event(source=source, confidence=1.0, duration_ms=99_900, dbfs=-96.0))
    table._live.console.print(table._table())
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert len(shown) == 2 + 2
    assert max(map(len, shown)) <= width
    if width >= 80:
        assert all("██████████ 100%  99.9 s   -96  surpr" in row for row in shown[2:])


def test_a_low_terminal_shows_the_latest(monkeypatch, capsys):
    monkeypatch.setenv("LINES", "8")
    table = EventTable("title")
    for number in range(20):
        table.add(event(source=f"s{number}"))
    table._live.console.print(table._table())
    shown = re.findall(r"s\d+", capsys.readouterr().out)
    assert shown == ["s15", "s16", "s17", "s18", "s19"]


def test_it_shows_what_arrives_and_survives_what_is_not_ours(mosquitto, watcher, watch):
    good = json.loads(event().to_json())
    others = [
        *(b"", b"\xff", b"[", b"[" * 100_000, b"null", b"1e999", b'{"schema":1}', b'{"schema":2}'),
        *(
            json.dumps(good | change).encode()
            for change in (
                {"confidence": "x"},
                {"confidence": float("nan")},
                {"scores": [1]},
                {"scores": {"a": None, "b": 1}},
                {"start": 5},
                {"start": "0001-01-01T00:00:00+14:00"},
                {"duration_ms": 10**400},
                {"node": 5},
            )
        ),
    ]
    with watch(mosquitto.url) as one:
        say = watcher.client.publish
        say("serd/pi/status", "online", qos=1, retain=True)
        eventually(lambda: one.out == ["pi is online"])
        for payload in others:
            say("serd/pi/mic/event", payload, qos=1)
        say("serd/pi/mic/event", json.dumps(good | {"source": "last", "more": 1}), qos=1)
        eventually(lambda: any(line.startswith("pi/last ") for line in lines(one)))
        assert len(one.out) == 2
        assert one.err == ""
        mosquitto.kill()
        mosquitto.start()
        again = Watcher(mosquitto.port)
        again.client.publish("serd/pi/status", "offline", qos=1, retain=True)
        eventually(lambda: one.out[-1] == "pi is offline", "its return")
        again.close()
        assert one.process.poll() is None


def test_who_does_not_read_misses_some_but_fills_no_memory(mosquitto, watcher, monkeypatch, caplog):
    monkeypatch.setattr("serd.subscriber._WAITING", 5)
    messages = Subscriber(MqttSettings(broker=mosquitto.url)).messages()
    watcher.client.publish("serd/pi/status", "online", qos=1, retain=True)
    assert next(messages) == ("pi", True)
    for _ in range(20):
        watcher.client.publish("serd/pi/status", "offline", qos=1)
    eventually(lambda: caplog.messages)
    assert caplog.messages == ["nobody reads what arrives: some is passed over"]
    assert [next(messages) for _ in range(5)] == [("pi", False)] * 5
    messages.close()


def test_until_offline_ends_with_the_node(mosquitto, watcher, watch):
    say = watcher.client.publish
    say("serd/old/status", "offline", qos=1, retain=True)  # one that is away counts for nothing
    say("serd/pi/status", "online", qos=1, retain=True)
    eventually(lambda: len(retained(mosquitto.port)) == 2)
    with watch(mosquitto.url, "--until-offline") as one:
        eventually(lambda: "pi is online" in one.out)
        say("serd/pi/status", "offline", qos=1, retain=True)
        assert one.end() == 0
        assert one.out == ["pi is online", "pi is offline"]


@pytest.mark.parametrize("ending", ["once", "signal"])
def test_the_embedded_broker_and_a_watcher(ending, tmp_path, command, watch, woman):
    pytest.importorskip("amqtt", reason="the embedded broker is not installed")
    port = free_port()
    talker = Talker(tmp_path / "talker", woman)
    path = configuration(tmp_path, "embedded")
    path.write_text(path.read_text().replace("[health]", f"embedded_port = {port}\n[health]"))
    source = f"file:{woman}" if ending == "once" else talker.spec
    words = [*command, "run", "--config", str(path), "--source", f"cam={source}"]
    words += ["--once"] if ending == "once" else []
    with (
        watch(f"mqtt://127.0.0.1:{port}", "--until-offline") as one,
        running(tmp_path / "run", words) as serd,
    ):
        if ending == "signal":
            eventually(lambda: "pi is online" in one.out)
            talker.speak()
            eventually(lambda: len(lines(one)) >= 3)
        assert serd.end(signal.SIGTERM if ending == "signal" else None) == 0
        assert one.end() == 0
        assert (one.out[0], one.out[-1]) == ("pi is online", "pi is offline")
        if ending == "once":
            shown = [float(line.split(" s ")[0].split()[-1]) for line in lines(one)]
            said = [round(ms / 1000, 1) for ms in durations_ms(woman)]
            assert shown
            assert shown == said[-len(shown) :]  # on a slow machine it may come late
        late = f"serd: MQTT broker 127.0.0.1:{port} unreachable: connection refused; retrying\n"
        assert one.err in ("", late)  # it may be there before the broker
        assert serd.err == ""
