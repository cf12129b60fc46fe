"""SIGHUP: the configuration is read again; and SIGTERM: all ends soon."""

import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from .mosquitto import PATIENCE_S, eventually, mosquitto, retained, watcher
from .running import Talker, configuration, running

__all__ = ["mosquitto", "watcher"]  # fixtures


SOME = 3
"""Utterances that are always found in what the talker says."""


@pytest.fixture
def talker(tmp_path, woman):
    return Talker(tmp_path / "talker", woman)


@pytest.fixture
def write(tmp_path, mosquitto, talker):
    """Writes a configuration whose sources all listen to the talker's script."""

    def words(*names, more=""):
        sources = "".join(f'{name} = "{talker.spec}"\n' for name in names)
        return configuration(tmp_path, mosquitto.url, f"{more}\n[sources]\n{sources}")

    return words


@pytest.fixture
def start(tmp_path, command):
    def run(path, **more):
        words = [*command, "--verbose", "run", "--config", str(path)]
        return running(tmp_path / "run", words, **more)

    return run


def online(watcher, source):
    return watcher.last(f"serd/pi/{source}/status") == "online"


def reload(serd, times=1):
    serd.process.send_signal(signal.SIGHUP)
    eventually(lambda: serd.err.count("serd: reloaded\n") == times, "a reload")


def test_a_reload_changes_sources_and_loses_nothing(watcher, start, write, talker):
    path = write("cam")
    with start(path) as serd:
        eventually(lambda: online(watcher, "cam"))
        talker.speak()  # and while it is still being heard:
        write("door", more="[state]\nidle_after_s = 1")
        reload(serd)
        eventually(lambda: online(watcher, "door") and not online(watcher, "cam"))
        said = lambda: watcher.payloads("serd/pi/cam/event")  # noqa: E731
        eventually(lambda: len(said()) >= SOME)
        talker.speak()
        eventually(lambda: len(watcher.payloads("serd/pi/door/event")) >= SOME)
        eventually(lambda: json.loads(watcher.last("serd/pi/door/state"))["emotion"] == "idle")
        assert json.loads(watcher.last("serd/pi/info"))["sources"] == ["door"]
        assert serd.end(signal.SIGTERM) == 0
        assert "was lost" not in serd.err
        assert "no time to recognise" not in serd.err


def needing(library, *values):
    missing = find_spec(library) is None
    return pytest.param(*values, marks=pytest.mark.skipif(missing, reason=f"no {library}"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("sources = 3", "sources: "),
        ("no TOML", "not TOML"),
        ('model = "nobody"', "nobody"),
        ('[sources]\nmic = "exec:\'"', "sources.mic: "),
        ('[mqtt]\nusername = "me"\npassword_file = "/nowhere"', "mqtt.password_file: /nowhere"),
        # The daemon is whom systemd shows its credentials: what is not there is missing.
        ('[mqtt]\nusername = "me"\npassword_file = "nowhere"', "mqtt.password_file: nowhere"),
        ('[mqtt]\nbroker = "mqtts://x"\nca_file = "/dev/null"', "mqtt.ca_file: /dev/null: "),
        needing(
            "prometheus_client", "[health]\nprometheus_port = {taken}", "health.prometheus_port "
        ),
        needing(
            "amqtt", '[mqtt]\nbroker = "embedded"\nembedded_port = {taken}', "mqtt.embedded_port "
        ),
    ],
)
def test_a_bad_configuration_changes_nothing(content, why, watcher, start, write, talker):
    path = write("cam")
    with start(path) as serd, socket.create_server(("127.0.0.1", 0)) as other:
        eventually(lambda: online(watcher, "cam"))
        path.write_text(content.format(taken=other.getsockname()[1]))
        serd.process.send_signal(signal.SIGHUP)
        eventually(lambda: "not reloaded" in serd.err)
        (line,) = [line for line in serd.err.splitlines() if "not reloaded" in line]
        assert line.startswith("serd: not reloaded, the old configuration stays: ")
        assert why in line
        talker.speak()
        eventually(lambda: len(watcher.payloads("serd/pi/cam/event")) >= SOME)
        # The source was not even closed, nor the connection.
        assert online(watcher, "cam")
        assert watcher.payloads("serd/pi/cam/status").count("online") == 1
        assert serd.err.count("connected\n") == 1
        assert "serd: reloaded" not in serd.err
        assert serd.end(signal.SIGTERM) == 0


