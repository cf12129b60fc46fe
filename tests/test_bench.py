import re
import subprocess
import sys

import numpy as np
import pytest

from serd import bench
from serd.audio import SAMPLE_RATE
from serd.bundle import BundleError
from serd.settings import Settings


def test_the_sound_of_the_benchmark_is_cut_into_its_sentences():
    utterances = list(bench._utterances(12))
    assert len(utterances) == 3
    for number, utterance in enumerate(utterances):
        start, end = (x / SAMPLE_RATE for x in (utterance.segment.start, utterance.segment.end))
        assert 4 * number < start < end <= 4 * (number + 1)


def test_the_sound_is_the_same_each_time():
    sound = bench.speechlike(5)
    assert (sound.dtype, sound.size) == (np.int16, 5 * SAMPLE_RATE)
    assert (sound == bench.speechlike(5)).all()


def test_quantiles_are_of_the_times_in_ms():
    times = [0.001] * 98 + [0.1] * 2
    assert bench._quantiles("it", times) == "it: median 1.00 ms, p99 100.00 ms (n = 100)"


def test_every_figure_is_printed(monkeypatch):
    timed = bench._timed
    monkeypatch.setattr(bench, "_timed", lambda work, _repeats=0: timed(work, 2))
    monkeypatch.setattr(bench, "_LONG_S", 20)
    lines = list(bench.measure(Settings().model))
    quantiles = r": median [\d.]+ ms, p99 [\d.]+ ms \(n = \d+\)"
    for pattern in (
        r"machine: .+, \d+ cores, Python 3\.\d+\.\d+",
        r"model: .+, \d+ kB",
        "features of 3 s" + quantiles,
        "features and inference of 3 s" + quantiles,
        r"end of speech to publish, utterances of [\d.]+ s" + quantiles,
        r"whole pipeline: [1-9]\d* × real time on one core \(.+; [1-9]\d* utterances\)",
        "cold start of serd classify" + quantiles,
        r"peak memory of the daemon: [1-9]\d* MB",
    ):
        assert any(re.fullmatch(pattern, line) for line in lines), (pattern, lines)


def test_an_unknown_model_is_told():
    with pytest.raises(BundleError):
        next(bench.measure("nosuch"))


@pytest.mark.system
def test_the_command_prints_figures_of_the_default_model():
    done = subprocess.run(
        [sys.executable, "-m", "serd.cli", "bench"], capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) >= 8
    assert done.stderr == ""
