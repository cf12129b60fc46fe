import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import numpy as np
import pytest

from serd.audio import SAMPLE_RATE, Resampler, pcm_to_float, read
from serd.capture import SourceError, devices, open_source
from serd.cards import Card
from serd.microphone import Heard, Loss, Writer, listen
from serd.portaudio import Device, MicrophoneError, find, inputs
from tests.virtual_microphone import virtual_microphone

_HURRY = """
import sys
import serd.microphone
serd.microphone.START_WITHIN_S = 0.5
sys.exit(serd.microphone.main(sys.argv[1:]))
"""


def refusal(spec):
    """Why a source gives nothing."""
    with pytest.raises(SourceError) as error:
        next(open_source(spec).blocks())
    return str(error.value)


def _until(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_an_unknown_microphone_is_told_in_one_line():
    said = refusal("no such thing")
    assert re.fullmatch(r"ended with exit code 2: microphone no such thing: .+", said)


def device(index, name, *, is_default=False):
    return Device(index, name, 1, 48_000, is_default, spec=name)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("default", 3),
        ("hw:1,0", 0),
        ("plughw:1", 0),
        ("hw:CARD=Device,DEV=0", 0),
        ("hw:Device", 0),
        ("hw:1,1", 1),
        ("hw:USB=1-1.4,DEV=1", 1),
        ("USB Audio", 2),
        ("Webcam: USB Audio #1 (hw:0,1)", 1),
        ("webcam", 0),
        ("DEFAULT", 3),
    ],
)
def test_a_device_is_found_by_its_names(wanted, index):
    known = [
        device(0, "Webcam: USB Audio (hw:1,0)"),
        device(1, "Webcam: USB Audio #1 (hw:1,1)"),
        device(2, "USB Audio"),
        device(3, "default", is_default=True),
    ]
    if wanted == "webcam":
        known.pop(1)
    assert find(wanted, known, [Card(1, "Device", "1-1.4")]).index == index


@pytest.mark.parametrize(
    ("wanted", "known", "reason"),
    [
        ("default", [], "there is no input device"),
        ("default", [device(0, "A")], "not there, or in use; there is A"),
        ("hw:2,0", [device(0, "A (hw:12,0)")], "not there"),
        ("hw:CARD=Device", [device(0, "A (hw:0,0)")], "not there"),
        ("0", [device(0, "A")], "a number alone names no device for long"),
        ("usb", [device(0, "USB 1"), device(1, "USB 2")], "more than one fits; there is USB 1"),
        ("a", [device(i, "x" * 30) for i in range(9)], "there is 9 devices"),
    ],
)
def test_a_device_that_is_not_meant_clearly_is_refused(wanted, known, reason):
    with pytest.raises(MicrophoneError, match=reason):
        find(wanted, known)


def test_an_overflow_is_estimated_from_the_clock():
    now = 0.0
    loss = Loss(1000, clock=lambda: now)
    for _ in range(200):  # a card that runs 1 % fast, read 0.3 s late
        now += 0.0198
        assert loss.after(20, 300, overflowed=False) == 0
    now += 2
    assert loss.after(20, 0, overflowed=True) == pytest.approx(2000 - 20 + 300, abs=10)
    now += 0.02
    assert loss.after(20, 0, overflowed=True) == pytest.approx(1, abs=10)
    assert loss.after(20_000, 0, overflowed=True) == 1


class FakeStream:
    samplerate, channels, read_available = 8000.0, 2, 0

    def __init__(self, overflows):
        self._overflows = iter(overflows)

    def read(self, count):
        return np.ones((count, 2), np.int16).tobytes(), next(self._overflows)


def test_reads_dropped_by_a_full_queue_are_counted():
    heard = Queue(2)
    taken = []

    def overflows():
        yield from (False, False)  # these fill the queue
        yield from (False, False, False)  # these are dropped
        taken.append(heard.get())
        yield False
        taken.extend([heard.get(), heard.get()])
        yield True
        raise OSError("unplugged")

    listen(FakeStream(overflows()), heard)
    taken.append(heard.get())
    assert [item.lost for item in taken[:3]] == [0, 0, 3 * 160]
    assert taken[3].lost >= 1
    assert taken[3].samples.shape == (160, 2)
    assert str(heard.get()) == "unplugged"


