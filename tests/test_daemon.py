import errno
import fcntl
import json
import os
import pty
import queue
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest

from serd import __version__, bundle
from serd.daemon import Daemon
from serd.events import EmotionEvent
from serd.outbox import Outbox
from serd.settings import HealthSettings, MqttSettings, Settings

from .mosquitto import (
    PATIENCE_S,
    Mosquitto,
    Watcher,
    eventually,
    free_port,
    mosquitto,
    retained,
    watcher,
)
from .running import PIPE_SAMPLES, Talker, configuration, durations_ms, loads, running

__all__ = ["mosquitto", "watcher"]  # fixtures

CAM = "serd/pi/cam/event"
SOME = 3
"""Utterances that are always found in what the talker says, whatever was heard before."""


def max_speed(path):
    return f"file:{path}?speed=max"


def sources(**specs):
    return [word for name, spec in specs.items() for word in ("--source", f"{name}={spec}")]


def events(watcher, source):
    return [EmotionEvent.from_json(one) for one in watcher.payloads(f"serd/pi/{source}/event")]


def json_ids(lines):
    return {one["id"] for one in loads([line for line in lines if line.startswith("{")])}


@pytest.fixture
def talker(tmp_path, woman):
    return Talker(tmp_path / "talker", woman)


@pytest.fixture
def start(tmp_path, command):
    """Starts `serd run`, as often as it is asked."""
    numbers = iter(range(100))

    def run(broker, *words, config="", **more):
        path = configuration(tmp_path, broker, config)
        folder = tmp_path / f"run-{next(numbers)}"
        return running(folder, [*command, "run", "--config", str(path), *words], **more)

    return run


def test_every_utterance_of_several_sources_arrives(mosquitto, watcher, start, woman, man, talker):
    specs = sources(woman=max_speed(woman), man=max_speed(man), cam=talker.spec)
    with start(mosquitto.url, *specs, "--once") as serd:
        assert serd.end() == 0  # although the talker would go on
        for source, path in (("woman", woman), ("man", man)):
            eventually(lambda s=source, p=path: len(events(watcher, s)) >= len(durations_ms(p)))
            said = events(watcher, source)
            assert [one.duration_ms for one in said] == durations_ms(path)
            assert {(one.node, one.source) for one in said} == {("pi", source)}
        assert serd.err == ""
    arrived = [message for message in watcher.seen if message.topic.endswith("/event")]
    assert {message.qos for message in arrived} == {1}
    assert not any(message.retain for message in arrived)
    told = retained(mosquitto.port)
    for node_or_source in ("", "woman/", "man/", "cam/"):
        assert told[f"serd/pi/{node_or_source}status"] == "offline"
    assert watcher.payloads("serd/pi/status") == ["online", "offline"]


def test_what_a_newcomer_is_told(mosquitto, watcher, start, talker):
    card = bundle.read_card(bundle.find(Settings().model))
    with start(mosquitto.url, *sources(cam=talker.spec)) as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        talker.speak()
        eventually(lambda: len(events(watcher, "cam")) >= SOME)
        # The report is told each second: wait for one that was made after all events.
        health = lambda: json.loads(watcher.last("serd/pi/health") or "{}")  # noqa: E731
        eventually(lambda: health() and health()["sources"]["cam"]["utterances"] >= SOME)
        eventually(lambda: health()["outbox"]["depth"] == 0 and health()["latency_ms"]["median"])
        assert not any(one.queued for one in events(watcher, "cam"))
        told = retained(mosquitto.port)
        assert serd.end(signal.SIGTERM) == 0
    assert told["serd/pi/status"] == told["serd/pi/cam/status"] == "online"
    assert told["serd/pi/cam/listening"] == "ON"
    assert CAM not in told
    assert json.loads(told["serd/pi/info"]) == {
        "version": __version__,
        "model": {"name": card.id, "sha256": card.sha256},
        "labels": list(card.labels),
        "sources": ["cam"],
    }
    state = json.loads(told["serd/pi/cam/state"])
    assert state["emotion"] in card.labels
    assert tuple(state["scores"]) == card.labels
    found = json.loads(told["homeassistant/device/serd_pi_cam/config"])
    assert found["cmps"]["event"]["state_topic"] == CAM
    report = json.loads(told["serd/pi/health"])
    assert report.keys() == {
        *("schema", "time", "interval_s"),
        *("uptime_s", "latency_ms", "outbox", "memory_mb", "sources"),
    }
    assert 0 <= report["latency_ms"]["median"] <= report["latency_ms"]["p99"]
    cam = report["sources"]["cam"]
    assert (cam["online"], cam["opened"], cam["dropped"]) == (True, 1, 0)
    accounted = cam["samples_in_segments"] + cam["samples_discarded"] + cam["samples_muted"]
    assert 0 <= cam["samples"] - accounted < 16 * 16_000  # one utterance at most is held


