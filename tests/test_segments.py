import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from serd.audio import Framer, Pcm, read, read_blocks
from serd.segmentation import Segmentation, segments_of
from serd.segments import Segment, Segmenter
from serd.settings import SegmentSettings

FRAME = 7
"""Samples in a frame of the hand-made streams; the segmenter does not care."""


def settings(**changes: float) -> SegmentSettings:
    """Small, easily counted settings: 4 frames of window, 2 of padding, 6 of hangover."""
    small = {
        "frame_ms": 10,
        "onset_window_ms": 40,
        "onset_share": 0.75,
        "offset_share": 0.5,
        "speech_pad_ms": 20,
        "min_silence_duration_ms": 60,
        "min_speech_duration_ms": 30,
        "max_speech_duration_s": 1,
    }
    return SegmentSettings.model_validate(small | changes)


def positions(start: int, end: int) -> Pcm:
    """A sound that tells its place in the stream (modulo 65536)."""
    return np.arange(start, end).astype(np.int16)


def frames_of(flags: str) -> list[tuple[Pcm, bool]]:
    """One frame per sign, `#` being speech."""
    return [(positions(i * FRAME, (i + 1) * FRAME), sign == "#") for i, sign in enumerate(flags)]


def cut(flags: str, **changes: float) -> list[tuple[int, int]]:
    """The segments of a whole stream as (first frame, frame after the last)."""
    segmenter = Segmenter(settings(**changes))
    segments = [s for frame in frames_of(flags) for s in segmenter.feed(*frame)]
    return [(s.start // FRAME, s.end // FRAME) for s in segments + segmenter.flush()]


def bounds(segments: list[Segment]) -> list[tuple[int, int, bool]]:
    return [(s.start, s.end, s.truncated) for s in segments]


# Hand-made streams


def test_padding_is_kept_on_both_sides():
    assert cut("." * 10 + "#" * 10 + "." * 10) == [(8, 22)]


def test_padding_ends_where_the_stream_does():
    assert cut("." + "#" * 10 + ".") == [(0, 12)]


def test_hangover_bridges_a_short_pause_and_not_a_long_one():
    speech = "#" * 10
    assert cut(speech + "." * 4 + speech) == [(0, 24)]
    assert cut(speech + "." * 6 + speech) == [(0, 12), (14, 26)]


def test_a_segment_comes_with_the_last_frame_of_its_hangover():
    segmenter = Segmenter(settings())
    counts = [len(segmenter.feed(*frame)) for frame in frames_of("#" * 10 + "." * 8)]
    assert counts == [0] * 15 + [1, 0, 0]


def test_padding_of_neighbours_does_not_overlap():
    speech = "#" * 10
    separate = cut(speech + "." * 6 + speech, speech_pad_ms=60)
    assert separate == [(0, 16), (16, 26)]


def test_isolated_blips_do_not_start_an_utterance():
    assert cut("#..." * 50) == []
    assert cut("##.." * 50) == []


def test_isolated_blips_do_not_prolong_an_utterance():
    assert cut("#" * 10 + "...#" * 20) == cut("#" * 10 + "." * 80) == [(0, 12)]


def test_speech_that_would_not_start_an_utterance_still_prolongs_it():
    thin = "##.." * 10
    assert cut(thin) == []
    assert cut("#" * 10 + thin) == [(0, 50)]


def test_speech_below_the_shortest_is_dropped():
    assert cut("..#####" + "." * 20, min_speech_duration_ms=60) == []
    assert cut("..######" + "." * 20, min_speech_duration_ms=60) == [(0, 10)]


def test_an_utterance_without_pause_is_split_at_the_longest():
    assert cut("#" * 250) == [(0, 100), (100, 200), (200, 250)]


def test_a_long_utterance_is_split_in_its_longest_pause():
    speech = "#" * 30 + "." * 3 + "#" * 30 + "." * 2 + "#" * 60
    assert cut(speech) == [(0, 32), (32, 125)]


def test_of_equal_pauses_the_last_splits():
    speech = "#" * 30 + "." * 2 + "#" * 30 + "." * 2 + "#" * 60
    assert cut(speech) == [(0, 63), (63, 124)]


def test_no_split_leaves_less_than_the_shortest_behind():
    speech = "." * 20 + "#" * 4 + "." * 3 + "#" * 40 + "." * 2 + "#" * 60
    kept = cut(speech, min_speech_duration_ms=100, speech_pad_ms=60)
    assert kept == [(14, 68), (68, 129)]


def test_a_rest_without_speech_after_a_split_is_discarded():
    quiet_end = "#" * 95 + "." * 40
    assert cut(quiet_end, min_silence_duration_ms=200) == [(0, 98)]
    spoken_again = quiet_end + "#" * 10
    assert cut(spoken_again, min_silence_duration_ms=200) == [(0, 98), (133, 145)]


def test_hangover_counts_on_through_a_split():
    stream = "#" * 95 + "." * 8 + "#" * 10
    assert cut(stream, min_silence_duration_ms=80) == [(0, 98), (101, 113)]


def test_only_what_was_cut_off_is_called_truncated():
    segmenter = Segmenter(settings())
    segments = [s for frame in frames_of("#" * 150 + "." * 10) for s in segmenter.feed(*frame)]
    assert [s.truncated for s in segments] == [True, False]


def test_a_gap_ends_an_utterance_and_is_skipped():
    segmenter = Segmenter(settings())
    for frame in frames_of("#" * 10):
        assert segmenter.feed(*frame) == []
    before = segmenter.gap(lost_samples=1000)
    for samples, is_speech in frames_of("#" * 10):
        assert segmenter.feed(samples, is_speech) == []
    after = segmenter.flush()
    assert bounds(before) == [(0, 10 * FRAME, True)]
    assert bounds(after) == [(10 * FRAME + 1000, 20 * FRAME + 1000, False)]


def test_speech_on_both_sides_of_a_gap_is_not_added_up():
    segmenter = Segmenter(settings())
    for frame in frames_of("##"):
        segmenter.feed(*frame)
    assert segmenter.gap(lost_samples=FRAME) == []
    assert [s for frame in frames_of("##......") for s in segmenter.feed(*frame)] == []
    assert segmenter.flush() == []


def test_silence_is_not_hoarded():
    segmenter = Segmenter(settings())
    for i, (samples, is_speech) in enumerate(frames_of("." * 1000)):
        segmenter.feed(samples, is_speech)
        assert segmenter.samples_held <= 6 * FRAME
        assert segmenter.samples_held + segmenter.samples_discarded == (i + 1) * FRAME


# Any stream

runs = st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=20)
streams = runs.map(lambda rs: "".join(("#" if speech else ".") * n for speech, n in rs))
shares = st.tuples(st.floats(0.05, 1), st.floats(0, 1)).map(lambda pair: sorted(pair, reverse=True))
any_settings = st.builds(
    lambda shares, **rest: settings(onset_share=shares[0], offset_share=shares[1], **rest),
    shares,
    onset_window_ms=st.integers(30, 200),
    speech_pad_ms=st.integers(0, 100),
    min_silence_duration_ms=st.integers(100, 400),
    min_speech_duration_ms=st.integers(10, 300),
    max_speech_duration_s=st.floats(1, 2),
)


@given(streams, any_settings, st.dictionaries(st.integers(0, 500), st.integers(0, 5000)))
def test_every_sample_is_counted_once_and_in_its_place(flags, chosen, gaps):
    segmenter = Segmenter(chosen)
    segments: list[Segment] = []
    place = fed = 0
    holes: list[tuple[int, int]] = []
    for i, sign in enumerate(flags):
        if i in gaps:
            segments += segmenter.gap(gaps[i])
            holes.append((place, place + gaps[i]))
            place += gaps[i]
        segments += segmenter.feed(positions(place, place + FRAME), sign == "#")
        place += FRAME
        fed += FRAME
        counted = segmenter.samples_in_segments + segmenter.samples_discarded
        assert counted + segmenter.samples_held == fed
    segments += segmenter.flush()
    assert segmenter.samples_held == 0
    assert segmenter.samples_in_segments == sum(s.samples.size for s in segments)
    assert segmenter.samples_in_segments + segmenter.samples_discarded == fed
    assert all(left.end <= right.start for left, right in pairwise(segments))
    for segment in segments:
        np.testing.assert_array_equal(segment.samples, positions(segment.start, segment.end))
        assert not any(segment.start < end and start < segment.end for start, end in holes)


@given(streams, any_settings)
def test_lengths_keep_their_bounds(flags, chosen):
    segmenter = Segmenter(chosen)
    segments = [s for frame in frames_of(flags) for s in segmenter.feed(*frame)]
    for segment in segments + segmenter.flush():
        spoken = flags[segment.start // FRAME : segment.end // FRAME].count("#")
        assert segment.samples.size / FRAME * 10 <= chosen.max_speech_duration_s * 1000
        assert spoken * 10 >= chosen.min_speech_duration_ms


@given(streams, any_settings)
def test_nothing_starts_without_an_onset(flags, chosen):
    window = chosen.frames(chosen.onset_window_ms)
    fullest = max((flags[i : i + window].count("#") for i in range(len(flags))), default=0)
    segmenter = Segmenter(chosen)
    found = bool([s for f in frames_of(flags) for s in segmenter.feed(*f)] or segmenter.flush())
    assert not found or fullest / window >= chosen.onset_share


@given(streams, any_settings)
def test_what_is_not_cut_at_the_longest_is_padded_speech(flags, chosen):
    """The quiet at the ends of a segment is never longer than the padding."""
    segmenter = Segmenter(chosen)
    segments = [s for frame in frames_of(flags) for s in segmenter.feed(*frame)]
    pad = chosen.frames(chosen.speech_pad_ms)
    if any(s.truncated for s in segments):
        return
    for segment in segments + segmenter.flush():
        inside = flags[segment.start // FRAME : segment.end // FRAME]
        assert len(inside) - len(inside.lstrip(".")) <= pad
        assert len(inside) - len(inside.rstrip(".")) <= pad


class Loudness:
    """A detector without memory."""

    def is_speech(self, frame: Pcm) -> bool:
        return bool(np.abs(frame.astype(np.int32)).mean() > 1000)


def chunks(samples: Pcm, sizes: list[int]) -> list[Pcm]:
    edges = np.cumsum(np.resize(sizes, 1 + samples.size // min(sizes)))
    return np.split(samples, edges[edges < samples.size])


def segment_in(parts: list[Pcm]) -> list[tuple[int, int, bytes]]:
    segmentation = Segmentation(SegmentSettings(), Loudness())
    found = [s for part in parts for s in segmentation.feed(part)] + list(segmentation.flush())
    return [(s.start, s.end, s.samples.tobytes()) for s in found]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 24_000)), max_size=8),
    st.sampled_from([[17], [509], [4096]]) | st.lists(st.integers(17, 9000), min_size=1),
)
def test_chunking_changes_nothing(loud_and_quiet, sizes):
    rng = np.random.default_rng(0)
    parts = [rng.integers(-9000, 9000, n) if loud else np.zeros(n) for loud, n in loud_and_quiet]
    sound = np.concatenate([*parts, np.zeros(0)]).astype(np.int16)
    assert segment_in(chunks(sound, sizes)) == segment_in([sound])


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 40))
def test_framer_neither_loses_nor_doubles(sizes, frame_samples):
    framer = Framer(frame_samples)
    sound = positions(0, sum(sizes))
    frames = [f for part in np.split(sound, np.cumsum(sizes)) for f in framer.feed(part)]
    assert all(frame.size == frame_samples for frame in frames)
    rest = framer.flush()
    assert rest.size < frame_samples
    np.testing.assert_array_equal(np.concatenate([*frames, rest]), sound)
    assert framer.flush().size == 0


# Real speech


def speech_clips() -> list[Path]:
    demo = sorted((Path(__file__).parent.parent / "demo").glob("*.flac"))
    data = os.environ.get("SERD_DATA")
    return demo[:3] or (
        sorted(Path(data).glob("ravdess/*/*-05-02-01-01-*.flac"))[:3] if data else []
    )


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
def test_real_speech_gives_the_same_segments_however_it_arrives(sample_rate, tmp_path):
    clips = speech_clips()
    if not clips:
        pytest.skip("no demo/*.flac, and SERD_DATA is not set")
    # With a pause between them, so that there is more than one segment.
    sound = np.concatenate([np.append(read(clip), np.zeros(16_000, np.int16)) for clip in clips])
    path = tmp_path / "speech.wav"
    soundfile.write(path, soxr.resample(sound, 16_000, sample_rate), sample_rate)

    def segments(block_samples: int) -> list[tuple[int, int, bytes]]:
        found = segments_of(read_blocks(path, block_samples), SegmentSettings())
        return [(s.start, s.end, s.samples.tobytes()) for s in found]

    whole = segments(10**9)
    assert len(whole) >= len(clips)
    for block_samples in (17, 509, 4096):
        assert segments(block_samples) == whole