def test_the_writer_tells_a_gap_before_what_follows_it_and_resamples_afresh():
    rng = np.random.default_rng(2)
    parts = [rng.integers(-9000, 9000, (n, 2)).astype(np.int16) for n in (4410, 4410, 882)]
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    writer = Writer(44_100, out_end, err_end)
    for samples, lost in zip(parts, (0, 0, 441), strict=True):
        writer.feed(Heard(samples, lost))
    for end in (out_end, err_end):
        os.close(end)
    with os.fdopen(out, "rb") as written, os.fdopen(err) as told:
        pcm = np.frombuffer(written.read(), "<i2")
        gap = re.fullmatch(r"serd-gap (\d+) 160\n", told.read())
    assert gap
    before = Resampler(44_100)
    expected = [before.feed(pcm_to_float(part)) for part in parts[:2]] + [before.flush()]
    assert np.array_equal(pcm[: int(gap[1])], np.concatenate(expected))
    after = Resampler(44_100).feed(pcm_to_float(parts[2]))
    assert np.array_equal(pcm[int(gap[1]) :], after)


def clip():
    """A real recording of some seconds."""
    demo = sorted((Path(__file__).parents[1] / "demo").glob("*.flac"))
    data = os.environ.get("SERD_DATA")
    found = demo or (sorted(Path(data, "ravdess").rglob("*-*.*"))[:1] if data else [])
    if not found:
        pytest.skip("no recording: demo/ is empty and SERD_DATA is not set")
    return found[0]


def likeness(original, heard):
    """Correlation of the original with the part of `heard` where it is highest, -1…1."""
    size = original.size + heard.size
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(original, size))
    start = int(np.argmax(np.fft.irfft(spectrum, size)[: heard.size - original.size + 1]))
    return np.corrcoef(original, heard[start : start + original.size])[0, 1]


def test_a_spoken_recording_is_heard_through_the_microphone():
    recording = clip()
    with virtual_microphone() as microphone:
        source = open_source("default")
        blocks = []
        failures = []

        def listen_to_it():
            try:
                blocks.extend(source.blocks())
            except SourceError as error:
                failures.append(str(error))

        def heard():
            return sum(block.samples.size for block in blocks)

        listener = threading.Thread(target=listen_to_it, daemon=True)
        listener.start()
        assert _until(lambda: blocks or failures)
        microphone.speak(recording)
        after = heard()
        assert _until(lambda: heard() > after + SAMPLE_RATE or failures)
        source.close()
        listener.join(30)
    assert not failures
    original = read(recording).astype(float)
    caught = np.concatenate([block.samples for block in blocks]).astype(float)
    assert likeness(original, caught) > 0.99


def test_what_a_device_is_to_be_called_in_a_configuration(monkeypatch):
    there = [
        {"name": "USB Audio: - (hw:1,0)", "max_input_channels": 1, "default_samplerate": 48e3},
        {"name": "HDMI: 0 (hw:0,3)", "max_input_channels": 0, "default_samplerate": 48e3},
        {"name": "default", "max_input_channels": 2, "default_samplerate": 44.1e3},
    ]
    portaudio = SimpleNamespace(default=SimpleNamespace(device=(2, 2)), query_devices=lambda: there)
    monkeypatch.setattr("serd.portaudio.cards", lambda: [Card(1, "Device", "1-1.4")])
    named = [(found.spec, found.is_default) for found in inputs(portaudio)]
    assert named == [("hw:CARD=Device,DEV=0", False), ("default", True)]


def test_the_microphone_s_process_lists_refuses_and_ends_with_its_reader(serd):
    with virtual_microphone() as microphone:
        assert [found.spec for found in devices() if found.is_default] == ["default"]
        (default,) = [line for line in serd("devices").stdout.splitlines() if line[0] == "*"]
        assert default.split()[1] == "default"
        said = refusal("hw:7,7")
        assert said.startswith("ended with exit code 2: microphone hw:7,7: not there")
        assert "default" in said
        child = subprocess.Popen(
            [sys.executable, "-m", "serd.capture", "pulse"],
            env=microphone.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert len(child.stdout.read(3200)) == 3200
        child.stdout.close()
        assert child.wait(30) == 0


def test_a_microphone_that_is_not_there_yet_is_waited_for():
    with virtual_microphone() as microphone:
        microphone.unplug()
        said = refusal("default")
        assert said.startswith("ended with exit code 2: microphone default: ")
        source = open_source("default", look_out_s=1000)
        blocks = source.blocks()
        threading.Timer(1.5, microphone.plug_in).start()
        assert next(blocks).samples.size
        source.close()


def test_a_server_that_answers_nothing_is_given_up():
    with virtual_microphone() as microphone:
        words = [sys.executable, "-c", _HURRY, "default", "1000"]
        microphone.suspend_server()
        child = subprocess.run(
            words, env=microphone.env, capture_output=True, timeout=60, check=False
        )
        assert child.returncode == 2
        assert child.stderr.splitlines()[-1] == b"serd: microphone default: does not answer"
        assert child.stdout == b""
