"""Nothing that a daemon hears is unaccounted for, whatever happens to it."""

import json
import sys

import pytest

from serd.audio import read

from .mosquitto import eventually, mosquitto, retained, watcher
from .running import configuration, running

__all__ = ["mosquitto", "watcher"]  # fixtures

LOST = 160
"""Samples that are missing after each round of the recording."""

CHILD = f"""
import os, pathlib
def say(to, what):
    while what:
        what = what[os.write(to, what):]
pcm, said, rounds = pathlib.Path("pcm").read_bytes(), 0, 0
while not pathlib.Path("enough").exists():
    say(1, pcm)
    said, rounds = said + len(pcm) // 2, rounds + 1
    say(2, b"serd-gap %d {LOST}\\n" % said)
say(1, bytes(3_200))
pathlib.Path("said").write_text(f"[{{said + 1_600}}, {{rounds}}]")
"""


@pytest.mark.system
def test_muted_lost_and_dropped_sound_adds_up(command, mosquitto, watcher, woman, tmp_path):
    pcm = read(woman)
    child = tmp_path / "child"
    child.mkdir()
    (child / "pcm").write_bytes(pcm.astype("<i2").tobytes())
    (child / "child.py").write_text(CHILD)
    # As fast as a pipe takes it, and with more work for each utterance than there is time for.
    source = f"cam=exec:env -C '{child}' '{sys.executable}' child.py"
    path = configuration(tmp_path, mosquitto.url)
    words = [*command, "run", "--once", "--denoise", "on", "--config", str(path)]

    def now():
        report = json.loads(watcher.last("serd/pi/health") or '{"sources": {"cam": {}}}')
        return report["sources"]["cam"]

    def listen(word):
        watcher.client.publish("serd/pi/cam/listening/set", word, qos=1)
        eventually(lambda: watcher.last("serd/pi/cam/listening") == word)

    with running(tmp_path / "run", [*words, "--source", source]) as serd:
        eventually(lambda: now().get("utterances", 0) > 0)
        listen("OFF")
        eventually(lambda: now()["samples_muted"] > pcm.size)
        listen("ON")
        eventually(lambda: now()["dropped"] >= 3)
        (child / "enough").touch()
        assert serd.end() == 0
        assert serd.err == ""
    eventually(lambda: watcher.last("serd/pi/status") == "offline")
    cam = json.loads(retained(mosquitto.port)["serd/pi/health"])["sources"]["cam"]
    said, rounds = json.loads((child / "said").read_text())
    assert (cam["samples"], cam["gaps"], cam["samples_lost"]) == (said, rounds, rounds * LOST)
    parts = [cam[f"samples_{part}"] for part in ("in_segments", "discarded", "muted")]
    assert sum(parts) == said
    assert all(part > 0 for part in parts)
    events = [json.loads(one) for one in watcher.payloads("serd/pi/cam/event")]
    assert len({one["id"] for one in events}) == len(events)
    assert len(events) == cam["utterances"] - cam["dropped"] - cam["failed"]
    assert cam["failed"] == 0
    in_events = sum(one["duration_ms"] for one in events) * 16
    longest_samples = 15 * 16_000
    assert 0 < cam["samples_in_segments"] - in_events <= cam["dropped"] * longest_samples
