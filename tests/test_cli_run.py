"""`serd run` and `serd watch`, pipes and signals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serd.events import EmotionEvent

from .mosquitto import Watcher, eventually, mosquitto
from .program import long_file, one_line

__all__ = ["mosquitto"]  # a fixture

NOBODY = "mqtt://127.0.0.1:9"  # where no broker listens


def test_a_file_without_a_broker_gives_its_events_on_stdout(serd, woman):
    done = serd("run", "--once", "--broker", "none", "--source", f"w=file:{woman}?speed=max")
    assert (done.returncode, done.stderr) == (0, "")
    events = [EmotionEvent.from_json(line) for line in done.stdout.splitlines()]
    assert len(events) >= 4
    assert {event.source for event in events} == {"w"}


def test_what_no_broker_takes_is_printed_kept_and_delivered_by_the_next_run(serd, woman, mosquitto):
    sources = ("--source", f"w=file:{woman}?speed=max")
    done = serd("run", "--once", "--broker", NOBODY, *sources)
    assert done.returncode == 1
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(printed) >= 4
    warning, waiting = done.stderr.splitlines()
    assert re.fullmatch(r"serd: MQTT broker 127\.0\.0\.1:9 unreachable: .*; retrying", warning)
    assert waiting == f"serd: events that wait in the outbox for the broker: {len(printed)}"

    watcher = Watcher(mosquitto.port)
    silence = ("--source", "s=exec:head -c 64000 /dev/zero")
    done = serd("run", "--once", "--broker", mosquitto.url, *silence)
    watcher.close()
    assert done.stdout == ""
    heard = [json.loads(m.payload) for m in watcher.seen if m.topic.endswith("/w/event")]
    assert [event["id"] for event in heard] == [event["id"] for event in printed]
    assert all(event["queued"] for event in heard)


def test_a_source_that_fails_does_not_disturb_the_other(serd, woman, tmp_path):
    sources = ["--source", f"a=file:{tmp_path / 'none.wav'}"]
    sources += ["--source", f"b=file:{woman}?speed=max"]
    done = serd("run", "--once", "--broker", "none", *sources)
    one_line(done, 1, f"source a: {tmp_path / 'none.wav'}: no such file or directory")
    assert len(done.stdout.splitlines()) >= 4


def test_an_unknown_device_is_told_in_one_line(serd):
    done = serd("run", "--once", "--broker", "none", "--source", "mic=no such device")
    one_line(done, 1, "source mic: ")
    assert done.stdout == ""


def test_an_embedded_broker_whose_port_is_taken(serd, woman, tmp_path):
    pytest.importorskip("amqtt", reason="the embedded broker is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = tmp_path / "serd.toml"
        port = server.getsockname()[1]
        config.write_text(f"[mqtt]\nbroker = 'embedded'\nembedded_port = {port}\n")
        done = serd("run", "--once", "--config", config, "--source", f"w=file:{woman}?speed=max")
    one_line(done, 2, "the embedded broker cannot start: ")
    assert done.stdout == ""


# Pipes and signals


@pytest.mark.parametrize(
    "words",
    [["classify", "--format", "jsonl"], ["classify"], ["run", "--once", "--broker", "none"]],
)
def test_a_reader_that_leaves_is_no_error(command, woman, words):
    files = [woman] * 3
    if words[0] == "run":
        files = [x for n in range(3) for x in ("--source", f"s{n}=file:{woman}?speed=max")]
    with subprocess.Popen(
        [*command, *words, *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1)


def test_without_a_stdout_or_a_full_one(serd, woman):
    with Path("/dev/full").open("w") as full:
        done = serd("models", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    one_line(done, 1, "serd: no space left on device")
    for closed in (">&-", "2>&-"):
        line = f"exec {sys.executable} -m serd.cli classify {woman} {closed}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def interrupt(process, ready):
    """Ctrl+C, as a terminal sends it, once something has happened."""
    deadline = time.monotonic() + 30
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    return process.returncode, out, err


def started(words, **options):
    pipe = subprocess.PIPE
    # What was started in the background ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            words, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
        )
    finally:
        signal.signal(signal.SIGINT, before)


def has_open(process, name):
    """Whether a process, or a child of it, reads a file."""
    found = subprocess.run(
        ["sh", "-c", f"ls -l /proc/{process.pid}/fd"], capture_output=True, text=True, check=False
    )
    return name in found.stdout


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_classify(command, tmp_path, speech, woman, jobs):
    path = tmp_path / "long.wav"
    long_file(path, speech, 0.5)
    words = [*command, "classify", "--format", "jsonl", "--jobs", str(jobs), str(woman)]
    process = started([*words, str(path), str(path)])
    first = process.stdout.readline()  # the long ones have begun, or are about to
    assert json.loads(first)["file"] == str(woman)
    code, out, err = interrupt(process, lambda: True)
    assert (code, out, err) == (130, "", "")


def test_ctrl_c_ends_run_well(command, woman):
    process = started([*command, "run", "--broker", "none", "--source", f"w=file:{woman}"])
    code, _, err = interrupt(process, lambda: has_open(process, woman.name))
    assert (code, err) == (130, "")


def test_watch_waits_quietly_for_a_broker_and_ends_with_ctrl_c(command):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        process = started([*command, "watch", "--broker", f"mqtt://127.0.0.1:{port}"])
        server.accept()[0].close()  # it has tried once
    code, out, err = interrupt(process, lambda: True)
    assert (code, out, err) == (130, "", "")


def test_watch_shows_what_a_daemon_hears(command, serd, woman, mosquitto, tmp_path):
    process = started([*command, "watch", "--until-offline", "--broker", mosquitto.url])
    try:
        eventually(
            lambda: "New client connected" in (tmp_path / "mosquitto.log").read_text(),
            "a subscription",
        )
        sources = ("--source", f"w=file:{woman}?speed=max")
        done = serd("run", "--once", "--broker", mosquitto.url, *sources)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (done.returncode, done.stderr) == (0, "")
    online, *events, offline = out.splitlines()
    assert online.endswith(" is online")
    assert offline.endswith(" is offline")
    assert len(events) == len(done.stdout.splitlines()) >= 4
    assert all("/w " in event for event in events)
    assert (process.returncode, err) == (0, "")
