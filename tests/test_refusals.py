"""A broker whose access rules forbid us what we want to say."""

import pytest

from .mosquitto import Mosquitto, Watcher, eventually
from .publishing import EVENTS, event, publisher, read

__all__ = ["publisher"]  # a fixture

ALL = "topic readwrite #\n"
NO_EVENTS = f"{ALL}topic deny {EVENTS}\n"
CAM = "serd/pi/cam/event"


@pytest.fixture
def strict(tmp_path):
    """A broker that takes no events of the microphone."""
    broker = Mosquitto(tmp_path, rules=NO_EVENTS)
    yield broker
    broker.kill()


def numbers(watcher, topic):
    return [one.duration_ms for one in read(watcher.payloads(topic))]


def test_what_is_forbidden_waits_and_blocks_nobody_else(strict, publisher, caplog):
    watcher = Watcher(strict.port)
    try:
        one = publisher(strict.url, protocol="5", listening={"mic": True, "cam": True})
        eventually(lambda: one.connected)
        for number in range(30):
            one.publish_event(event(number))
        for number in range(30):
            one.publish_event(event(number, source="cam"))
        eventually(lambda: len(numbers(watcher, CAM)) >= 30)
        assert numbers(watcher, CAM) == list(range(30))
        assert watcher.last("serd/pi/status") == "online"
        eventually(lambda: len(one._outbox) == 30)
        eventually(lambda: caplog.messages)
        told = [said for said in caplog.messages if "not authorised" in said]
        assert told == [
            f"the broker refuses {EVENTS}: not authorised; it is tried again, ever more seldom"
        ]
        assert numbers(watcher, EVENTS) == []
        strict.obey(ALL)

        def nudged():  # as the daemon's states do, four times a second
            one.set_state("mic", "{}")
            return len(numbers(watcher, EVENTS)) >= 30

        eventually(nudged, "its permission")
        assert numbers(watcher, EVENTS) == list(range(30))
        assert all(said.queued for said in read(watcher.payloads(EVENTS)))
        assert one.drained(30)
        assert one.lost == 0
    finally:
        watcher.close()


def test_an_older_protocol_loses_what_is_forbidden_without_a_word(strict, publisher, caplog):
    watcher = Watcher(strict.port)
    try:
        one = publisher(strict.url, listening={"mic": True, "cam": True})
        eventually(lambda: one.connected)
        one.publish_event(event(1))
        one.publish_event(event(2, source="cam"))
        assert one.drained(30)  # the broker said that it had it
        eventually(lambda: numbers(watcher, CAM) == [2])
        assert numbers(watcher, EVENTS) == []
        assert caplog.messages == []
    finally:
        watcher.close()
