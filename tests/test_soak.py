"""A day of sound, and all that goes wrong in it, as fast as the daemon takes it.

`make soak` runs the whole day; among the other tests it is three hours.
"""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from serd.audio import SAMPLE_RATE, read

from .mosquitto import Mosquitto, Watcher, eventually
from .running import configuration, running

HOURS = float(os.environ.get("SOAK_HOURS", "3"))
WARM_UP = 1 / 3
"""Share of the run before memory is looked at: buffers, caches and an allocator's pools fill."""
BLOCKS = 16
T_99 = 2.624
"""Student's t for `BLOCKS` - 2 degrees of freedom, 99 % one-sided."""
NOISE_MB = 2
"""Less is no growth: as much comes and goes within seconds, with whole utterances, and the pools of
an allocator fill ever more slowly. In a day of sound it is 91 to 98 MB."""
OTHER = "sh -c 'while head -c 3200 /dev/zero; do sleep 0.1; done'"


@dataclass
class Broker:
    """One that goes away and comes back, seen by somebody who misses nothing."""

    server: Mosquitto
    watcher: Watcher
    absences: int = 0
    _present: bool = True
    _change_at: float = 0

    def turn(self, *, stay: bool = False) -> None:
        """Go or come when it is time; with `stay` come back now."""
        now = time.monotonic()
        if not self._present and (stay or now > self._change_at):
            self.server.start()
            self._present, self._change_at = True, now + 12
        elif self._present and not stay and now > self._change_at:
            if self._change_at:
                self.server.stop()
                self.absences += 1
                self._present = False
            self._change_at = now + (12 if self._present else 3)

    def health(self):
        return json.loads(self.watcher.last("serd/pi/health") or "null")

    def ids(self):
        """Of the events of the source under test, as often as they arrived."""
        return [json.loads(one)["id"] for one in self.watcher.payloads("serd/pi/cam/event")]


@pytest.fixture
def broker(tmp_path):
    server = Mosquitto(tmp_path, persistent=True)
    watcher = Watcher(server.port, remembered_as="watcher")
    yield Broker(server, watcher)
    watcher.close()
    server.kill()


def held(pid):
    """Now in seconds, and what a process holds: MB of memory, threads, open files."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text().split()[1])
    counts = (len(list((folder / name).iterdir())) for name in ("task", "fd"))
    return time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE") / 1e6, *counts


def growth(seconds, resident_mb):
    """By how much memory grew over the whole time, MB, and by how much of that surely.

    The line goes through the means of blocks: samples next to each other are alike, and one
    through them all would look far surer than it is. The second figure is the lower end of
    what the slope is with 99 %.
    """
    x = np.array([block.mean() for block in np.array_split(seconds, BLOCKS)])
    y = np.array([block.mean() for block in np.array_split(resident_mb, BLOCKS)])
    slope, start = np.polyfit(x, y, 1)
    off = y - (start + slope * x)
    error = np.sqrt((off**2).sum() / (BLOCKS - 2) / ((x - x.mean()) ** 2).sum())
    duration = seconds[-1] - seconds[0]
    return slope * duration, (slope - T_99 * error) * duration


def minute(recording):
    """Four sentences, and the hiss of a room."""
    speech = read(recording)
    quiet = np.zeros(60 * SAMPLE_RATE - speech.size, np.int16)
    hiss = np.random.default_rng(0).normal(0, 10, 60 * SAMPLE_RATE).astype(np.int16)
    return np.concatenate([speech, quiet]) + hiss


def test_memory_that_grows_is_told_from_noise():
    seconds, rng = np.arange(400.0), np.random.default_rng(0)
    noise = rng.normal(90, 1, 400) + np.cumsum(rng.normal(0, 0.02, 400))
    assert growth(seconds, noise)[1] < NOISE_MB
    more_mb, surely_mb = growth(seconds, noise + 5 * seconds / seconds[-1])
    assert NOISE_MB < surely_mb < more_mb < 7


@pytest.mark.system
@pytest.mark.timeout(240 + HOURS * 300)
def test_a_day_of_sound_leaves_nothing_behind(tmp_path, command, broker, woman, capsys):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "minute.pcm").write_bytes(minute(woman).astype("<i2").tobytes())
    program = Path(__file__).with_name("faulty_source.py")
    cam = f"{sys.executable} -S '{program}' '{folder}' {round(60 * HOURS)}"
    specs = ("--source", f"cam=exec:{cam}", "--source", f"other=exec:{OTHER}")
    path = configuration(tmp_path, broker.server.url)
    begun, rows = time.monotonic(), []
    with running(tmp_path / "run", [*command, "run", "--config", str(path), *specs]) as serd:
        while not (folder / "done").exists():
            assert serd.process.poll() is None, serd.err
            rows.append(held(serd.process.pid))
            broker.turn()
            time.sleep(0.25)
        broker.turn(stay=True)
        took_s = time.monotonic() - begun
        lives = (folder / "lives").read_text().splitlines()
        sent = sum(int(line.split()[0]) // 2 for line in lives)
        sources = lambda: (broker.health() or {}).get("sources")  # noqa: E731
        all_in = lambda one: one["samples"] >= sent and not one["online"]  # noqa: E731
        eventually(lambda: sources() and all_in(sources()["cam"]), "all that was sent")
        # What waited for the classifier may still be dropped after the last sound.
        recognised = lambda: (own := sources()["cam"])["utterances"] - own["dropped"]  # noqa: E731
        eventually(lambda: len(set(broker.ids())) >= recognised(), "all events")
        eventually(lambda: broker.health()["outbox"]["depth"] == 0, "the last event")
        cam, other = sources()["cam"], sources()["other"]
        assert serd.end(signal.SIGTERM) == 0
        printed = len(serd.out)

    rows = np.array(rows)[int(WARM_UP * len(rows)) :]
    _, resident_mb, threads, files = rows.T
    more_mb, surely_mb = growth(rows[:, 0], resident_mb)
    with capsys.disabled():
        print(  # noqa: T201 - what a soak is for
            f"\n{HOURS:g} h of sound in {took_s:.0f} s: {len(lives)} lives of the source, "
            f"{broker.absences} absences of the broker, {printed} events\n{cam}\n"
            f"memory {resident_mb.min():.1f}…{resident_mb.max():.1f} MB, "
            f"grew by {more_mb:.2f} MB, surely by {max(0, surely_mb):.2f} MB; "
            f"threads {threads.min():.0f}…{threads.max():.0f}, "
            f"open files {files.min():.0f}…{files.max():.0f}"
        )
    # Nothing that was sent is missing, and nothing that was received is unaccounted for.
    assert cam["samples"] == sent
    assert cam["samples"] == cam["samples_in_segments"] + cam["samples_discarded"]
    assert (cam["opened"], cam["gaps"]) == (len(lives), len(lives) - 1)
    assert printed == cam["utterances"] - cam["dropped"] == len(set(broker.ids()))
    assert printed > 60 * HOURS
    assert broker.absences
    assert (other["opened"], other["gaps"], other["dropped"]) == (1, 0, 0)
    statuses = broker.watcher.payloads("serd/pi/cam/status")
    assert {"online", "offline"} == set(statuses)
    assert statuses[-1] == "offline"
    assert surely_mb < NOISE_MB
    # A source or a broker that comes or goes opens some files more; what leaks is there ever after.
    half = len(rows) // 2
    assert threads[half:].min() <= threads[:half].min()
    assert files[half:].min() <= files[:half].min()
