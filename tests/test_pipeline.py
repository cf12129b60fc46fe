import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from serd import bundle
from serd.audio import SAMPLE_RATE, read
from serd.capture import Block
from serd.classifier import UNCERTAIN, Classifier
from serd.cleaning import Cleaning
from serd.pipeline import Recogniser, Stream
from serd.segmentation import segments_of
from serd.settings import SegmentSettings

SETTINGS = SegmentSettings()
FRAME = SETTINGS.frame_ms * SAMPLE_RATE // 1000
HANGOVER = SETTINGS.frames(SETTINGS.min_silence_duration_ms) * FRAME
START = datetime(2026, 1, 1, 10, tzinfo=UTC)


class FakeClock:
    """Stands in for the class `datetime`."""

    time = START

    def now(self, _zone):
        return self.time


@pytest.fixture
def clock(monkeypatch):
    fake = FakeClock()
    monkeypatch.setattr("serd.pipeline.datetime", fake)
    return fake


@pytest.fixture(scope="module")
def pcm(woman):
    return read(woman)


@pytest.fixture(scope="module")
def segments(pcm):
    found = list(segments_of([pcm], SETTINGS))
    assert len(found) >= 4
    return found


def blocks_of(pcm, size):
    return [Block(pcm[start : start + size]) for start in range(0, pcm.size, size)]


def utterances(stream, blocks):
    found = [utterance for block in blocks for utterance in stream.feed(block)]
    return found + list(stream.flush())


def same(one, other):
    return (one.start, one.truncated) == (other.start, other.truncated) and np.array_equal(
        one.samples, other.samples
    )


@pytest.mark.parametrize("size", [17, 509, 4096])
@pytest.mark.parametrize("live", [False, True])
def test_streaming_equals_one_shot(pcm, segments, size, live):
    stream = Stream("mic", SETTINGS, live)
    found = utterances(stream, blocks_of(pcm, size))
    assert len(found) == len(segments)
    assert all(same(one.segment, two) for one, two in zip(found, segments, strict=True))
    assert {one.source for one in found} == {"mic"}
    assert stream.samples_in_segments == sum(one.samples.size for one in segments)
    assert stream.samples_in_segments + stream.samples_discarded == pcm.size


def test_an_utterance_comes_with_the_block_that_completes_it(pcm, segments):
    stream = Stream("mic", SETTINGS, live=False)
    position, ends = 0, []
    for block in blocks_of(pcm, FRAME):
        position += block.samples.size
        ends += [position - one.segment.end for one in stream.feed(block)]
    assert len(ends) >= len(segments) - 1  # the last may need the end of the file
    assert all(0 <= late <= HANGOVER for late in ends)


def test_time_in_a_file_goes_with_its_samples(pcm, segments, clock):
    stream = Stream("file", SETTINGS, live=False)
    found = []
    for block in blocks_of(pcm, 509):
        clock.time += timedelta(hours=1)
        found += stream.feed(block)
    found += stream.flush()
    expected = [START + timedelta(seconds=one.start / SAMPLE_RATE) for one in segments]
    assert [one.start for one in found] == expected


def test_time_of_a_microphone_is_when_its_blocks_arrive(pcm, segments, clock):
    stream = Stream("mic", SETTINGS, live=True)
    found = []
    # The stream stands still for a minute here, when the utterance before is complete.
    stalled_at = segments[2].start + segments[2].samples.size // 2
    for number, block in enumerate(blocks_of(pcm, FRAME), 1):
        late_s = 60 if number * FRAME > stalled_at else 0
        clock.time = START + timedelta(seconds=number * FRAME / SAMPLE_RATE + late_s)
        found += stream.feed(block)
    found += stream.flush()
    seconds = [(one.start - START).total_seconds() for one in found]
    expected = [
        one.start / SAMPLE_RATE + (60 if number >= 2 else 0) for number, one in enumerate(segments)
    ]
    assert seconds == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("shift", [0, 17])  # of the gap against the frames
