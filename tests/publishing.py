"""A publisher for tests, and events for it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from serd.events import EmotionEvent
from serd.mqtt import Publisher
from serd.outbox import Outbox
from serd.settings import MqttSettings

from .mosquitto import Watcher

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
EVENTS = "serd/pi/mic/event"


def event(number: int = 0, source: str = "mic") -> EmotionEvent:
    return EmotionEvent(
        node="pi",
        source=source,
        event_type="angry",
        confidence=0.8,
        scores={"angry": 0.8, "sad": 0.2},
        start=START + timedelta(seconds=number),
        end=START + timedelta(seconds=number + 1),
        duration_ms=number,
        dbfs=-20,
        snr_db=None,
        truncated=False,
        denoised=False,
        model="m-1",
        latency_ms=1,
    )


Make = Callable[..., Publisher]


@pytest.fixture
def publisher() -> Iterator[Make]:
    made: list[Publisher] = []

    def make(url: str, outbox: Outbox | None = None, **more) -> Publisher:
        named = [key for key in more if key in MqttSettings.model_fields]
        settings = MqttSettings(broker=url, **{key: more.pop(key) for key in named})
        listening = more.pop("listening", {"mic": True})
        if outbox is None:
            outbox = Outbox(None, 1000, 1e9)
        more.setdefault("on_listening", lambda _name, _on: None)
        one = Publisher(settings, "pi", outbox, {"version": "1"}, listening, **more)
        made.append(one)
        one.start()
        return one

    yield make
    for one in made:
        one.stop(1)


def read(payloads: list[str]) -> list[EmotionEvent]:
    return [EmotionEvent.from_json(payload) for payload in payloads]


def read_ids(watcher: Watcher) -> list[str]:
    return [said.id for said in read(watcher.payloads(EVENTS))]
