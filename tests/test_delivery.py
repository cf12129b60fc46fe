"""What is offered when, with a broker that answers as it is told."""

import itertools

import pytest

from serd.delivery import MAX_IN_FLIGHT, Delivery
from serd.outbox import Outbox, OutboxError


class Desk:
    """Takes what is handed over, and answers when it is asked to."""

    def __init__(self):
        self.now_s = 0.0
        self.outbox = Outbox(None, 10_000, 1e9)
        self.open = {}
        """Number → topic and payload of what has no answer yet."""
        self.taken = []
        self._numbers = itertools.count(1)
        self.delivery = Delivery(self.outbox, self._take, lambda: self.now_s)
        self.delivery.connect()

    def _take(self, topic, payload, _retain):
        number = next(self._numbers)
        self.open[number] = (topic, payload)
        return number

    def put(self, numbers, topic="mic"):
        for number in numbers:
            self.outbox.put(f"{topic}{number}", topic, f'{{"n":{number}}}')
        self.delivery.pump()

    def answer(self, refused=(), for_good=()):
        """Answer all that is open, again and again, until nothing more comes."""
        while self.open:
            number = next(iter(self.open))
            topic, payload = self.open.pop(number)
            if topic in refused or topic in for_good:
                self.delivery.refuse(number, topic in for_good)
            else:
                self.delivery.acknowledge(number)
                self.taken.append((topic, int(payload.split(":")[1].split(",")[0].rstrip("}"))))
            self.delivery.pump()

    def later(self, seconds):
        self.now_s += seconds
        self.delivery.pump()


@pytest.fixture
def desk():
    return Desk()


def test_never_more_than_twenty_without_an_answer(desk):
    for number in range(50):
        desk.delivery.retain(f"status{number}", "online")
    desk.put(range(100))
    assert len(desk.open) == MAX_IN_FLIGHT == 20


def test_a_broker_may_want_fewer(desk):
    desk.delivery.connect(3)
    desk.put(range(100))
    assert len(desk.open) == 3


def test_a_refused_topic_waits_and_holds_up_no_other(desk):
    desk.put(range(30), "mic")
    desk.put(range(30), "cam")
    desk.answer(refused={"mic"})
    assert desk.taken == [("cam", number) for number in range(30)]
    assert len(desk.outbox) == 30
    desk.put(range(30, 40), "mic")  # what comes meanwhile waits behind it
    assert desk.open == {}
    desk.later(1.0)
    assert len(desk.open) == 20
    desk.answer()
    assert [n for topic, n in desk.taken if topic == "mic"] == list(range(40))
    assert len(desk.outbox) == 0
    assert desk.delivery.lost == 0


def test_refusals_are_tried_again_ever_more_seldom(desk):
    tries = []
    desk.put(range(50))
    for second in range(2000):
        if desk.open:
            tries.append(second)
        desk.answer(refused={"mic"})
        desk.later(1.0)
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert gaps[:8] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert set(gaps[9:]) == {300}
    assert len(desk.outbox) == 50


def test_only_the_first_refusal_is_news(desk):
    desk.put(range(20))
    news = [desk.delivery.refuse(number, for_good=False) for number in list(desk.open)]
    assert news == ["mic"] + [None] * 19
    desk.open.clear()
    desk.later(1.0)
    assert [desk.delivery.refuse(number, for_good=False) for number in desk.open] == [None] * 20


def test_what_is_never_wanted_blocks_nothing_and_is_counted(desk):
    desk.put([1], "bad")
    desk.put([2], "mic")
    desk.answer(for_good={"bad"})
    assert desk.taken == [("mic", 2)]
    assert (len(desk.outbox), desk.delivery.lost) == (0, 1)


def test_a_refused_status_is_said_again(desk):
    desk.delivery.retain("status", '{"n":1}')
    desk.delivery.pump()
    desk.answer(refused={"status"})
    assert desk.delivery.settled  # nothing to wait for now
    desk.delivery.retain("status", '{"n":2}')
    desk.later(1.0)
    desk.answer()
    assert desk.taken == [("status", 2)]


def test_what_the_outbox_did_not_take_survives_a_lost_connection(desk):
    assert desk.delivery.at_first_try("a")
    desk.delivery.keep_in_memory("a", "mic", '{"n":1,"queued":false}')
    desk.delivery.pump()
    assert list(desk.open.values()) == [("mic", '{"n":1,"queued":false}')]
    desk.delivery.disconnect()
    desk.open.clear()
    desk.delivery.pump()
    assert desk.open == {}
    desk.delivery.connect()
    desk.delivery.pump()
    assert list(desk.open.values()) == [("mic", '{"n":1,"queued":true}')]


def test_of_what_the_outbox_did_not_take_the_oldest_are_lost_and_counted(desk):
    desk.delivery.disconnect()
    for number in range(25):
        desk.delivery.keep_in_memory(str(number), "mic", f'{{"n":{number}}}')
    assert desk.delivery.lost == 5
    desk.delivery.connect()
    desk.delivery.pump()
    desk.answer()
    assert [n for _, n in desk.taken] == list(range(5, 25))


def test_an_outbox_that_cannot_be_read_stops_nothing_else(desk):
    desk.outbox._connection.execute("DROP TABLE events")
    desk.delivery.keep_in_memory("a", "mic", '{"n":1}')
    with pytest.raises(OutboxError):
        desk.delivery.pump()
    assert [topic for topic, _ in desk.open.values()] == ["mic"]
