"""From a voice in a room to a subscriber of a broker; the room is PulseAudio's."""

import json
import signal
from datetime import UTC, datetime, timedelta

from serd.events import EmotionEvent

from .mosquitto import eventually, mosquitto, watcher
from .running import configuration, durations_ms, running
from .virtual_microphone import virtual_microphone

__all__ = ["mosquitto", "watcher"]  # fixtures


def test_speech_into_a_microphone_arrives_as_events(tmp_path, command, mosquitto, watcher, woman):
    def events():
        said = watcher.payloads("serd/pi/mic/event")
        return [EmotionEvent.from_json(one) for one in said]

    def health():
        return json.loads(watcher.last("serd/pi/health") or "null")

    with virtual_microphone() as microphone:
        path = configuration(tmp_path, mosquitto.url)
        words = [*command, "run", "--config", str(path), "--source", "mic=default"]
        with running(tmp_path / "run", words) as serd:
            eventually(lambda: watcher.last("serd/pi/mic/status") == "online", "the microphone")
            begun = datetime.now(UTC)
            microphone.speak(woman)
            # Before it the microphone had heard nothing at all: its quietest sentence may be
            # taken for noise. The others are loud.
            wanted = len(durations_ms(woman)) - 1
            eventually(lambda: len(events()) >= wanted, "the events")
            eventually(lambda: health() and health()["sources"]["mic"]["utterances"] >= wanted)
            ended = datetime.now(UTC)
            assert serd.end(signal.SIGTERM) == 0
    slack = timedelta(seconds=1)
    for event in events():
        assert begun - slack < event.start < event.end < ended + slack
        assert event.duration_ms > 250
        assert -60 < event.dbfs < -5
        assert not event.queued
    assert watcher.last("serd/pi/mic/status") == watcher.last("serd/pi/status") == "offline"
    mic = health()["sources"]["mic"]
    assert mic["opened"] >= 1
    used = mic["samples_in_segments"] + mic["samples_discarded"] + mic["samples_muted"]
    assert 0 <= mic["samples"] - used < 16 * 16_000