def test_a_state_turns_idle_by_itself(mosquitto, watcher, start, talker):
    short = "[state]\nidle_after_s = 0.5"
    with start(mosquitto.url, *sources(cam=talker.spec), config=short):
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        talker.speak()
        eventually(lambda: len(events(watcher, "cam")) >= SOME)
        states = lambda: [json.loads(one) for one in watcher.payloads("serd/pi/cam/state")]  # noqa: E731
        eventually(lambda: states()[-1]["emotion"] == "idle")
    assert states()[-1]["confidence"] is None
    assert any(one["emotion"] != "idle" for one in states())


def test_once_with_programs_only_ends_with_them(mosquitto, watcher, start, woman, talker):
    cat = f"exec:cat '{talker.pcm_path}'"
    with start(mosquitto.url, *sources(cam=cat), "--once") as serd:
        assert serd.end() == 0
        eventually(lambda: len(events(watcher, "cam")) >= 4)
    assert [one.duration_ms for one in events(watcher, "cam")] == durations_ms(woman)


def test_one_bad_source_disturbs_no_other(mosquitto, watcher, start, woman, tmp_path):
    missing = tmp_path / "none.wav"
    specs = sources(bad=max_speed(missing), cam=max_speed(woman), worse="exec:false")
    with start(mosquitto.url, *specs, "--once") as serd:
        assert serd.end() == 1
        eventually(lambda: len(events(watcher, "cam")) >= 4)
        assert sorted(serd.err.splitlines()) == [
            f"serd: source bad: {missing}: no such file or directory",
            "serd: source worse: ended with exit code 1",
        ]
    assert set(watcher.payloads("serd/pi/bad/status")) == {"offline"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it(number, code, mosquitto, watcher, start, woman, tmp_path):
    stubborn = "exec:sh -c \"trap '' TERM INT; while head -c 3200 /dev/zero; do sleep 0.1; done\""
    specs = sources(file=f"file:{woman}", cam=stubborn, door="exec:false")
    with start(mosquitto.url, *specs) as serd:
        for source in ("file", "cam"):
            eventually(lambda s=source: watcher.last(f"serd/pi/{s}/status") == "online")
        assert serd.end(number) == code
        assert serd.err == "serd: source door: ended with exit code 1\n"
    told = retained(mosquitto.port)
    for topic in ("serd/pi/status", "serd/pi/file/status", "serd/pi/cam/status"):
        assert told[topic] == "offline"
    assert watcher.payloads("serd/pi/status") == ["online", "offline"]
    # It said so itself: a broker says the last will of those who leave without a word.
    log = (tmp_path / "mosquitto.log").read_text()
    assert "serd-pi" in log
    assert "serd-pi closed its connection" not in log


def test_a_signal_ends_it_where_no_broker_is(start, talker):
    with start(f"mqtt://127.0.0.1:{free_port()}", *sources(cam=talker.spec)) as serd:
        eventually(lambda: "unreachable" in serd.err)
        talker.speak()
        eventually(lambda: len(serd.out) >= SOME)
        assert serd.end(signal.SIGTERM) == 0
        assert {one["source"] for one in loads(serd.out)} == {"cam"}
        assert serd.err.count("\n") == 1


def test_a_killed_broker_costs_nothing(tmp_path, start, talker):
    broker = Mosquitto(tmp_path, persistent=True)
    watcher = Watcher(broker.port, remembered_as="watcher")
    try:
        with start(broker.url, *sources(cam=talker.spec)) as serd:
            eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
            talker.speak()
            eventually(lambda: len(events(watcher, "cam")) >= SOME)
            broker.kill()
            eventually(lambda: "connection lost" in serd.err)
            talker.speak()
            eventually(lambda: len(json_ids(serd.out)) >= SOME)  # JSON: there is no broker
            kept = json_ids(serd.out)
            broker.start()
            eventually(lambda: kept <= {one.id for one in events(watcher, "cam")}, "the rest")
            assert all(one.queued for one in events(watcher, "cam") if one.id in kept)
            # The statuses stand again, and go right from now on.
            eventually(lambda: retained(broker.port)["serd/pi/status"] == "online")
            assert retained(broker.port)["serd/pi/cam/status"] == "online"
            before = {one.id for one in events(watcher, "cam")}
            talker.speak()
            fresh = lambda: [one for one in events(watcher, "cam") if one.id not in before]  # noqa: E731
            eventually(lambda: len(fresh()) >= SOME)
            assert not fresh()[-1].queued
            assert serd.end(signal.SIGKILL) == -signal.SIGKILL
            eventually(lambda: watcher.last("serd/pi/status") == "offline", "the last will")
            assert retained(broker.port)["serd/pi/status"] == "offline"
        with start(broker.url, *sources(cam=talker.spec)) as serd:
            eventually(lambda: watcher.last("serd/pi/status") == "online")
            assert serd.end(signal.SIGTERM) == 0
        assert retained(broker.port)["serd/pi/status"] == "offline"
    finally:
        watcher.close()
        broker.kill()


def test_what_a_killed_daemon_kept_is_delivered_by_the_next(mosquitto, start, talker):
    mosquitto.kill()
    with start(mosquitto.url, *sources(cam=talker.spec)) as serd:
        talker.speak()
        eventually(lambda: len(serd.out) >= SOME)
        assert serd.end(signal.SIGKILL) == -signal.SIGKILL
        kept = [one["id"] for one in loads(serd.out)]
    mosquitto.start()
    watcher = Watcher(mosquitto.port)
    try:
        with start(mosquitto.url, *sources(cam="exec:sleep 1000")):
            eventually(lambda: len(events(watcher, "cam")) >= len(kept))
        arrived = events(watcher, "cam")
        assert [one.id for one in arrived][: len(kept)] == kept
        assert all(one.queued for one in arrived)
    finally:
        watcher.close()


def test_listening_is_switched_over_mqtt(mosquitto, watcher, start, talker):
    def muted():
        report = json.loads(watcher.last("serd/pi/health") or '{"sources":{"cam":{}}}')
        return report["sources"]["cam"].get("samples_muted", 0)

    def say(topic, payload):
        watcher.client.publish(f"serd/pi/{topic}", payload, qos=1)

    with start(mosquitto.url, *sources(cam=talker.spec)) as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        talker.speak()
        eventually(lambda: len(events(watcher, "cam")) >= SOME)
        for payload in (b"", b"off", b"OFF\0", b"\xff\xfe", b"0", b"[" * 100_000):
            say("cam/listening/set", payload)
        say("nobody/listening/set", b"OFF")
        say("cam/listening/set", b"OFF")
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "OFF")
        assert watcher.payloads("serd/pi/cam/listening") == ["ON", "OFF"]
        eventually(muted)
        heard = len(events(watcher, "cam"))
        talker.speak()
        before = muted()
        eventually(lambda: muted() >= before + PIPE_SAMPLES, "the end of what is muted")
        assert muted() >= talker.pcm.size
        assert len(events(watcher, "cam")) == heard
        say("cam/listening/set", b"ON")
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "ON")
        talker.speak()
        eventually(lambda: len(events(watcher, "cam")) >= heard + SOME)
        assert serd.end(signal.SIGTERM) == 0
        assert serd.err.count("ignored the command") == 7


