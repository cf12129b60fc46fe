"""How fast serd is here: each figure with its median and 99th percentile."""

import logging
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from serd import bundle, denoiser
from serd.audio import SAMPLE_RATE, Pcm, pcm_to_float
from serd.capture import Block
from serd.classifier import Classifier
from serd.cleaning import load as load_cleaning
from serd.company import Company
from serd.features import FeatureSpec, extract
from serd.mqtt import Publisher
from serd.outbox import Outbox
from serd.pipeline import Recogniser, Stream, Utterance
from serd.settings import DenoiseSettings, MqttSettings, SegmentSettings

_REPEATS = 200
_CLIP_S = 3
_LONG_S = 600


def measure(model: str) -> Iterator[str]:
    """Lines to print; takes about half a minute.

    Raises:
        BundleError: the model cannot be used.
    """
    path = bundle.find(model)
    classifier = Classifier(bundle.load(path))
    denoise = DenoiseSettings()
    cleaning = load_cleaning(denoise)
    yield f"machine: {_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    yield f"model: {classifier.card.id}, {(path / bundle.MODEL_FILE).stat().st_size / 1000:.0f} kB"
    clip = speechlike(_CLIP_S)
    samples = pcm_to_float(clip)
    spec = next((i.features for i in classifier.card.inputs if i.features), FeatureSpec())
    yield _quantiles(f"features of {_CLIP_S} s", _timed(lambda: extract(samples, spec)))
    yield _quantiles(
        f"features and inference of {_CLIP_S} s", _timed(lambda: classifier.logits(clip))
    )
    remove = denoiser.load(bundle.find(denoise.model))
    yield _quantiles(f"taking noise out of {_CLIP_S} s", _timed(lambda: remove(clip)))
    adaptation = classifier.card.adaptation
    speakers = {"bench": Company(adaptation)} if adaptation else None
    recogniser = Recogniser("bench", classifier, cleaning, speakers)
    yield from _end_of_speech_to_publish(recogniser)
    yield _pipeline_speed(recogniser)
    yield _quantiles("cold start of serd classify", _cold_starts(model))
    yield _daemon_memory(model)


def speechlike(seconds: float) -> Pcm:
    """A sentence of 2 s in every 4 s: harmonics of 150 Hz, syllables, a little noise."""
    t = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 4 * t), 0.2, 1) * (t > 1) * (t < 3)
    noise = np.random.default_rng(0).normal(0, 0.002, t.size)
    sentence = (8_000 * (0.4 * voice * syllables + noise)).astype(np.int16)
    return np.tile(sentence, int(np.ceil(seconds / 4)))[: int(seconds * SAMPLE_RATE)]


def _timed(work: Callable[[], object], repeats: int = _REPEATS) -> list[float]:
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def _quantiles(what: str, seconds: list[float]) -> str:
    median, p99 = 1000 * np.percentile(seconds, [50, 99])
    return f"{what}: median {median:.2f} ms, p99 {p99:.2f} ms (n = {len(seconds)})"


def _utterances(seconds: float) -> Iterator[Utterance]:
    stream = Stream("bench", SegmentSettings(), live=False)
    sound = speechlike(seconds)
    for start in range(0, sound.size, 960):
        yield from stream.feed(Block(sound[start : start + 960]))
    yield from stream.flush()


def _end_of_speech_to_publish(recogniser: Recogniser) -> Iterator[str]:
    """From the moment the utterance is complete until the broker's library has the event."""
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.db", 10_000, 3600)
        settings = MqttSettings(broker="mqtt://127.0.0.1:9")  # nobody answers: the worst case
        publisher = Publisher(
            settings, "bench", outbox, {}, {"bench": True}, on_listening=lambda _name, _on: None
        )
        log = logging.getLogger("serd.connection")
        log.disabled = True  # that the broker is unreachable is no news
        publisher.start()
        times = []
        for utterance in _utterances(_LONG_S):
            began = time.perf_counter()
            publisher.publish_event(recogniser.recognise(utterance))
            times.append(time.perf_counter() - began)
        publisher.stop(0.1)
        log.disabled = False
        outbox.close()
    length = utterance.segment.samples.size / SAMPLE_RATE
    yield _quantiles(f"end of speech to publish, utterances of {length:.1f} s", times)


def _pipeline_speed(recogniser: Recogniser) -> str:
    rates = []
    for _ in range(5):
        began = time.process_time()
        events = [recogniser.recognise(utterance) for utterance in _utterances(_LONG_S / 5)]
        rates.append(_LONG_S / 5 / (time.process_time() - began))
    spread = f"{min(rates):.0f}…{max(rates):.0f}"
    return (
        f"whole pipeline: {np.median(rates):.0f} × real time on one core "
        f"({spread}; {len(events)} utterances)"
    )


def _cold_starts(model: str) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.wav"
        soundfile.write(clip, speechlike(_CLIP_S), SAMPLE_RATE)
        command = [sys.executable, "-m", "serd.cli", "classify", "--model", model, str(clip)]
        run = lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: E731
        return _timed(run, 7)


def _daemon_memory(model: str) -> str:
    """The most that a daemon held while it worked through ten minutes of speech."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.wav"
        soundfile.write(clip, speechlike(_LONG_S), SAMPLE_RATE)
        command = [sys.executable, "-m", "serd.cli", "run", "--once", "--model", model]
        command += ["--broker", "none", "--source", f"bench=file:{clip}?speed=max"]
        peak_kb = 0
        env = os.environ | {"STATE_DIRECTORY": folder}  # what it hears is no voice to keep
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env) as daemon:
            # Asked from outside while it lives: what wait4 tells includes us, its parent.
            while daemon.poll() is None:
                status = Path(f"/proc/{daemon.pid}/status").read_text()
                peak_kb = max([peak_kb, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
                time.sleep(0.05)
    return f"peak memory of the daemon: {peak_kb / 1000:.0f} MB"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
