"""The installed package as a service of a real systemd, from the shipped unit."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from serd.audio import read

from .conftest import ROOT
from .debian import debian
from .mosquitto import Mosquitto

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

_AUDIO = 29  # Debian's group
_PATIENCE_S = 150
"""Only a failing test waits so long; the watchdog alone takes half a minute."""

# A sound card of which ALSA reads from a pipe; only the group audio may.
_ASOUND = """
pcm.!default {
    type plug
    slave {
        pcm { type file slave.pcm null file /dev/null infile /srv/microphone format raw }
        rate 16000
        channels 1
        format S16_LE
    }
}
"""
_CONFIG = """
node = "box"
[sources]
mic = "default"
[mqtt]
broker = "mqtt://127.0.0.1:{port}"
"""
_LOGIN = """
username = "serd"
"""


def eventually(condition, what="it"):
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} never happened"
        time.sleep(0.3)
    return found


class Microphone:
    """Silence into a pipe at the speed of a microphone, and a recording when asked to."""

    def __init__(self, path: Path, recording: Path) -> None:
        os.mkfifo(path)
        path.chmod(0o640)
        os.chown(path, 0, _AUDIO)
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._speech = read(recording)
        self._ahead = np.zeros(0, np.int16)
        self._ended = threading.Event()
        threading.Thread(target=self._speak, daemon=True).start()

    def say(self) -> None:
        self._ahead = self._speech

    def _speak(self) -> None:
        while not self._ended.wait(0.06):
            now, self._ahead = self._ahead[:960], self._ahead[960:]
            block = np.concatenate([now, np.zeros(960 - now.size, np.int16)])
            with suppress(BlockingIOError):  # nobody listens
                os.write(self._pipe, block.astype("<i2").tobytes())
        os.close(self._pipe)

    def close(self) -> None:
        self._ended.set()


class Box:
    """A machine on which serd is installed as its README says."""

    def __init__(self, machine, broker, microphone):
        self.machine, self.broker, self.microphone = machine, broker, microphone
        self.run, self.write = machine.run, machine.write

    def configure(self, more=""):
        self.write("/etc/serd/serd.toml", _CONFIG.format(port=self.broker.port) + more)

    def said(self, *words):
        """Since the test began."""
        return self.machine.journal("serd", f"--since=@{self.begun:.3f}", *words)

    def service(self, name):
        return self.machine.show("serd", name)

    @property
    def pid(self):
        return int(self.service("MainPID"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    broker = Mosquitto(tmp_path_factory.mktemp("broker"), users={"serd": "open sesame"})
    try:
        with debian() as machine:
            machine.write("/etc/asound.conf", _ASOUND)
            microphone = Microphone(machine.root / "srv/microphone", ROOT / "demo/woman.flac")
            machine.run("/opt/serd/bin/serd", "install-service")
            yield Box(machine, broker, microphone)
            microphone.close()
    finally:
        broker.kill()


@pytest.fixture
def box(installed):
    """With serd running, and connected, from before the test began."""
    installed.write("/etc/credstore/serd.mqtt-password", "open sesame\n", mode=0o600)
    installed.configure(_LOGIN)
    installed.run("systemctl", "reset-failed")
    installed.begun = time.time()
    installed.run("systemctl", "restart", "serd")
    eventually(lambda: "mic: online" in installed.said(), "a sound")
    yield installed
    installed.run("systemctl", "stop", "serd", "serd@*", check=False)


def test_the_units_are_as_systemd_wants_them(installed):
    units = [f"/etc/systemd/system/{name}" for name in ("serd.service", "serd@one.service")]
    assert installed.run("systemd-analyze", "verify", *units) == ""
    again = installed.run("/opt/serd/bin/serd", "install-service")
    assert "/etc/serd/serd.toml: stays as it is" in again


def test_it_starts_without_a_credential_and_is_started_when_it_is_ready(installed):
    installed.configure()
    installed.begun = time.time()
    installed.run("systemctl", "enable", "--now", "serd")
    assert installed.service("ActiveState") == "active"
    assert installed.service("NotifyAccess") == "main"
    eventually(lambda: "not authorised" in installed.said())
    status = installed.run("systemctl", "status", "serd")
    assert "active (running)" in status
    eventually(
        lambda: installed.service("StatusText") == "sources online: 1 of 1; broker: not connected"
    )
    installed.run("systemctl", "stop", "serd")


def test_the_password_is_a_credential_and_the_sound_comes_by_alsa(box):
    status = "sources online: 1 of 1; broker: connected"
    eventually(lambda: box.service("StatusText") == status, status)
    heard = lambda: [line for line in box.said().splitlines() if " box/mic " in line]  # noqa: E731
    box.microphone.say()
    eventually(lambda: len(heard()) >= 3, "events of what was said into the microphone")
    # Not as root, and its folder is its own.
    owner = int(box.run("stat", "--format=%u", f"/proc/{box.pid}"))
    assert owner in range(61_184, 65_520)  # systemd's dynamic users
    assert "outbox.db" in box.run("ls", "/var/lib/serd/")
    # Each line has its level, and none of them is an error.
    assert box.said("--priority=err") == ""
    assert not [line for line in box.said().splitlines() if line.startswith(("<", "serd:"))]


def test_a_reload_with_a_good_and_with_a_bad_configuration(box):
    pid = box.pid
    box.write("/etc/serd/serd.toml", "sources = 3\n")
    assert "failed" in box.run("systemctl", "reload", "serd", check=False)
    assert "sources: " in box.said("--priority=err")
    box.configure(f'{_LOGIN}password_file = "/nowhere"\n')
    assert "failed" in box.run("systemctl", "reload", "serd", check=False)
    assert "mqtt.password_file: /nowhere: " in box.said("--priority=err")
    box.write("/etc/serd/serd.toml", "sources = 3\n")
    box.run("systemctl", "kill", "--kill-whom=main", "-sHUP", "serd")
    eventually(lambda: "not reloaded, the old configuration stays" in box.said("--priority=err"))
    assert box.service("ActiveState") in ("active", "reloading")
    eventually(lambda: box.service("ActiveState") == "active")
    assert "1 of 1" in box.service("StatusText")
    assert "; not reloaded: " in box.service("StatusText")
    box.configure(
        f'{_LOGIN}password_file = "mqtt-password"\n'
    )  # which a reload's check may not see
    file = box.machine.root / "etc/serd/serd.toml"
    file.write_text(file.read_text().replace("[mqtt]", 'two = "exec:cat /dev/zero"\n[mqtt]'))
    box.run("systemctl", "reload", "serd")
    eventually(
        lambda: box.service("StatusText") == "sources online: 2 of 2; broker: connected",
        "the second source",
    )
    assert box.pid == pid
    assert box.service("NRestarts") == "0"


def restarted(box, pid):
    return box.service("ActiveState") == "active" and box.pid not in (0, pid)


def test_it_is_back_after_kill_9(box):
    pid = box.pid
    box.run("systemctl", "kill", "--kill-whom=main", "-sKILL", "serd")
    eventually(lambda: restarted(box, pid), "the restart")
    assert box.service("NRestarts") == "1"
    eventually(lambda: box.service("StatusText").startswith("sources online: 1 of 1"))


def test_the_watchdog_restarts_a_process_that_hangs(box):
    pid = box.pid
    limits = box.run("cat", f"/proc/{pid}/limits")  # sound must not be dumped to disk
    os.kill(outside(pid), signal.SIGSTOP)
    assert "Max core file size 0 0 bytes" in " ".join(limits.split())
    eventually(lambda: restarted(box, pid), "the restart")
    assert "Watchdog timeout" in box.said()
    assert box.service("NRestarts") == "1"
    eventually(lambda: box.service("StatusText").startswith("sources online: 1 of 1"))


def outside(pid):
    """The number outside of a process in the machine."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        except OSError:
            continue  # it has just ended
        if lines.get("NSpid", "").split()[1:] == [str(pid)] and is_serd(status):
            return int(lines["Pid"])
    raise AssertionError(pid)


def is_serd(status):
    return b"/opt/serd/bin/serd" in status.with_name("cmdline").read_bytes()


def test_systemctl_stop_ends_it_well(box):
    box.run("systemctl", "stop", "serd")
    assert box.service("Result") == "success"
    assert box.service("ExecMainStatus") == "0"
    assert box.said("--priority=err") == ""


def test_several_instances(box):
    other = _CONFIG.format(port=box.broker.port).replace("box", "other")
    box.write("/etc/serd/second.toml", other)
    box.run("systemctl", "start", "serd@second")
    assert box.machine.show("serd@second", "ActiveState") == "active"
    assert box.service("ActiveState") == "active"
    assert "outbox.db" in box.run("ls", "/var/lib/serd-second/")