def test_without_a_broker_events_are_json_lines(start, woman):
    with start("none", *sources(cam=max_speed(woman)), "--once") as serd:
        assert serd.end() == 0
        said = [EmotionEvent.from_json(line) for line in serd.out]
        assert [one.duration_ms for one in said] == durations_ms(woman)
        assert serd.err == ""


def test_with_a_broker_a_pipe_gets_plain_lines(mosquitto, watcher, start, talker):
    with start(mosquitto.url, *sources(cam=talker.spec)) as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        talker.speak()
        eventually(lambda: len(serd.out) >= SOME)
        assert all(re.match(r"\d\d:\d\d:\d\d  pi/cam ", line) for line in serd.out)


def test_events_go_out_even_where_none_can_be_kept(mosquitto, watcher, start, woman, tmp_path):
    (tmp_path / "file").touch()
    nowhere = f'state_dir = "{tmp_path}/file"'
    specs = sources(cam=max_speed(woman))
    with start(mosquitto.url, *specs, "--once", config=nowhere) as serd:
        assert serd.end() == 0
        eventually(lambda: len(events(watcher, "cam")) >= 4)
        events_wait, *voices = serd.err.splitlines()
        assert events_wait.startswith(f"serd: outbox {tmp_path}/file/outbox.db: ")
        assert events_wait.endswith("; events wait in memory only")
        file = f"{tmp_path}/file/baselines/cam.json"
        said = f"serd: {file}: not a directory; voices are kept in memory only"
        adaptation = bundle.read_card(bundle.find(Settings().model)).adaptation
        assert voices == ([] if adaptation is None else [said])


