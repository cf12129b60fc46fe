"""What SECURITY.md advises, tried."""

import json
import re
import signal
from pathlib import Path

import pytest

from .mosquitto import Mosquitto, Watcher, eventually
from .running import Talker, configuration, running

NOTES = Path(__file__).parent.parent / "SECURITY.md"
USERS = {"serd-pi": "one", "homeassistant": "two"}


@pytest.fixture
def guarded(tmp_path):
    """A broker with the access rules of the notes."""
    (rules,) = re.findall(r"```\n(user .*?)```", NOTES.read_text(), flags=re.DOTALL)
    (tmp_path / "acl").write_text(rules)
    broker = Mosquitto(tmp_path, users=USERS)
    broker.kill()
    with broker._config.open("a") as config:
        config.write(f"acl_file {tmp_path}/acl\n")
    broker.start()
    yield broker
    broker.kill()


def test_the_access_rules_let_through_what_they_must_and_no_more(
    guarded, command, serd, woman, tmp_path
):
    (tmp_path / "password").write_text(USERS["serd-pi"])
    login = f'username = "serd-pi"\npassword_file = "{tmp_path}/password"'
    talker = Talker(tmp_path / "talker", woman)
    path = configuration(tmp_path, guarded.url)
    path.write_text(path.read_text().replace("[health]", f"{login}\n[health]"))
    words = [*command, "run", "--config", str(path), "--source", f"mic={talker.spec}"]
    with running(tmp_path / "run", words) as one:
        watcher = Watcher(guarded.port, login=("homeassistant", USERS["homeassistant"]))
        try:
            eventually(lambda: watcher.last("serd/pi/mic/status") == "online")
            say = watcher.client.publish
            for forged in ("event", "state", "status", "listening"):
                say(f"serd/pi/mic/{forged}", "forged", qos=1)
            say("serd/pi/mic/listening/set", "OFF", qos=1)
            eventually(lambda: watcher.last("serd/pi/mic/listening") == "OFF")
            say("serd/pi/mic/listening/set", "ON", qos=1)
            eventually(lambda: watcher.last("serd/pi/mic/listening") == "ON")
            talker.speak()
            eventually(lambda: len(watcher.payloads("serd/pi/mic/event")) >= 3)
            eventually(lambda: watcher.last("serd/pi/health"))
            assert json.loads(watcher.last("serd/pi/info"))["sources"] == ["mic"]
            assert watcher.last("homeassistant/device/serd_pi_mic/config")
            own = (tmp_path / "watch", [*command, "watch", "--config", str(path)])
            with running(*own) as watch:  # by the daemon's own login
                done = serd("status", "--config", path)
                assert (done.returncode, done.stderr) == (0, "")
                assert done.stdout.startswith("pi is online")
                eventually(lambda: watch.out == ["pi is online"])
                talker.speak()
                eventually(lambda: len(watch.out) > 1)
            assert not [one for one in watcher.seen if one.payload == b"forged"]
            assert one.end(signal.SIGTERM) == 0
            eventually(lambda: watcher.last("serd/pi/status") == "offline")
        finally:
            watcher.close()
