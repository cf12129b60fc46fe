import logging
import shlex
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serd.audio import read
from serd.capture import Block, EndedError, SourceError
from serd.cards import Card
from serd.health import SourceHealth
from serd.listener import Listener
from serd.segmentation import segments_of
from serd.settings import SegmentSettings

from .mosquitto import PATIENCE_S, eventually

SETTINGS = SegmentSettings()
SILENCE = Block(np.zeros(480, np.int16))


class Pauses(threading.Event):
    """Stands in for a listener's `_stopped`; nobody waits, and after some pauses it is set."""

    def __init__(self, count):
        super().__init__()
        self.asked = []
        self._count = count

    def wait(self, timeout=None):
        self.asked.append(timeout)
        if len(self.asked) == self._count:
            self.set()
        return self.is_set()


class Scripted:
    """A source that gives blocks and then ends as told; a callable is called at its turn."""

    def __init__(self, *script, ending=None, live=True):
        self.live = live
        self._script, self._ending = script, ending

    def blocks(self):
        for step in self._script:
            if callable(step):
                step()
            else:
                yield step
        if self._ending:
            raise self._ending

    def close(self):
        pass


class Ear:
    """A listener, and what it says."""

    def __init__(self, spec="", *, again=True, room=True, pauses=None):
        self.health = SourceHealth()
        self.utterances, self.statuses, self.live = [], [], set()
        self._room = room
        self.listener = Listener(
            "cam",
            spec,
            SETTINGS,
            self.health,
            again=again,
            offer=self._offer,
            on_status=lambda name, online: self.statuses.append((name, online)),
        )
        if pauses:
            self.listener._stopped = self.pauses = Pauses(pauses)

    def _offer(self, utterance, live):
        self.utterances.append(utterance)
        self.live.add(live)
        return self._room

    def run(self):
        self.listener.start()
        self.listener.join(PATIENCE_S)
        assert self.listener.done


@pytest.fixture
def scripts(monkeypatch):
    """Sources that are opened one after the other; the last one again and again."""
    waiting = []

    def open_source(_spec, _look_out_s):
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    monkeypatch.setattr("serd.listener.open_source", open_source)
    return waiting


@pytest.fixture(scope="module")
def pcm(woman):
    return read(woman)


