"""The whole way of a model, on a corpus made of nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serd import bundle
from serd.audio import read
from serd.classifier import Classifier
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training import corpora, evaluate
from training.corpora import ravdess
from training.corpora.clip import CorpusError

from . import tiny_corpus

pytest.importorskip("tensorflow", reason="needs the extra training")

CONFIG = """
name = "tiny"
version = "0.1"
[data]
window_frames = 128
[network]
kind = "cnn"
channels = [4, 4, 4]
context = 8
dilations = [1]
[augmentation]
gain_db = 3
noise_snr_db = 10
speed = 0.1
pitch_bands = 1
time_masks = 1
frequency_masks = 1
mixup = 0.2
[training]
epochs = 1
batch_size = 8
average = 0.5
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `serd-train reproduce` has run on a tiny corpus with two folds."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_corpus.write(folder / "data", actors=8)
    (folder / "tiny.toml").write_text(CONFIG)
    script = (
        "import sys\n"
        "from training.corpora import ravdess\n"
        "ravdess.FOLDS = ((1, 2), (3, 4))\n"
        "from training.cli import main\n"
        "sys.argv[1:] = ['reproduce', 'tiny.toml', '--data', 'data']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.timeout(600)
def test_reproduce_makes_a_bundle_that_the_daemon_runs(made: Path) -> None:
    loaded = bundle.load(made / "models" / "tiny")
    clip = made / "data" / "ravdess" / "Actor_01" / "03-01-05-01-01-01-01.wav"
    (segment,) = segments_of([read(clip)], SegmentSettings())
    prediction = Classifier(loaded).classify(segment.samples)
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)
    assert loaded.card.quantization == "int8"


@pytest.mark.timeout(600)
def test_the_card_tells_every_fold_and_who_was_held_out(made: Path) -> None:
    card = json.loads((made / "models" / "tiny" / "card.json").read_text())
    figures = card["metrics"]["ravdess subject-independent"]
    for kind in ("float32", "int8"):
        assert len(figures[kind]["uar"]["folds"]) == 2
        assert figures[kind]["uar"]["mean"] == pytest.approx(
            np.mean(figures[kind]["uar"]["folds"]), abs=1e-4
        )
        assert np.sum(figures[kind]["confusion"]) == 32
    assert len(card["data"][0]["held_out"].split(", ")) == 4
    assert card["trained_by"]["command"].endswith("reproduce tiny.toml --data data")
    for_people = (made / "models" / "tiny" / "README.md").read_text()
    assert f"{100 * figures['int8']['uar']['mean']:.1f} ± " in for_people
    assert "CC BY-NC-SA 4.0" in for_people


@pytest.mark.timeout(600)
def test_float_tflite_says_what_keras_says(made: Path) -> None:
    import keras

    from serd.audio import pcm_to_float
    from serd.features import extract
    from training.dataset import Utterance
    from training.train import predict

    run = made / "runs" / "tiny" / "fold-1"
    network = keras.models.load_model(run / "model.keras")
    classifier = Classifier(bundle.load(run / "float32"))
    differences = []
    for clip in corpora.load("ravdess", made / "data")[:16]:
        (segment,) = segments_of([read(clip.path)], SegmentSettings())
        samples = segment.samples[: 127 * 160]
        features = extract(pcm_to_float(samples), classifier.card.inputs[0].features)
        expected = predict(network, [Utterance(0, samples, features)], 128)[0]
        differences.append(np.abs(classifier.logits(samples) - expected).max())
    assert max(differences) < 1e-3
    assert np.mean(differences) < 1e-4


@pytest.mark.timeout(600)
def test_a_run_goes_on_where_it_was(made: Path) -> None:
    """Everything is there already: reproducing again trains nothing and says the same."""
    run = made / "runs" / "tiny"
    before = {p: p.stat().st_mtime_ns for p in run.rglob("model.*")}
    results = json.loads((run / "results.json").read_text())
    script = (
        "import sys\n"
        "from training.corpora import ravdess\n"
        "ravdess.FOLDS = ((1, 2), (3, 4))\n"
        "from training.cli import main\n"
        "sys.argv[1:] = ['evaluate', 'tiny.toml', '--data', 'data']\n"
        "main()\n"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=made,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    assert {p: p.stat().st_mtime_ns for p in run.rglob("model.*")} == before
    assert json.loads((run / "results.json").read_text()) == results


def test_a_missing_corpus_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no RAVDESS clips"):
        corpora.load("ravdess", tmp_path)


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01", "03-01-00-01-01-01-01", "talk", "1-2"])
def test_a_name_that_is_not_ravdess_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.wav").touch()
    with pytest.raises(CorpusError, match=name):
        ravdess.load(tmp_path)


def test_names_become_labels(tmp_path: Path) -> None:
    (tmp_path / "03-01-08-02-01-01-24.flac").touch()
    (tmp_path / "03-02-05-02-01-01-24.flac").touch()  # song: not speech
    (clip,) = ravdess.load(tmp_path)
    assert (clip.emotion, clip.speaker, clip.sex) == ("surprised", "ravdess-24", "female")


def test_no_configuration_or_data_is_one_line(tmp_path: Path) -> None:
    for arguments in (["train", "none.toml", "--data", "."], ["train", "none.toml"]):
        done = subprocess.run(
            [sys.executable, "-m", "training.cli", *arguments],
            env={k: v for k, v in os.environ.items() if k != "SERD_DATA"}
            | {"PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("serd-train: ")
        assert done.stderr.count("\n") == 1


def test_figures_of_known_answers() -> None:
    truth = np.array([0, 0, 0, 1])
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.0, 0.0]], np.float32)
    found = evaluate.figures(answers, truth)
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["uar"] == pytest.approx((2 / 3 + 0) / 2)  # nothing heard is an error
    assert evaluate.confusion(answers, truth).tolist() == [[2, 1], [0, 0]]


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 1.5, (4000, 4))
    odds = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=p) for p in odds])
    assert evaluate.fit_temperature((3 * honest).astype(np.float32), labels) == pytest.approx(
        3, rel=0.1
    )


def test_threshold_leaves_the_share_uncertain() -> None:
    confident = np.linspace(0.25, 1, 101)
    probabilities = np.stack([confident, 1 - confident, np.zeros(101)], axis=1)
    threshold = evaluate.choose_threshold(probabilities, 0.1)
    assert np.mean(probabilities.max(axis=1) < threshold) == pytest.approx(0.1, abs=0.02)
