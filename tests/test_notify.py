"""What systemd is told, at a socket as systemd has one."""

import logging
import os
import signal
import socket
import threading

import pytest

from serd import notify
from serd.daemon import Daemon
from serd.pulse import Pulse
from serd.settings import MqttSettings, Settings
from serd.watchdog import STUCK_S, Watchdog

from .mosquitto import eventually, mosquitto
from .running import Talker, configuration, running

__all__ = ["mosquitto"]  # a fixture


class Systemd:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, address, monkeypatch):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address).replace("@", "\0"))
        self._socket.setblocking(False)
        self.env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}
        for key, value in self.env.items():
            monkeypatch.setenv(key, value)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        self.heard = []

    def hear(self):
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard


@pytest.fixture(params=["a path", "an abstract name"])
def systemd(request, tmp_path, monkeypatch):
    name = tmp_path / "notify" if request.param == "a path" else f"@serd-test-{os.getpid()}"
    one = Systemd(name, monkeypatch)
    yield one
    one._socket.close()


def test_systemd_hears_what_it_is_told(systemd):
    notify.tell("READY=1", "STATUS=hört zu")
    assert systemd.hear() == ["READY=1\nSTATUS=hört zu"]


def test_without_systemd_nothing_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    notify.tell("READY=1")  # nobody there any more: no reason to end


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        (None, None, None),
        ("30000000", None, 30),
        ("30000000", "mine", 30),
        ("30000000", "1", None),  # another's
        ("", None, None),
        ("soon", None, None),
        ("0", None, None),
    ],
)
def test_how_long_the_watchdog_waits(monkeypatch, usec, pid, seconds):
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, str(os.getpid()) if value == "mine" else value)
    assert notify.watchdog_s() == seconds


def test_the_watchdog_is_fed_only_while_every_loop_gets_further(systemd, caplog):
    now = [0.0]
    idle, busy = (Pulse(lambda: now[0]) for _ in range(2))
    watchdog = Watchdog({"an idle one": idle, "a busy one": busy}, lambda: now[0])

    def fed():
        systemd.heard.clear()
        watchdog.look()
        return systemd.hear() == ["WATCHDOG=1"]

    assert fed()
    assert not fed()  # not at every look
    now[0] += 1000
    assert fed()  # to have nothing to do is no reason to hang
    busy.beat()
    now[0] += STUCK_S
    assert fed()
    now[0] += 1
    assert not fed()
    assert not fed()
    assert caplog.messages == ["a busy one hangs: no progress for 60 s"]
    busy.beat()
    assert fed()
    busy.rest()
    now[0] += 1000
    assert fed()


def beats(systemd):
    return systemd.hear().count("WATCHDOG=1")


def test_a_hung_recogniser_starves_the_watchdog_and_a_missing_microphone_does_not(
    systemd, tmp_path, woman, monkeypatch, caplog
):
    """In the daemon itself: only how long is long is made shorter."""
    monkeypatch.setattr("serd.watchdog.STUCK_S", 1.0)
    talker = Talker(tmp_path / "talker", woman)
    none = MqttSettings(broker="none")
    daemon = Daemon(Settings(sources={"cam": talker.spec, "mic": "exec:false"}, mqtt=none))
    go, held = threading.Event(), threading.Event()
    recognise = daemon._recogniser.recognise

    def hang(utterance):
        held.set()
        go.wait()
        return recognise(utterance)

    monkeypatch.setattr(daemon._recogniser, "recognise", hang)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        eventually(lambda: "source mic: ended with exit code 1" in caplog.messages)
        before = beats(systemd)
        eventually(lambda: beats(systemd) > before + 20, "feeding, with a microphone away")
        talker.speak()
        eventually(held.is_set)
        eventually(lambda: "the recogniser hangs: no progress for 1 s" in caplog.messages)
        before = beats(systemd)
        daemon._watchdog.look()
        assert beats(systemd) == before
        go.set()
        eventually(lambda: beats(systemd) > before, "feeding, once it goes on")
    finally:
        go.set()
        daemon.stop()
        thread.join(30)
    assert not thread.is_alive()
    levels = {one.levelno for one in caplog.records if "hangs" in one.message}
    assert levels == {logging.ERROR}


def test_what_a_service_tells(mosquitto, systemd, tmp_path, woman, command):
    talker = Talker(tmp_path / "talker", woman)
    path = configuration(tmp_path, mosquitto.url, f'sources = {{cam = "{talker.spec}"}}')
    env = os.environ | systemd.env
    told = systemd.hear
    with running(tmp_path / "run", [*command, "run", "--config", str(path)], env) as serd:
        eventually(lambda: beats(systemd) > 2)
        assert told().count("READY=1") == 1
        eventually(lambda: "STATUS=sources online: 1 of 1; broker: connected" in told())
        good = path.read_text()
        path.write_text("sources = 3")
        serd.process.send_signal(signal.SIGHUP)
        eventually(lambda: told().count("READY=1") == 2)
        refused = "; not reloaded: "
        eventually(lambda: any(line.startswith("STATUS=") and refused in line for line in told()))
        path.write_text(good)
        serd.process.send_signal(signal.SIGHUP)
        eventually(lambda: told().count("READY=1") == 3)
        eventually(lambda: [x for x in told() if x.startswith("STATUS=")][-1].endswith("connected"))
        assert serd.end(signal.SIGTERM) == 0
    states = [line for line in told() if line in ("READY=1", "RELOADING=1")]
    assert states == ["READY=1", *["RELOADING=1", "READY=1"] * 2]