@pytest.fixture
def errors(caplog):
    return lambda: [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_source_that_never_opens_is_tried_ever_less_often(scripts, errors):
    scripts.append(Scripted(ending=SourceError("no such device")))
    ear = Ear(pauses=7)
    ear.run()
    assert ear.pauses.asked == pytest.approx([1, 2, 4, 8, 16, 30, 30], abs=0.5)
    assert errors() == ["source cam: no such device"]
    assert ear.statuses == []
    assert ear.listener.failure == "no such device"
    assert ear.health.opened == 0


@pytest.mark.parametrize("heard", [0, 1])
def test_an_absence_counts_while_it_lasts(heard, scripts):
    scripts.append(Scripted(*[SILENCE] * heard, ending=SourceError("gone")))
    ear = Ear(pauses=1)
    ear.run()
    first = ear.health.accounts()["absent_s"]
    eventually(lambda: ear.health.accounts()["absent_s"] > first)
    ear.health.back()
    after = ear.health.accounts()["absent_s"]
    assert after > first
    assert ear.health.accounts()["absent_s"] == ear.health.absent_s == after


def test_a_source_that_comes_and_goes_all_the_time_is_told_rarely(scripts, errors, monkeypatch):
    scripts.append(Scripted(SILENCE, ending=SourceError("gone")))
    ear = Ear(pauses=20)
    ear.run()
    why = "source cam: gone"
    assert errors() == [*[why] * 3, "source cam: comes and goes; that is told once an hour"]
    assert ear.health.opened == 20
    # When the hour is over, and when it has stayed away.
    ear.listener._stopped.clear()
    monkeypatch.setattr("serd.listener._RARELY_S", 0)
    ear.listener._listen_once(0)
    monkeypatch.setattr("serd.listener._RARELY_S", 3_600)
    scripts[:] = [Scripted(ending=SourceError("no such device"))]
    ear.listener._listen_once(0)
    assert errors()[4:] == [why]
    monkeypatch.setattr("serd.listener._STEADY_S", 0)
    ear.listener._listen_once(0)
    assert errors()[4:] == [why, "source cam: no such device"]


def test_one_that_stayed_is_no_longer_one_that_comes_and_goes(scripts, caplog, monkeypatch):
    scripts.append(Scripted(SILENCE, ending=SourceError("gone")))
    ear = Ear(pauses=5)
    ear.run()
    ear.listener._stopped.clear()
    days_pass = lambda: monkeypatch.setattr("serd.listener._STEADY_S", 0)  # noqa: E731 - a step
    scripts[:] = [Scripted(SILENCE, days_pass)]
    caplog.clear()
    with caplog.at_level(logging.INFO, "serd"):
        ear.listener._listen_once(0)
    assert caplog.messages == ["source cam: offline"]


def test_after_a_stop_nothing_is_missed(scripts):
    ear = Ear()
    scripts.append(Scripted(SILENCE, ear.listener.stop))
    ear.run()
    time.sleep(0.01)
    assert ear.health.opened == 1
    assert ear.health.accounts()["absent_s"] == 0


def test_a_source_that_was_heard_comes_back_soon(scripts, errors):
    silent = Scripted(ending=SourceError("gone"))
    heard = Scripted(SILENCE, SILENCE, ending=SourceError("unplugged"))
    scripts += [silent, silent, heard, heard, silent, silent]
    ear = Ear(pauses=6)
    ear.run()
    assert ear.pauses.asked == pytest.approx([1, 2, 1, 1, 2, 4], abs=0.5)
    assert ear.statuses == [("cam", True), ("cam", False)] * 2
    assert (ear.health.opened, ear.health.gaps) == (2, 1)
    assert not ear.health.online
    # Each time it went, and not for each try.
    assert errors() == ["source cam: " + why for why in ("gone", "unplugged", "unplugged", "gone")]


def test_another_reason_is_told(scripts, errors):
    reasons = ["busy", "busy", "no such device", "busy", "busy"]
    scripts += [Scripted(ending=SourceError(reason)) for reason in reasons]
    Ear(pauses=5).run()
    assert [said.split(": ")[1] for said in errors()] == ["busy", "no such device", "busy"]


def test_what_nobody_expected_ends_no_source(scripts, errors):
    scripts += [
        Scripted(SILENCE, ending=ZeroDivisionError("division by zero")),
        Scripted(SILENCE, ending=SourceError("gone")),
    ]
    ear = Ear(pauses=2)
    ear.run()
    assert ear.health.opened == 2
    assert errors() == [
        "source cam: unexpected ZeroDivisionError: division by zero",
        "source cam: gone",
    ]


def test_a_program_is_started_again(monkeypatch, errors):
    monkeypatch.setattr("serd.listener._RETRY_S", (0.001, 0.001))
    ear = Ear("exec:head -c 32000 /dev/zero")
    ear.listener.start()
    eventually(lambda: ear.health.opened >= 3, "the third start")
    ear.listener.stop()
    ear.listener.join(PATIENCE_S)
    assert ear.listener.done
    changes = [online for _, online in ear.statuses]
    assert changes == [True, False] * ear.health.opened
    assert errors()[:2] == ["source cam: ended with exit code 0"] * 2
    assert ear.health.gaps == ear.health.opened - 1
    assert ear.health.absent_s > 0
    assert ear.health.samples >= 2 * 16_000


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        ("head -c 320 /dev/zero", None),
        ("sh -c 'head -c 320 /dev/zero; echo woe >&2; exit 3'", "ended with exit code 3: woe"),
    ],
)
def test_once_a_program_ends_and_is_not_started_again(command, failure, errors):
    ear = Ear("exec:" + command, again=False)
    ear.run()
    assert ear.listener.failure == failure
    assert errors() == ([f"source cam: {failure}"] if failure else [])
    assert ear.health.opened == 1
    assert ear.statuses == [("cam", True), ("cam", False)]


def test_a_file_is_heard_once(woman, pcm):
    ear = Ear(f"file:{woman}?speed=max")
    ear.run()
    assert ear.listener.failure is None
    assert ear.health.samples == pcm.size
    assert len(ear.utterances) == len(list(segments_of([pcm], SETTINGS))) == ear.health.utterances
    assert ear.live == {False}
    assert ear.health.accounts()["absent_s"] == 0  # it is not to come back
    assert ear.statuses == [("cam", True), ("cam", False)]


def test_a_missing_file_is_told_and_not_tried_again(tmp_path, errors):
    ear = Ear(f"file:{tmp_path}/none.wav")
    ear.run()
    assert ear.listener.failure == f"{tmp_path}/none.wav: no such file or directory"
    assert errors() == [f"source cam: {ear.listener.failure}"]
    assert ear.statuses == []


