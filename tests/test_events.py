import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd.events import EmotionEvent, as_queued, iso

EVENT = EmotionEvent(
    id="01KDWH0SJ000000000000000AB",
    node="pi",
    source="mic",
    event_type="angry",
    confidence=0.81234567,
    scores={"neutral": 0.02, "angry": 0.81234567, "sad": 0.16765433},
    start=datetime(2026, 1, 1, 10, 0, 0, 120_000, UTC),
    end=datetime(2026, 1, 1, 10, 0, 2, 430_000, UTC),
    duration_ms=2310,
    dbfs=-23.1499,
    snr_db=14.24,
    truncated=False,
    denoised=False,
    model="cnn-1.2",
    latency_ms=9,
)

# The contract: other people's programs read this. Keys are only ever added.
GOLDEN = (
    '{"schema":1,"id":"01KDWH0SJ000000000000000AB","node":"pi","source":"mic",'
    '"event_type":"angry","confidence":0.8123,'
    '"scores":{"neutral":0.02,"angry":0.8123,"sad":0.1677},'
    '"start":"2026-01-01T10:00:00.120Z","end":"2026-01-01T10:00:02.430Z",'
    '"duration_ms":2310,"dbfs":-23.1,"snr_db":14.2,"truncated":false,"denoised":false,'
    '"queued":false,"model":"cnn-1.2","latency_ms":9}'
)


def test_the_json_is_the_contract():
    assert EVENT.to_json() == GOLDEN


def test_an_uncertain_event_names_the_best_label():
    said = json.loads(replace(EVENT, event_type="uncertain").to_json())
    assert said.pop("best") == "angry"
    assert list(said) == list(json.loads(GOLDEN))


def test_there_and_back():
    read = EmotionEvent.from_json(GOLDEN)
    assert read.to_json() == GOLDEN
    assert read.start == EVENT.start
    assert replace(EVENT, snr_db=None).to_json().count('"snr_db":null') == 1


def test_keys_added_later_do_not_matter():
    assert EmotionEvent.from_json(json.dumps(json.loads(GOLDEN) | {"mood": 1})).source == "mic"


@pytest.mark.parametrize(
    "payload",
    ["", "[]", "{}", GOLDEN[:-1], GOLDEN.replace('"schema":1', '"schema":2'), '{"schema":1}',
     GOLDEN.replace("2026-01-01T10:00:00.120Z", "yesterday")],
)  # fmt: skip
def test_what_is_no_event_is_refused(payload):
    with pytest.raises(ValueError, match=r".+"):
        EmotionEvent.from_json(payload)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=9))
def test_rounded_scores_sum_to_one(weights):
    total = sum(weights)
    scores = {f"label{i}": weight / total for i, weight in enumerate(weights)}
    said = json.loads(replace(EVENT, scores=scores).to_json())["scores"]
    assert list(said) == list(scores)
    assert sum(said.values()) == pytest.approx(1, abs=1e-3)


def test_what_json_cannot_say_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        replace(EVENT, dbfs=float("-inf")).to_json()


def test_queued_changes_nothing_else():
    assert as_queued(GOLDEN) == GOLDEN.replace('"queued":false', '"queued":true')


def test_times_are_told_in_utc():
    east = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert iso(east) == "2026-01-01T10:00:00.000Z"


def test_each_event_has_an_id_of_its_own():
    given = {name: getattr(EVENT, name) for name in EVENT.__dataclass_fields__ if name != "id"}
    ids = {EmotionEvent(**given).id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(one) == 26 for one in ids)
