import itertools
import json
import logging
import os
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serd.audio import SAMPLE_RATE, read
from serd.capture import ChildSource, FileSource, SourceError, open_source
from serd.child import Gaps

# Writes the samples 0, 1, 2, … and each gap just before the first sample that follows it.
FAKE = """
import array, json, os, sys
plan = json.loads(sys.argv[1])
gaps = {2 * position: lost for position, lost in plan["gaps"]}
data = array.array("h", range(plan["samples"])).tobytes()
start = 0
for end in sorted({*plan["writes"], *gaps, len(data)}):
    os.write(1, data[start:end])
    start = end
    if end in gaps:
        os.write(2, b"noise\\nserd-gap %d %d\\n" % (end // 2, gaps[end]))
"""


def python(code, *arguments):
    return [sys.executable, "-S", "-c", code, *arguments]


def until_it_ends(source):
    """All blocks, and why there are no more."""
    blocks = []
    with pytest.raises(SourceError) as error:
        blocks.extend(source.blocks())
    return blocks, str(error.value)


def lost_at(blocks):
    """Position in the stream → samples lost there."""
    starts = np.cumsum([0, *(block.samples.size for block in blocks)])
    return {
        int(start): block.lost for start, block in zip(starts, blocks, strict=False) if block.lost
    }


def all_samples(blocks):
    return np.concatenate([np.zeros(0, np.int16), *(block.samples for block in blocks)])


@given(
    st.lists(st.integers(0, 50), max_size=20),
    st.dictionaries(st.integers(0, 300), st.integers(1, 9), max_size=8),
    st.integers(0, 50),
)
def test_gaps_lie_at_their_samples_however_the_stream_is_cut(sizes, gaps, ahead):
    told, split, blocks, position = set(), Gaps(), [], 0
    for size in sizes:
        for at in gaps.keys() - told:
            if at < position + size + ahead:  # gaps may be told long before their samples come
                split.add(at, gaps[at])
                told.add(at)
        blocks += split.split(np.arange(position, position + size, dtype=np.int16))
        position += size
    assert all_samples(blocks).tolist() == list(range(position))
    assert all(block.samples.size for block in blocks)
    assert lost_at(blocks) == {at: lost for at, lost in gaps.items() if at < position}


def test_a_gap_told_too_late_is_kept():
    split = Gaps()
    split.split(np.zeros(10, np.int16))
    split.add(4, 3)
    split.add(10, 2)
    assert [block.lost for block in split.split(np.zeros(5, np.int16))] == [5]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_child_s_gaps_are_exact_to_the_sample(data):
    samples = data.draw(st.integers(1, 30_000))
    positions = st.integers(0, samples - 1)
    gaps = data.draw(st.dictionaries(positions, st.integers(1, 10**6), max_size=6))
    writes = data.draw(st.lists(st.integers(0, 2 * samples), max_size=30))
    plan = {"samples": samples, "gaps": list(gaps.items()), "writes": writes}
    blocks, reason = until_it_ends(ChildSource(python(FAKE, json.dumps(plan))))
    assert all_samples(blocks).tolist() == list(range(samples))
    assert lost_at(blocks) == gaps
    assert reason == "ended with exit code 0" + (": noise" if gaps else "")


def test_an_exec_source_gives_what_a_program_writes(tmp_path):
    pcm = np.random.default_rng(0).integers(-32768, 32768, 40_001).astype("<i2")
    path = tmp_path / "with space.pcm"
    path.write_bytes(pcm.tobytes() + b"!")  # half a sample at the end is no sample
    blocks, reason = until_it_ends(open_source(f"exec:cat '{path}'"))
    assert np.array_equal(all_samples(blocks), pcm)
    assert reason == "ended with exit code 0"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sh -c 'echo first; echo so; echo woe >&2; exit 3'", "ended with exit code 3: woe"),
        ("sh -c 'printf unfinished >&2; exit 1'", "ended with exit code 1: unfinished"),
        ("sh -c 'echo serd: why >&2; echo rubbish >&2; exit 2'", "ended with exit code 2: why"),
        ("sh -c 'kill -9 $$'", "ended by signal 9"),
        ("sh -c 'exec >&-; sleep 1000'", "closed its stdout"),
        ("/no/Such/program", "/no/Such/program: no such file or directory"),
        ("/", "/: permission denied"),
    ],
)
def test_the_reason_of_an_end_is_told(command, reason):
    assert until_it_ends(open_source("exec:" + command))[1] == reason


def test_a_silent_child_is_ended():
    child = python("import os, time; os.write(1, bytes(64)); time.sleep(1000)")
    source = ChildSource(child, silent_after_s=0.3, start_within_s=60)
    blocks, reason = until_it_ends(source)
    assert all_samples(blocks).size == 32
    assert reason == "no audio for 0.3 s"


def test_a_child_that_only_talks_on_stderr_is_silent():
    child = ["sh", "-c", "while :; do echo waiting >&2; sleep 0.01; done"]
    assert until_it_ends(ChildSource(child, start_within_s=0.3))[1] == "no audio for 0.3 s"


def test_a_slow_reader_does_not_make_a_child_silent():
    source = ChildSource(["cat", "/dev/zero"], silent_after_s=0.2)
    blocks = source.blocks()
    for _ in range(3):
        assert next(blocks).samples.size
        time.sleep(0.4)
    source.close()