def test_reloads_leave_nothing_behind(start, write):
    """As many threads and descriptors, of the same kinds, after many as after two."""

    def held():
        process = Path(f"/proc/{serd.process.pid}")
        threads = [(task / "comm").read_text() for task in (process / "task").iterdir()]
        files = [re.sub(r"\d+", "", str(one.readlink())) for one in (process / "fd").iterdir()]
        return Counter(threads), Counter(files)

    def begun(times):
        return serd.err.count("connected\n") == serd.err.count("cam: online\n") == times

    with start(write("cam")) as serd:
        eventually(lambda: begun(1))
        for times in range(1, 6):
            reload(serd, times)
            eventually(lambda n=times: begun(n + 1))
            if times == 2:
                time.sleep(1)
                before = held()
        eventually(lambda: held() == before, f"{before}, but {held()},")
        assert serd.end(signal.SIGTERM) == 0


def test_a_terminal_that_closes_ends_it(command, write):
    ours, its = pty.openpty()
    words = [*command, "run", "--config", str(write("cam"))]
    process = subprocess.Popen(words, stdin=its, stdout=its, stderr=its)
    os.close(its)
    try:
        eventually(lambda: catches(process, signal.SIGHUP))
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def catches(process, number):
    """Whether it has said what is to happen at a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return int(caught, 16) >> (number - 1) & 1


class Silent:
    """A broker that lets everybody in, and acknowledges nothing after that."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.events = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection = self._server.accept()[0]
        connection.recv(65_536)
        connection.sendall(b"\x20\x02\x00\x00")
        while data := connection.recv(65_536):
            self.events += data.count(b"/event")

    def close(self):
        self._server.close()


STUBBORN = "exec:sh -c \"trap '' TERM INT; while head -c 3200 /dev/zero; do sleep 0.1; done\""


def test_sigterm_ends_it_within_2_s_however_little_others_help(tmp_path, command, woman):
    """A source that heeds no request, a broker that acknowledges nothing, and a microphone away.

    Of three tries one must do: the machine may have more to do than us.
    """
    took = []
    for number in range(3):
        broker, talker = Silent(), Talker(tmp_path / f"talker-{number}", woman)
        specs = {"cam": talker.spec, "stubborn": STUBBORN, "away": "exec:false"}
        sources = [word for name, spec in specs.items() for word in ("--source", f"{name}={spec}")]
        url = f"mqtt://127.0.0.1:{broker.port}"
        state = tmp_path / f"state-{number}"
        env = os.environ | {"STATE_DIRECTORY": str(state)}
        words = [*command, "run", "--broker", url, *sources]
        with running(tmp_path / f"run-{number}", words, env) as serd:
            talker.speak()
            eventually(lambda s=serd: len(s.out) >= SOME)
            eventually(lambda b=broker: b.events)
            begun = time.monotonic()
            assert serd.end(signal.SIGTERM) == 0
            took.append(time.monotonic() - begun)
        broker.close()
        # What it had printed is what it had kept: nothing is half-written, nothing forgotten.
        kept = kept_in(state / "outbox.db")
        assert len(kept) >= len(serd.out)
        if took[-1] < 2:
            break
    assert min(took) < 2, took


def kept_in(path):
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [json.loads(row[0]) for row in database.execute("SELECT payload FROM events")]


def test_what_is_being_said_at_the_end_is_published(mosquitto, watcher, start, write, talker):
    """SIGTERM in the middle of an utterance: what is heard of it is recognised and delivered."""
    with start(write("cam")) as serd:
        eventually(lambda: online(watcher, "cam"))
        talker.speak()
        eventually(lambda: len(watcher.payloads("serd/pi/cam/event")) >= SOME)
        assert serd.end(signal.SIGTERM) == 0
        printed = len([line for line in serd.out if "pi/cam" in line or line.startswith("{")])
    eventually(lambda: len(watcher.payloads("serd/pi/cam/event")) >= printed)
    assert retained(mosquitto.port)["serd/pi/status"] == "offline"
