"""A private broker for tests, and a client that writes down what it sees."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from getpass import getuser
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE_S = 30
"""How long to wait for what must happen; only a failing test waits so long."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def eventually(
    condition: Callable[[], object], what: str = "it", patience_s: float = PATIENCE_S
) -> None:
    """Fail the test unless a condition comes true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} never happened"
        time.sleep(0.02)


def _program() -> str:
    """Debian puts it where only root's path leads."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if not found:
        pytest.skip("the program mosquitto is not installed")
    return found


class Mosquitto:
    """One on a free loopback port; when killed it forgets everything, unless `persistent`."""

    def __init__(
        self,
        folder: Path,
        users: dict[str, str] | None = None,
        persistent: bool = False,
        rules: str = "",
        more: str = "",
    ) -> None:
        self._program = _program()
        self.port = free_port()
        self._folder = folder
        self._config = folder / "mosquitto.conf"
        rights = "allow_anonymous true"
        if users:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{name}:{word}\n" for name, word in users.items()))
            tool = shutil.which("mosquitto_passwd") or pytest.skip("no mosquitto_passwd")
            subprocess.run([tool, "-U", str(passwords)], check=True)
            rights = f"allow_anonymous false\npassword_file {passwords}"
        self._rules = folder / "rules"
        if rules:
            self._rules.write_text(rules)
            rights += f"\nacl_file {self._rules}"
        if persistent:
            rights += f"\npersistence true\npersistence_location {folder}/"
            rights += "\nautosave_on_changes true\nautosave_interval 1"
        # "user" keeps root, if we are that, from becoming one who can't read our folder.
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{more}\nuser {getuser()}\n{rights}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=log, stderr=log
            )
        eventually(self._listens, "the start of mosquitto")

    def obey(self, rules: str) -> None:
        """Let it go by other access rules from now on."""
        self._rules.write_text(rules)
        self.send(signal.SIGHUP)

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: nothing is said to any client."""
        assert self._process
        self.send(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM: a persistent one keeps all that it has acknowledged."""
        assert self._process
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def _listens(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            pytest.fail(f"mosquitto ended: {(self._folder / 'mosquitto.log').read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Watcher:
    """Sees everything on a broker; what it misses too, if a persistent one knows its name."""

    def __init__(
        self, port: int, remembered_as: str = "", login: tuple[str, str] | None = None
    ) -> None:
        self.seen: list[MQTTMessage] = []
        self._ready = threading.Event()
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=remembered_as, clean_session=not remembered_as
        )
        if login:
            self.client.username_pw_set(*login)
        self.client.reconnect_delay_set(1, 1)
        self.subscriptions = 0
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = self._subscribed
        self.client.on_message = lambda _client, _data, message: self.seen.append(message)
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(PATIENCE_S), "no subscription"

    def _subscribed(self, *_: object) -> None:
        self.subscriptions += 1
        self._ready.set()

    def payloads(self, topic: str) -> list[str]:
        return [message.payload.decode() for message in list(self.seen) if message.topic == topic]

    def last(self, topic: str) -> str | None:
        return (self.payloads(topic) or [None])[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def retained(port: int) -> dict[str, str]:
    """All that a newcomer is told, topic by topic."""
    watcher = Watcher(port)
    try:
        end = threading.Event()
        watcher.client.message_callback_add("end/of/retained", lambda *_: end.set())
        watcher.client.publish("end/of/retained", qos=1)
        assert end.wait(PATIENCE_S)
    finally:
        watcher.close()
    return {m.topic: m.payload.decode() for m in watcher.seen if m.retain}


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that lets everybody in."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def watcher(mosquitto: Mosquitto) -> Iterator[Watcher]:
    seer = Watcher(mosquitto.port)
    yield seer
    seer.close()
