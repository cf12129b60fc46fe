"""Commands that make no sense, to a running daemon: ignored, a line each, and it goes on."""

import signal

import pytest

from .fuzzing import damaged, random
from .mosquitto import eventually, mosquitto, watcher
from .running import Talker, configuration, running

__all__ = ["mosquitto", "watcher"]  # fixtures

AT_ONCE = 200
"""So many are sent before the daemon is waited for: a broker drops what queues up beyond 1,000."""
PAYLOADS = [
    b"ON",
    b"OFF",
    b"on",
    b"true",
    b"1",
    b"",
    b"\0",
    b"\xff\xfe",
    b'{"state": "ON"}',
    b"[" * 999,
]
TOPICS = ["serd/pi/{}/listening/set", "serd/{}/cam/listening/set", "serd/pi/cam/{}", "{}"]
NAMES = ["cam", "", "nobody", "\u202e", "x" * 9_000, "CAM", "cam ", "{}", "%s", "ünü"]


def nonsense(chance):
    """Topic and payload, nonsense in some way."""
    payload = chance.choice(PAYLOADS)
    if chance.random() < 0.5:
        payload = damaged(payload, chance)
    if chance.random() < 0.001:
        payload = payload * 1_000_000
    topic = "serd/pi/cam/listening/set"
    if chance.random() < 0.5:
        topic = chance.choice(TOPICS).format(chance.choice(NAMES))
    return topic or "x", payload


@pytest.mark.parametrize(
    "cases", [1_000, pytest.param(10_000, marks=[pytest.mark.system, pytest.mark.timeout(600)])]
)
def test_random_commands(cases, command, mosquitto, watcher, woman, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    path = configuration(tmp_path, mosquitto.url)
    words = [*command, "run", "--config", str(path), "--source", f"cam={talker.spec}"]
    say = watcher.client.publish
    last = lambda: watcher.last("serd/pi/cam/listening")  # noqa: E731
    ignored = 0
    with running(tmp_path / "run", words) as serd:
        eventually(lambda: watcher.last("serd/pi/cam/status") == "online")
        for first in range(0, cases, AT_ONCE):
            for case in range(first, min(first + AT_ONCE, cases)):
                chance = random(case)
                topic, payload = nonsense(chance)
                say(topic, payload, qos=chance.choice((1, 1, 2)), retain=chance.random() < 0.1)
                levels = topic.split("/")
                ours = levels[:2] == ["serd", "pi"] and levels[3:] == ["listening", "set"]
                ignored += ours and (levels[2] != "cam" or payload not in (b"ON", b"OFF"))
            # Answers to earlier words may still be on their way: all must be heard before these.
            eventually(lambda: serd.err.count("\n") >= ignored)  # noqa: B023 # called at once
            for word in ("OFF", "ON"):  # sensible ones are obeyed all the while
                say("serd/pi/cam/listening/set", word, qos=2)
                eventually(lambda word=word: last() == word, f"{word} after case {first}")
            assert serd.process.poll() is None
        heard = len(watcher.payloads("serd/pi/cam/event"))
        talker.speak()
        eventually(lambda: len(watcher.payloads("serd/pi/cam/event")) >= heard + 3)
        assert serd.end(signal.SIGTERM) == 0
        lines = serd.err.splitlines()
    assert len(lines) == ignored
    assert all(line.startswith("serd: MQTT: ignored the command ") for line in lines)
    assert all(line.isprintable() and len(line) < 300 for line in lines)
