"""A microphone that goes away and comes back, as the daemon's subscribers see it."""

import json
import re
import time

import pytest

from .mosquitto import eventually, mosquitto, watcher
from .running import configuration, running
from .virtual_microphone import virtual_microphone

__all__ = ["mosquitto", "watcher"]  # fixtures

BACK_WITHIN_S = 5
SINK_S = 2
"""For so long PulseAudio's null sink gives nothing after it is opened; no sound card does that."""
ABSENT_S = (25, 1, 1, 4, 8)
"""The first is long enough for the pauses between tries to have grown."""


@pytest.mark.system
@pytest.mark.timeout(400)
@pytest.mark.parametrize("what", ["the microphone is unplugged", "the server is killed"])
def test_audio_is_back_soon(tmp_path, command, mosquitto, watcher, what, capsys):
    def health(source):
        return json.loads(watcher.last("serd/pi/health") or "{}")["sources"][source]

    def samples():
        return watcher.last("serd/pi/health") and health("mic")["samples"]

    path = configuration(tmp_path, mosquitto.url)
    other = "other=exec:sh -c 'while head -c 3200 /dev/zero; do sleep 0.1; done'"
    sources = [word for spec in ("mic=default", other) for word in ("--source", spec)]
    with virtual_microphone() as microphone:
        go, come = {
            "the microphone is unplugged": (microphone.unplug, microphone.plug_in),
            "the server is killed": (microphone.kill_server, microphone.start_server),
        }[what]
        with running(tmp_path / "run", [*command, "run", "--config", path, *sources]) as serd:
            status = lambda: watcher.last("serd/pi/mic/status")  # noqa: E731
            eventually(lambda: status() == "online", "the microphone")
            back_after_s = []
            for absent_s in ABSENT_S:
                go()
                eventually(lambda: status() == "offline", "that it is missed")
                time.sleep(absent_s)
                assert status() == "offline"
                come()
                returned = time.monotonic()
                eventually(lambda: status() == "online", "that it is back")
                back_after_s.append(time.monotonic() - returned)
                before = samples()
                eventually(lambda s=before: samples() > s, "more of it")
            figures = ", ".join(f"{seconds:.1f}" for seconds in back_after_s)
            with capsys.disabled():
                print(f"\n{what}, and back after {figures} s")  # noqa: T201 - what people ask for
            eventually(lambda: health("mic")["opened"] == len(ABSENT_S) + 1)
            mic, unharmed = health("mic"), health("other")
            said = serd.err
    assert max(back_after_s) < BACK_WITHIN_S + SINK_S
    assert mic["gaps"] >= len(ABSENT_S)
    assert mic["absent_s"] > sum(ABSENT_S)
    assert (unharmed["opened"], unharmed["gaps"]) == (1, 0)
    assert set(watcher.payloads("serd/pi/other/status")[1:]) <= {"online"}
    assert len(re.findall("source mic: ", said)) >= len(ABSENT_S)
