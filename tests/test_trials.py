"""What must not be lost when brokers, links, disks and the daemon itself fail, again and again."""

import json
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serd.audio import SAMPLE_RATE, read
from serd.events import EmotionEvent

from .link import Link
from .mosquitto import Mosquitto, Watcher, eventually
from .running import Talker, configuration, durations_ms, running

TIMES = 20


@pytest.fixture
def broker(tmp_path):
    """One that still knows, when it comes back, who wants to hear everything."""
    one = Mosquitto(tmp_path, persistent=True)
    yield one
    one.kill()


@pytest.fixture
def watcher(broker):
    seer = Watcher(broker.port, remembered_as="watcher")
    yield seer
    seer.close()


@pytest.fixture
def link(broker):
    one = Link(broker.port)
    yield one
    one.close()


@pytest.fixture
def start(tmp_path, command):
    """Starts `serd run` at a broker, with more words, in a folder of its own each time."""
    numbers = iter(range(1000))

    def run(url, *words, more="", protocol="3.1.1"):
        path = configuration(tmp_path, url, more)
        # Noticed soon: what a link keeps back is told from silence by pings only.
        mqtt = f'[mqtt]\nkeepalive_s = 5\nprotocol = "{protocol}"\n'
        path.write_text(path.read_text().replace("[mqtt]\n", mqtt))
        folder = tmp_path / f"run-{next(numbers)}"
        return running(folder, [*command, "run", "--config", str(path), *words])

    return run


def talk(path, recording, seconds):
    """The same sentences again and again; a file."""
    pcm = read(recording)
    times = round(seconds * SAMPLE_RATE / pcm.size)
    soundfile.write(path, np.tile(pcm, times), SAMPLE_RATE, subtype="PCM_16")
    return path


def unique(watcher, source):
    """What arrived of a source, in its order; without what came again with the same id."""
    said = {}
    for payload in watcher.payloads(f"serd/pi/{source}/event"):
        event = EmotionEvent.from_json(payload)
        said.setdefault(event.id, event)
    return list(said.values())


def meetings(watcher):
    """How often the daemon has come to the broker; what is retained says nothing of that."""
    return sum(
        m.topic == "serd/pi/status" and m.payload == b"online" and not m.retain
        for m in list(watcher.seen)
    )


def health(watcher, after=0):
    """The latest report, if there were others than the first so many."""
    reports = watcher.payloads("serd/pi/health")[after:]
    return json.loads((reports or ['{"outbox":{},"sources":{}}'])[-1])


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_broker_killed_twenty_times(broker, watcher, link, start, woman, tmp_path):
    """Every utterance of the file arrives, in order, and with one id."""
    chance = random.Random(7)  # noqa: S311
    path = talk(tmp_path / "talk.wav", woman, 120)
    said = durations_ms(path)
    with start(link.url, "--source", f"cam=file:{path}") as serd:
        met = 0
        for _ in range(TIMES):
            eventually(lambda n=met: meetings(watcher) > n, "its return", 100)
            met = meetings(watcher)
            time.sleep(chance.uniform(0, 5))
            link.open = False
            subscriptions = watcher.subscriptions
            broker.kill()
            time.sleep(chance.uniform(0, 1))
            broker.start()
            # What a broker took and had told nobody when it was killed is its own loss: the
            # daemon comes back after the one who hears it.
            eventually(lambda n=subscriptions: watcher.subscriptions > n)
            link.open = True
        eventually(lambda: len(serd.out) == len(said), "the end of the file", 200)
        eventually(lambda: len(unique(watcher, "cam")) >= len(said), "the last event", 100)
        assert serd.end(signal.SIGTERM) == 0
    arrived = unique(watcher, "cam")
    assert [event.duration_ms for event in arrived] == said
    assert [event.start for event in arrived] == sorted(event.start for event in arrived)
    assert any(event.queued for event in arrived)
    assert not all(event.queued for event in arrived)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_the_daemon_killed_twenty_times(broker, watcher, start, woman, tmp_path):
    """What the outbox held at the moment of the kill, and what had been printed, arrives.

    Each run has a source of its own name. Of each arrives, in order and without a gap, the
    beginning of what is said in the file, at least as far as it was printed.
    """
    chance = random.Random(7)  # noqa: S311
    path = talk(tmp_path / "talk.wav", woman, 900)
    said = durations_ms(path)
    kept = tmp_path / "kept"
    more = f'state_dir = "{kept}"'
    printed, committed = {}, set()
    for number in range(TIMES):
        if frozen := number % 2 == 1:  # every other time all has to wait
            broker.send(signal.SIGSTOP)
        source = f"run{number}"
        with start(broker.url, "--source", f"{source}=file:{path}?speed=max", more=more) as serd:
            eventually(lambda one=serd: one.out)
            time.sleep(chance.uniform(0, 1.5))
            assert serd.end(signal.SIGKILL) == -signal.SIGKILL
            printed[source] = len(serd.out)
        database = sqlite3.connect(kept / "outbox.db")
        committed |= {event_id for (event_id,) in database.execute("SELECT id FROM events")}
        database.close()
        if frozen:
            broker.send(signal.SIGCONT)
    reports = len(watcher.payloads("serd/pi/health"))
    with start(broker.url, "--source", "cam=exec:sleep 1000", more=more) as serd:
        eventually(lambda: health(watcher, reports)["outbox"].get("depth") == 0, "an end")
        assert serd.end(signal.SIGTERM) == 0
    ids = set()
    for source, lines in printed.items():
        arrived = unique(watcher, source)
        ids |= {event.id for event in arrived}
        assert [event.duration_ms for event in arrived] == said[: len(arrived)]
        assert len(arrived) >= lines > 0
    assert committed
    assert committed <= ids