def test_two_daemons_do_not_share_a_state(mosquitto, start, talker, tmp_path):
    kept = tmp_path / "kept"
    outbox = Outbox(kept / "outbox.db", 10, 1e9)
    specs = sources(cam=talker.spec)
    with start(mosquitto.url, *specs, config=f'state_dir = "{kept}"') as serd:
        assert serd.end() == 2
        assert serd.err == f"serd: outbox {kept}/outbox.db: locked by another process\n"
    outbox.close()


def test_nobody_reads_what_it_prints(talker, command):
    loop = f"while cat '{talker.pcm_path}'; do sleep 0.01; done"
    words = [*command, "run", "--broker", "none", *sources(cam=f'exec:sh -c "{loop}"')]
    serd = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert json.loads(serd.stdout.readline())["source"] == "cam"
        serd.stdout.close()
        assert serd.wait(PATIENCE_S) == 1
        assert serd.stderr.read() == ""
    finally:
        serd.kill()
        serd.wait()
        serd.stderr.close()


def test_a_terminal_shows_a_table(woman, command, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    specs = sources(**{"a-very-long-name-of-a-source": max_speed(woman), "bad": "exec:false"})
    words = [*command, "run", "--broker", "none", "--once", *specs]
    serd = subprocess.Popen(words, stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other side has closed
    finally:
        os.close(ours)
        assert serd.wait(PATIENCE_S) == 1
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", plain)]
    assert max(map(len, lines)) <= 80
    assert "serd: source bad: ended with exit code 1" in lines
    last = lines[len(lines) - 1 - lines[::-1].index("serd: latest utterances (Ctrl+C ends)") :]
    assert last[1].split() == ["time", "source", "emotion", "confidence", "length", "dBFS", "or"]
    rows = [line for line in last[2:] if line]
    assert len(rows) == 4
    assert all(re.match(r"\d\d:\d\d:\d\d  a-very-", row) for row in rows)
    assert not any(line.startswith("{") for line in lines)


class Narrow(queue.Queue):
    """Counts how often it was found full."""

    refused = 0

    def put(self, *arguments, **options):
        try:
            super().put(*arguments, **options)
        except queue.Full:
            self.refused += 1
            raise


class Stalled:
    """A daemon in this process whose recogniser waits to be let go."""

    def __init__(self, spec, monkeypatch):
        self.events, self.go = [], threading.Event()
        none = MqttSettings(broker="none")
        settings = Settings(sources={"cam": spec}, mqtt=none, health=HealthSettings(interval_s=1))
        self.daemon = Daemon(
            settings, once=True, on_event=lambda event, _connected: self.events.append(event)
        )
        self.daemon._recognising._queue = self.queue = Narrow(1)
        recognise = self.daemon._recogniser.recognise
        monkeypatch.setattr(
            self.daemon._recogniser,
            "recognise",
            lambda utterance: self.go.wait(PATIENCE_S) and recognise(utterance),
        )
        self.health = self.daemon._health.sources["cam"]
        self._thread = threading.Thread(target=self.daemon.run, daemon=True)
        self._thread.start()

    def end(self):
        self.go.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def test_a_file_waits_until_there_is_room(woman, monkeypatch):
    monkeypatch.setattr("serd.daemon._TICK_S", 0.001)
    stalled = Stalled(max_speed(woman), monkeypatch)
    eventually(lambda: stalled.queue.refused >= 10)
    stalled.end()
    assert [one.duration_ms for one in stalled.events] == durations_ms(woman)
    assert stalled.health.dropped == 0


def test_a_live_source_does_not_wait_but_drops(talker, monkeypatch):
    stalled = Stalled(f"exec:cat '{talker.pcm_path}'", monkeypatch)
    eventually(lambda: stalled.health.dropped >= 1 and not stalled.health.online)
    stalled.end()
    assert len(stalled.events) + stalled.health.dropped == stalled.health.utterances == 4
    assert len(stalled.events) <= 2


def test_a_stalled_recogniser_does_not_hold_up_the_end(talker, monkeypatch, caplog):
    stalled = Stalled(f"exec:cat '{talker.pcm_path}'", monkeypatch)
    eventually(stalled.queue.full)
    stalled.daemon.stop()
    stalled._thread.join(PATIENCE_S / 2)
    assert not stalled._thread.is_alive()  # although nobody has let it go
    assert caplog.messages[-1] == "utterances that there was no time to recognise: 2"
    stalled.go.set()


def test_one_utterance_that_fails_is_told(woman, monkeypatch, caplog):
    seen = []
    settings = Settings(sources={"cam": max_speed(woman)}, mqtt=MqttSettings(broker="none"))
    daemon = Daemon(settings, once=True, on_event=lambda event, _connected: seen.append(event))
    recognise = daemon._recogniser.recognise
    failures = iter([RuntimeError("out of tune")])

    def fail_once(utterance):
        for failure in failures:
            raise failure
        return recognise(utterance)

    monkeypatch.setattr(daemon._recogniser, "recognise", fail_once)
    assert daemon.run()
    assert [one.duration_ms for one in seen] == durations_ms(woman)[1:]
    assert caplog.messages == ["source cam: an utterance was lost: RuntimeError: out of tune"]
    cam = daemon._health.sources["cam"]
    assert (cam.failed, cam.utterances) == (1, len(seen) + 1)


@pytest.mark.parametrize("broker", [True, False])
def test_a_full_disk_below_stdout_is_no_failure_of_an_event(
    broker, woman, tmp_path, mosquitto, caplog
):
    shown = []

    def full_at_first(event, _connected):
        shown.append(event)
        if len(shown) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    mqtt = MqttSettings(broker=mosquitto.url if broker else "none")
    daemon = Daemon(
        Settings(sources={"cam": max_speed(woman)}, mqtt=mqtt, state_dir=tmp_path / "kept"),
        once=True,
        on_event=full_at_first,
    )
    assert daemon.run()
    assert len(shown) == len(durations_ms(woman))
    assert daemon._health.sources["cam"].failed == (0 if broker else 3)
    assert caplog.messages == [
        "stdout: no space left on device; events are not printed",
        "stdout: events are printed again",
    ]


def test_a_state_disk_that_comes_late_is_used(mosquitto, watcher, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("serd.daemon._AGAIN_S", 0.1)
    (tmp_path / "file").touch()
    disk = tmp_path / "disk"
    disk.symlink_to(tmp_path / "file")  # so that it changes at one blow
    settings = Settings(
        node="pi",
        sources={"cam": "exec:sleep 1000"},
        state_dir=disk,
        mqtt=MqttSettings(broker=mosquitto.url),
        health=HealthSettings(interval_s=1),
    )
    daemon = Daemon(settings)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    failure = lambda: json.loads(watcher.last("serd/pi/health") or "{}")["outbox"]["failure"]  # noqa: E731
    try:
        eventually(lambda: watcher.last("serd/pi/health"))
        assert "events wait in memory only" in failure()
        assert watcher.last("serd/pi/cam/listening") == "ON"
        back = tmp_path / "back"
        (back / "switched-off").mkdir(parents=True)
        (back / "switched-off" / "cam").touch()
        (tmp_path / "link").symlink_to(back)
        (tmp_path / "link").replace(disk)
        eventually(lambda: failure() is None)
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "OFF")  # as it was before
        assert (disk / "outbox.db").exists()
        assert not daemon._listeners["cam"].listening
    finally:
        daemon.stop()
        thread.join(PATIENCE_S)
    assert caplog.messages.count("the outbox takes events again") == 1
    assert sum("file exists" in said for said in caplog.messages) == 1
