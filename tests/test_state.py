import json
from datetime import UTC, datetime, timedelta

import pytest

from serd.settings import StateSettings
from serd.state import IDLE, SmoothedState

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
ANGRY = {"angry": 0.9, "sad": 0.1}
SAD = {"angry": 0.1, "sad": 0.9}


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def state(**settings) -> SmoothedState:
    return SmoothedState(StateSettings(**settings), START)


def test_idle_at_first():
    said = state().at(after(5)).to_json()
    assert said == (
        '{"emotion":"idle","confidence":null,"scores":{},"since":"2026-01-01T10:00:00.000Z"}'
    )


def test_one_utterance_is_the_state():
    said = json.loads(state().feed(after(2), ANGRY).to_json())
    assert said == {
        "emotion": "angry",
        "confidence": 0.9,
        "scores": ANGRY,
        "since": "2026-01-01T10:00:02.000Z",
    }


def test_an_utterance_counts_half_after_the_half_life():
    smoothed = state(half_life_s=10, idle_after_s=100)
    smoothed.feed(after(0), ANGRY)
    said = smoothed.feed(after(10), SAD)
    assert said.emotion == "sad"
    assert said.scores["sad"] == pytest.approx((0.9 + 0.1 / 2) / 1.5)
    assert sum(said.scores.values()) == pytest.approx(1)


def test_one_odd_utterance_does_not_turn_it():
    smoothed = state()
    for second in (0, 2, 4):
        smoothed.feed(after(second), ANGRY)
    said = smoothed.feed(after(6), SAD)
    assert said.emotion == "angry"
    assert said.since == START
    said = smoothed.feed(after(25), SAD)
    assert (said.emotion, said.since) == ("sad", after(25))


def test_idle_after_a_silence():
    smoothed = state(idle_after_s=30)
    smoothed.feed(after(1), ANGRY)
    assert smoothed.at(after(30.9)).emotion == "angry"
    said = smoothed.at(after(45))
    assert (said.emotion, said.since) == (IDLE, after(31))
    assert smoothed.at(after(500)) == said


def test_what_was_before_a_silence_is_forgotten():
    asked, unasked = state(), state()
    for one in (asked, unasked):
        one.feed(after(0), ANGRY)
    asked.at(after(40))
    assert asked.feed(after(50), SAD) == unasked.feed(after(50), SAD)
    assert unasked.at(after(50)).scores == pytest.approx(SAD)


def test_a_clock_set_back_harms_nothing():
    smoothed = state()
    smoothed.feed(after(10), ANGRY)
    said = smoothed.feed(after(-3600), SAD)
    assert said.scores == pytest.approx({"angry": 0.5, "sad": 0.5})