def test_an_utterance_ends_at_a_gap(pcm, segments, clock, live, shift):
    lost = 48_000
    cut = (segments[1].start + segments[1].samples.size // 2) // FRAME * FRAME + shift
    stream = Stream("mic", SETTINGS, live)
    found = list(stream.feed(Block(pcm[:cut])))
    clock.time += timedelta(seconds=lost / SAMPLE_RATE)
    (before,) = [one.segment for one in stream.feed(Block(pcm[cut : cut + 1], lost))]
    found += utterances(stream, [Block(pcm[cut + 1 :])])
    assert before.truncated
    assert before.start == segments[1].start
    assert before.end <= cut
    after = [one.segment for one in found if one.segment.start > segments[1].start]
    assert after
    assert after[0].start >= cut + lost
    assert all(np.array_equal(one.samples, pcm[one.start - lost : one.end - lost]) for one in after)
    if shift == 0:  # the same frames, and so the same cuts
        assert [one.start - lost for one in after[-2:]] == [one.start for one in segments[-2:]]
    if live:
        began = clock.time - timedelta(seconds=(pcm.size + lost) / SAMPLE_RATE)
        told = [(one.start - began).total_seconds() for one in found[-len(after) :]]
        expected = [one.start / SAMPLE_RATE for one in after]
        assert told == pytest.approx(expected, abs=1e-5)
    else:
        told = [(one.start - START).total_seconds() for one in found]
        assert told == pytest.approx([one.segment.start / SAMPLE_RATE for one in found], abs=1e-5)


def test_what_is_skipped_is_in_no_utterance(pcm, segments):
    first, last = segments[0].end + HANGOVER, segments[2].start + FRAME
    stream = Stream("mic", SETTINGS, live=False)
    found = list(stream.feed(Block(pcm[:first])))
    for block in blocks_of(pcm[first:last], 509):
        found += stream.skip(block)
    found += utterances(stream, [Block(pcm[last:])])
    pieces = [one.segment for one in found]
    assert same(pieces[0], segments[0])
    assert pieces[-1].start == pytest.approx(segments[-1].start, abs=5 * FRAME)  # time went on
    for one in pieces:
        assert np.array_equal(one.samples, pcm[one.start : one.end])
    assert all(one.end <= first or one.start >= last for one in pieces)
    used = stream.samples_in_segments + stream.samples_discarded
    assert used == pcm.size - (last - first)


def test_muting_cuts_off_what_is_being_said(pcm, segments):
    middle = segments[0].start + segments[0].samples.size // 2
    stream = Stream("mic", SETTINGS, live=True)
    assert not list(stream.feed(Block(pcm[:middle])))
    (cut_off,) = stream.skip(Block(pcm[middle:]))
    assert cut_off.segment.truncated
    assert cut_off.segment.end <= middle
    assert not list(stream.flush())


def test_a_gap_before_what_is_skipped_is_counted_once(pcm, segments):
    stream = Stream("mic", SETTINGS, live=False)
    assert not list(stream.skip(Block(pcm[:100], lost=1_000)))
    found = utterances(stream, [Block(pcm)])
    assert found[0].segment.start == pytest.approx(segments[0].start + 1_100, abs=FRAME)


@pytest.fixture(scope="module")
def recogniser():
    as_it_is = Cleaning(below_snr_db=float("-inf"))
    return Recogniser("pi", Classifier(bundle.load(bundle.find("cnn"))), as_it_is)


def test_an_event_tells_whether_noise_was_taken_out(pcm, recogniser):
    stream = Stream("mic", SETTINGS, live=False)
    utterance = utterances(stream, [Block(pcm)])[0]
    quieter = Cleaning(below_snr_db=float("inf"), denoiser=lambda samples: samples // 8)
    cleaned = Recogniser("pi", Classifier(bundle.load(bundle.find("cnn"))), quieter)
    event, plain = cleaned.recognise(utterance), recogniser.recognise(utterance)
    assert (event.denoised, plain.denoised) == (True, False)
    assert event.snr_db == plain.snr_db
    assert event.dbfs == plain.dbfs  # of what was heard
    assert event.scores != plain.scores


def test_an_event_says_all_that_the_contract_promises(pcm, segments, recogniser):
    labels = bundle.read_card(bundle.find("cnn")).labels
    stream = Stream("mic", SETTINGS, live=False)
    utterance = utterances(stream, [Block(pcm)])[0]
    event = recogniser.recognise(utterance)
    said = json.loads(event.to_json())
    said.pop("best", None)  # only where the event is uncertain
    assert list(said) == [
        *("schema", "id", "node", "source", "event_type", "confidence", "scores", "start", "end"),
        *("duration_ms", "dbfs", "snr_db", "truncated", "denoised", "queued", "model"),
        "latency_ms",
    ]
    assert (said["node"], said["source"]) == ("pi", "mic")
    assert tuple(said["scores"]) == labels
    assert sum(event.scores.values()) == pytest.approx(1, abs=1e-6)
    assert said["confidence"] == max(said["scores"].values())
    assert said["event_type"] in (event.best, UNCERTAIN)
    assert event.start == utterance.start
    length_s = segments[0].samples.size / SAMPLE_RATE
    assert (event.end - event.start).total_seconds() == pytest.approx(length_s, abs=1e-5)
    assert said["duration_ms"] == round(length_s * 1000)
    assert -80 < said["dbfs"] < -3
    assert 3 < said["snr_db"] <= 60
    assert said["truncated"] is said["denoised"] is said["queued"] is False
    assert said["model"] == bundle.read_card(bundle.find("cnn")).id
    assert said["latency_ms"] >= 0


def test_an_event_tells_what_the_utterance_was(pcm, recogniser):
    stream = Stream("mic", SegmentSettings(max_speech_duration_s=1), live=False)
    cut = utterances(stream, [Block(pcm)])
    events = [recogniser.recognise(one) for one in cut]
    assert [one.truncated for one in events] == [one.segment.truncated for one in cut]
    assert any(one.truncated for one in events)
    assert len({one.id for one in events}) == len(events)


def test_latency_counts_from_the_certain_end(pcm, recogniser):
    stream = Stream("mic", SETTINGS, live=False)
    utterance = utterances(stream, [Block(pcm)])[0]
    assert utterance.ready <= time.monotonic()
    object.__setattr__(utterance, "ready", time.monotonic() - 5)
    assert recogniser.recognise(utterance).latency_ms >= 5_000
