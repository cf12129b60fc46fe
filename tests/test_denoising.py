"""The whole way of a denoiser, on voices and noises made of nothing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serd import bundle, denoiser
from serd.audio import pcm_to_float, read
from training.denoising import listening
from training.denoising.quality import MEASURES, si_sdr

from . import tiny_corpus
from .test_training import CONFIGS, serd_train

pytest.importorskip("tensorflow", reason="needs the extra training")

pytestmark = pytest.mark.system

CONFIG = """
name = "cleaner"
version = "0.1"
title = "Tiny denoiser"
classifiers = ["listener.toml", "noisy.toml"]
frames = 32
context = 4
test_clips = 4
[data]
corpora = ["folder:voices"]
test_only = ["ravdess"]
[mixtures]
noise = ["noise"]
clean_share = 0
synthetic_share = 0
validation = { noise = ["rain"], rooms = ["bath"] }
test = { noise = ["dog", "bell"], rooms = ["cell"] }
[networks.skips]
channels = [8, 8]
[networks.narrow]
channels = [8, 8]
skips = false
[training]
epochs = 2
steps = 30
batch_size = 4
learning_rate = 1e-2
average = 0.9
validators = 2
[conversion]
kind = "int8"
"""
HEARS_NOISE = """
[augmentation]
noise_snr_db = [0, 20]
denoised_share = 0.5
denoiser = "models/cleaner"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `serd-train reproduce` has made a denoiser."""
    folder = tmp_path_factory.mktemp("denoising")
    data = folder / "data"
    tiny_corpus.write(data, actors=6, statements=2)
    tiny_corpus.write_voices(data, range(7, 13))
    tiny_corpus.write_noises(data)
    (folder / "tiny.toml").write_text(CONFIG)
    listener = CONFIGS["mlp"].replace("random = [1]", "subject-independent = [1]")
    (folder / "listener.toml").write_text(listener)
    (folder / "noisy.toml").write_text(listener.replace('"mlp"', '"noisy"', 1) + HEARS_NOISE)
    done = serd_train(folder, "reproduce", "tiny.toml", "--data", "data")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return folder


@pytest.mark.timeout(600)
def test_it_takes_noise_out(folder: Path) -> None:
    rows = listening.read(folder / "runs" / "cleaner" / "sound.csv")
    means = listening.means(rows, "si_sdr")
    assert set(means) >= {"nothing", "noisereduce", "skips, int8", "narrow, float32"}
    assert means["nothing"][0] == pytest.approx(0, abs=0.5)
    assert means["skips, int8"][0] > 1
    assert means["skips, int8"][0] == pytest.approx(means["skips, float32"][0], abs=1)


@pytest.mark.timeout(600)
def test_the_bundle_says_what_it_does_and_when(folder: Path) -> None:
    card = denoiser.load(folder / "models" / "cleaner").card
    assert (card.frames, card.context, card.quantization) == (32, 4, "int8")
    files = [folder / f"runs/cleaner/recognition/{name}.json" for name in ("mlp", "noisy")]
    asked = [json.loads(file.read_text()) for file in files]
    assert card.below_snr_db == asked[0]["threshold_db"]
    assert card.metrics["recognition"] == {said["title"]: said["folds"] for said in asked}
    for said in asked:
        assert len(said["folds"]) == 3
        for fold in said["folds"]:
            for mode in ("off", "on", "auto"):
                assert all(0 <= uar <= 1 for uar in fold[mode].values())
    assert set(card.metrics["sound"]) == set(MEASURES)
    about = (folder / "models" / "cleaner" / "README.md").read_text()
    assert "## What it does to recognition" in about
    assert "| skips, int8 |" in about


@pytest.mark.timeout(600)
def test_the_report_lets_people_see_and_hear(folder: Path) -> None:
    report = folder / "runs" / "cleaner" / "report"
    page = (report / "index.html").read_text()
    assert "Tiny denoiser" in page
    assert page.count("<audio") == 3 * 2  # two kinds of noise for the test: two examples
    pictures = {file.stem for file in report.glob("*.png")}
    assert pictures == {f"denoiser-0-{name}" for name in ("sound", "recognition", "dog", "bell")}


@pytest.mark.timeout(600)
def test_a_study_that_is_done_does_nothing_again(folder: Path) -> None:
    run = folder / "runs" / "cleaner"
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*.keras")}
    sound = (run / "sound.csv").read_text()
    done = serd_train(folder, "reproduce", "tiny.toml", "--data", "data")
    assert done.returncode == 0, done.stderr[-2000:]
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*.keras")} == before
    assert (run / "sound.csv").read_text() == sound


@pytest.mark.timeout(600)
def test_serd_uses_it(folder: Path) -> None:
    rng = np.random.default_rng(0)
    speech = tiny_corpus.sentence(1, 5, 1)
    tone = 0.1 * np.sin(2 * np.pi * 1500 * np.arange(speech.size) / tiny_corpus.RATE + rng.random())

    soundfile.write(folder / "noisy.wav", speech + tone, tiny_corpus.RATE)
    (folder / "serd.toml").write_text('[denoise]\nmodel = "models/cleaner"\n')

    def serd(*words: str) -> str:
        command = [sys.executable, "-m", "serd.cli", *words, "--config", "serd.toml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout

    serd("denoise", "noisy.wav", "quiet.wav")
    quiet, noisy = (pcm_to_float(read(folder / name)) for name in ("quiet.wav", "noisy.wav"))
    assert quiet.shape == noisy.shape
    assert si_sdr(speech, quiet) > si_sdr(speech, noisy)
    for mode in ("on", "off"):
        said = json.loads(serd("classify", "noisy.wav", "--format", "jsonl", "--denoise", mode))
        assert said["denoised"] is (mode == "on")
    assert bundle.find("cnn")