@pytest.mark.parametrize("source", ["file", "exec"])
def test_it_stops_when_told(source, woman, pcm, tmp_path):
    (tmp_path / "pcm").write_bytes(pcm.astype("<i2").tobytes())
    script = f"trap '' TERM; while cat {shlex.quote(str(tmp_path))}/pcm; do sleep 0.01; done"
    spec = f"file:{woman}" if source == "file" else f"exec:sh -c {shlex.quote(script)}"
    ear = Ear(spec)
    ear.listener.start()
    eventually(lambda: ear.health.online)
    ear.listener.stop()
    ear.listener.join(PATIENCE_S)
    assert ear.listener.done
    assert ear.listener.failure is None
    assert ear.statuses == [("cam", True), ("cam", False)]


def test_stopped_before_its_start_it_opens_nothing(tmp_path):
    ear = Ear(f"exec:touch {tmp_path}/started")
    ear.listener.stop()
    ear.run()
    assert not (tmp_path / "started").exists()


def test_a_card_s_number_is_taken_for_its_name_as_soon_as_it_has_one(monkeypatch, caplog):
    there, opened = [], []

    def open_source(spec, look_out_s):
        opened.append((spec, look_out_s))
        there.append(Card(1, "Device"))
        return Scripted(ending=SourceError("busy"))

    monkeypatch.setattr("serd.listener.open_source", open_source)
    monkeypatch.setattr("serd.cards.cards", lambda: there)
    with caplog.at_level(logging.INFO, "serd"):
        ear = Ear("hw:1,0", pauses=3)
        ear.run()
    lasting = "hw:CARD=Device,DEV=0"
    assert opened == [("hw:1,0", 0), (lasting, 2), (lasting, 4)]
    assert "source cam: hw:1,0 is hw:CARD=Device,DEV=0" in caplog.messages


def test_what_it_hears_while_muted_is_not_used(scripts, pcm):
    ear = Ear(pauses=1)
    mute = lambda: setattr(ear.listener, "listening", False)  # noqa: E731 - steps of a script
    unmute = lambda: setattr(ear.listener, "listening", True)  # noqa: E731
    block = Block(pcm)
    silence = [SILENCE] * 50  # ends what is said
    scripts.append(
        Scripted(block, *silence, mute, block, block, unmute, block, ending=SourceError("gone"))
    )
    ear.run()
    assert ear.health.samples == 4 * pcm.size + 50 * 480
    assert ear.health.samples_muted == 2 * pcm.size
    muted_from = pcm.size + 50 * 480
    positions = [(one.segment.start, one.segment.end) for one in ear.utterances]
    assert all(end <= muted_from or start >= muted_from + 2 * pcm.size for start, end in positions)
    assert min(positions)[0] < muted_from < max(positions)[0]


def test_a_live_source_drops_what_finds_no_room(scripts, pcm):
    scripts.append(Scripted(Block(pcm), ending=SourceError("gone")))
    ear = Ear(pauses=1, room=False)
    ear.run()
    assert ear.live == {True}
    assert ear.health.dropped == ear.health.utterances == len(ear.utterances) >= 4


@settings(max_examples=25, deadline=None)
@given(plan=st.data())
def test_accounts_add_up(plan, woman):
    """Whatever is lost, muted and cut, and however often the source comes back."""
    speech = read(woman)[:120_000]
    sources, sent, lost, gaps = [], 0, 0, 0
    ear = Ear(pauses=3)
    for _ in range(3):
        steps, position = [], 0
        while position < speech.size:
            size = plan.draw(st.sampled_from([4_099, 4_800, 30_001]), "samples")
            missing = plan.draw(st.sampled_from([0, 0, 0, 1, 16_000]), "lost")
            listening = plan.draw(st.booleans() | st.just(True), "listening")
            block = Block(speech[position : position + size], missing)
            position += block.samples.size
            sent, lost, gaps = sent + block.samples.size, lost + missing, gaps + (missing > 0)
            steps += [lambda on=listening: setattr(ear.listener, "listening", on), block]
        sources.append(Scripted(*steps, ending=EndedError("enough")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serd.listener.open_source", lambda _spec, _look_out_s: sources.pop(0))
        ear.run()
    health = ear.health
    gaps += health.opened - 1  # it came back
    assert (health.samples, health.samples_lost, health.gaps) == (sent, lost, gaps)
    used = health.samples_in_segments + health.samples_discarded + health.samples_muted
    assert used == sent
    assert health.samples_in_segments == sum(one.segment.samples.size for one in ear.utterances)