def test_what_a_child_says_is_logged_in_bounded_lines(caplog):
    code = r"""
import os
os.write(2, b"x" * 200_000 + b"\n\x1b[31mred\rserd-gap one 2\n" + bytes([255, 10]))
os.write(1, bytes(2))
"""
    with caplog.at_level(logging.INFO, "serd"):
        until_it_ends(ChildSource(python(code), name="cam"))
    said = [record.getMessage() for record in caplog.records]
    assert said[1:] == ["cam: ?[31mred", "cam: serd-gap one 2", "cam: \ufffd"]
    assert said[0].startswith("cam: xxx")
    assert len(said[0]) < 300


def test_what_a_microphone_says_is_logged_without_its_name_twice(caplog):
    say = "echo 'serd: microphone hw:9,9: no such device' >&2; exit 2"
    source = ChildSource(["sh", "-c", say], name="microphone hw:9,9")
    with (
        caplog.at_level(logging.INFO, "serd"),
        pytest.raises(
            SourceError, match="ended with exit code 2: microphone hw:9,9: no such device"
        ),
    ):
        list(source.blocks())
    assert caplog.messages == ["microphone hw:9,9: no such device"]


def test_a_flood_on_stderr_is_left_out_but_for_gaps_and_the_end(caplog):
    code = r"""
import os, time
os.write(1, bytes(64))
time.sleep(0.2)
os.write(2, b"noise\n" * 5_000 + b"serd-gap 32 7\n" + b"noise\n" * 3_000 + b"out of paper\n")
os.write(1, bytes(64))
time.sleep(0.2)
os._exit(4)
"""
    with caplog.at_level(logging.INFO, "serd"):
        blocks, reason = until_it_ends(ChildSource(python(code), name="cam"))
    assert lost_at(blocks) == {32: 7}
    assert reason == "ended with exit code 4: out of paper"
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "cam: noise"
    assert "cam: says more than is logged" in said
    assert len(said) < 100


def alive_in_group(group):
    return [
        process.pid
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and _group(process.pid) == group
    ]


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def open_files():
    return psutil.Process().num_fds()


def eventually(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("sound", ["head -c 320 /dev/zero", ":"], ids=["sounding", "silent"])
def test_close_from_another_thread_leaves_nothing_behind(sound):
    files = open_files()
    # neither the child nor its own child heeds a polite request
    script = f"trap '' TERM; sleep 1000 & while :; do {sound}; sleep 0.01; done"
    source = ChildSource(["sh", "-c", script], start_within_s=1000)
    reader = threading.Thread(target=lambda: list(source.blocks()), daemon=True)
    reader.start()
    assert eventually(lambda: source._process and len(alive_in_group(source._process.pid)) > 1)
    group = source._process.pid
    source.close()
    reader.join(30)
    assert not reader.is_alive()
    assert eventually(lambda: not alive_in_group(group))
    assert not psutil.pid_exists(group), "a zombie is left"
    assert open_files() == files
    source.close()


def test_a_child_whose_blocks_are_abandoned_is_ended():
    source = ChildSource(["cat", "/dev/zero"])
    for _ in source.blocks():
        group = source._process.pid
        break
    assert eventually(lambda: not psutil.pid_exists(group))


def test_a_source_closed_beforehand_starts_nothing(tmp_path):
    source = open_source(f"exec:touch {tmp_path}/started")
    source.close()
    assert list(source.blocks()) == []
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("exec:echo 'half", "no closing quotation"),
        ("exec: ", "nothing follows"),
        ("file:a.wav?speed=2", "speed can only be max"),
    ],
)
def test_words_that_make_no_source_are_refused(spec, reason):
    with pytest.raises(SourceError, match=reason):
        open_source(spec)


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk?.wav"
    noise = np.random.default_rng(1).integers(-9000, 9000, 11_025 * 2)
    soundfile.write(path, noise.astype(np.int16), 11_025)
    return path


class FakeTime:
    now = 100.0

    def clock(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


def test_a_file_comes_as_a_microphone_would_have_heard_it(talk):
    fake = FakeTime()
    source = FileSource(talk, clock=fake.clock, wait=fake.wait)
    position, samples = 0, []
    for number, block in enumerate(source.blocks()):
        position += block.samples.size
        samples.append(block.samples)
        heard = 100 + position / SAMPLE_RATE
        if 5 <= number < 15:  # a reader that was slow catches up, without shifting the rest
            if number == 5:
                fake.now += 0.5
            assert fake.now >= heard
        else:
            assert fake.now == pytest.approx(heard)
    assert not source.live
    assert np.array_equal(np.concatenate(samples), read(talk))


def test_a_file_at_full_speed_never_waits(talk, monkeypatch):
    source = open_source(f"file:{talk}?speed=max")
    monkeypatch.setattr(source, "_wait", lambda _seconds: pytest.fail("waited"))
    assert np.array_equal(all_samples(list(source.blocks())), read(talk))


def test_closing_a_file_ends_its_wait(talk):
    times = itertools.chain([1e6], itertools.repeat(0.0))  # the first block is 11 days away
    source = FileSource(talk, clock=lambda: next(times))
    threading.Timer(0.1, source.close).start()
    assert list(source.blocks()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.wav", "no such file"),
        ("empty.wav", "is empty"),
        ("text.wav", "not readable"),
        ("", "is a directory"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path, name, reason):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    _, said = until_it_ends(open_source(f"file:{tmp_path / name}"))
    assert said.startswith(f"{tmp_path / name}: {reason}")
    assert "\n" not in said