@pytest.mark.system
@pytest.mark.parametrize("how", ["stall", "cut"])
def test_a_link_fails_in_the_middle(how, watcher, link, start, woman, tmp_path):
    """No audio is lost, the will is said, and everything arrives when the link is whole again."""
    path = talk(tmp_path / "talk.wav", woman, 45)
    said = durations_ms(path)
    with start(link.url, "--source", f"cam=file:{path}", "--once") as serd:
        eventually(lambda: len(unique(watcher, "cam")) >= 2)
        if how == "stall":
            link.stalled = True
            eventually(lambda: "connection lost" in serd.err)
            link.cut()
            link.stalled = False
        else:
            link.open = False
            link.cut()
            eventually(lambda: watcher.last("serd/pi/status") == "offline", "the will")
            eventually(lambda: len(serd.out) >= len(unique(watcher, "cam")) + 2)
            link.open = True
        assert serd.end() == 0
        assert serd.err.count("connection lost") == 1
    eventually(lambda: len(unique(watcher, "cam")) >= len(said))
    arrived = unique(watcher, "cam")
    assert [event.duration_ms for event in arrived] == said
    assert any(event.queued for event in arrived)
    assert not arrived[0].queued
    assert not arrived[-1].queued


@pytest.mark.system
def test_a_broker_that_hangs_stalls_no_audio(watcher, link, start, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    with start(link.url, "--source", f"cam={talker.spec}") as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        link.stalled = True
        for _ in range(3):
            talker.speak()
        eventually(lambda: len(serd.out) >= 9)
        link.cut()
        link.stalled = False
        eventually(lambda: len(unique(watcher, "cam")) >= len(serd.out))
        cam = lambda: health(watcher)["sources"].get("cam", {"samples": 0})  # noqa: E731
        eventually(lambda: cam()["samples"] > 3 * talker.pcm.size)
        assert (cam()["dropped"], cam()["samples_lost"], cam()["gaps"]) == (0, 0, 0)
        assert health(watcher)["outbox"]["lost"] == 0
        assert serd.end(signal.SIGTERM) == 0


@contextmanager
def small_disk(folder):
    """A file system of 2 MB."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path):
    """Until not a byte fits."""
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def test_a_full_disk_stops_nothing_and_is_told(broker, watcher, start, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    with small_disk(tmp_path / "disk") as disk:
        more = f'state_dir = "{disk}"'
        with start(broker.url, "--source", f"cam={talker.spec}", more=more) as serd:
            eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
            assert health(watcher)["outbox"].get("failure") is None
            fill(disk / "filler")
            talker.speak()
            eventually(lambda: len(unique(watcher, "cam")) >= 3)
            eventually(lambda: health(watcher)["outbox"].get("failure"), "its word of it")
            assert health(watcher)["outbox"]["failure"].startswith(f"outbox {disk}/outbox.db: ")
            assert not any(event.queued for event in unique(watcher, "cam"))
            # Whoever switches it off is obeyed all the same.
            watcher.client.publish("serd/pi/cam/listening/set", "OFF", qos=1)
            eventually(lambda: watcher.last("serd/pi/cam/listening") == "OFF")
            watcher.client.publish("serd/pi/cam/listening/set", "ON", qos=1)
            eventually(lambda: watcher.last("serd/pi/cam/listening") == "ON")
            (disk / "filler").unlink()
            heard = len(unique(watcher, "cam"))
            talker.speak()
            eventually(lambda: len(unique(watcher, "cam")) >= heard + 3)
            eventually(lambda: health(watcher)["outbox"]["failure"] is None, "its recovery")
            assert health(watcher)["outbox"]["lost"] == 0
            assert serd.err.count("events wait in memory only") == 1
            assert serd.err.count("the outbox takes events again") == 1
            assert serd.end(signal.SIGTERM) == 0


def test_a_read_only_disk_stops_nothing_and_is_told(broker, watcher, start, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    with small_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        more = f'state_dir = "{disk}"'
        with start(broker.url, "--source", f"cam={talker.spec}", more=more) as serd:
            eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
            talker.speak()
            eventually(lambda: len(unique(watcher, "cam")) >= 3)
            eventually(lambda: health(watcher)["outbox"].get("failure"), "its word of it")
            failure = health(watcher)["outbox"]["failure"]
            assert failure.endswith("; events wait in memory only")
            assert serd.err.count("events wait in memory only") == 1
            assert serd.end(signal.SIGTERM) == 0


def test_listening_survives_a_kill(broker, watcher, start, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    words = ("--source", f"cam={talker.spec}", "--source", f"file=file:{woman}")

    def say(payload):
        watcher.client.publish("serd/pi/cam/listening/set", payload, qos=1)

    def muted():
        return health(watcher)["sources"].get("cam", {}).get("samples_muted", 0)

    with start(broker.url, *words) as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        say(b"OFF")
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "OFF")
        assert serd.end(signal.SIGKILL) == -signal.SIGKILL
    seen = len(watcher.seen)
    with start(broker.url, *words) as serd:
        eventually(muted, "silence")
        told = [m for m in watcher.seen[seen:] if m.topic.endswith("/listening")]
        states = {(m.topic, m.payload) for m in told}
        assert states == {
            ("serd/pi/cam/listening", b"OFF"),
            ("serd/pi/file/listening", b"ON"),
        }
        talker.speak()
        say(b"ON")
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "ON")
        assert serd.end(signal.SIGTERM) == 0
    assert list(Path(tmp_path, "state").rglob("switched-off/*")) == []


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_an_oversized_command_does_no_harm(protocol, broker, watcher, start, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    with start(broker.url, "--source", f"cam={talker.spec}", protocol=protocol) as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        watcher.client.publish("serd/pi/cam/listening/set", b"OFF" * 10_000_000, qos=1)
        watcher.client.publish("serd/pi/cam/listening/set", b"OFF", qos=1)
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "OFF")
        watcher.client.publish("serd/pi/cam/listening/set", b"ON", qos=1)
        eventually(lambda: watcher.last("serd/pi/cam/listening") == "ON")
        talker.speak()
        eventually(lambda: len(unique(watcher, "cam")) >= 3)
        # Of MQTT 5 a broker does not even send it.
        assert serd.err.count("ignored the command") == (protocol == "3.1.1")
        assert len(serd.err) < 1000
        assert serd.end(signal.SIGTERM) == 0
