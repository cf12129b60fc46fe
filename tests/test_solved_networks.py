"""From an encoder and two corpora to a bundle that gets used to voices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs the extra training")

from serd import bundle
from tests.whisper_file import arrays

from . import tiny_corpus

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

CONFIG = """
name = "tiny"
version = "1"
labels = ["neutral", "happy", "angry"]
[data]
corpora = ["ravdess"]
train_only = ["folder:voices"]
[protocols]
subject-independent = [1]
[inputs.log_mel]
frames = 160
[network]
kind = "whisper"
layers = 2
width = 12
stem = 6
positions = 4
keys = 1
values = 1
hidden = 12
[augmentation]
gain_db = 4
[training]
validators = 2
[teaching]
weights = "encoder.npz"
corpora = ["folder:voices"]
layers = 2
size = 8
epochs = 2
batch_size = 4
validators = 1
[head]
copies = 1
directions = 2
not_speech = ["noise"]
"""
SITUATIONS = ["0", "1", "3", "5", "10", "30", "calm", "one emotion", "another person", "in turns"]


def run(folder: Path, module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "SERD_DATA": "data"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("solved")
    tiny_corpus.write(folder / "data", actors=6, statements=2)
    tiny_corpus.write_voices(folder / "data", range(20, 25))
    tiny_corpus.write_noises(folder / "data")
    np.savez(folder / "data" / "encoder.npz", **arrays())
    (folder / "tiny.toml").write_text(CONFIG)
    done = run(folder, "training.cli", "reproduce", "tiny.toml")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_bundle_gets_used_to_voices(folder: Path) -> None:
    card = bundle.load(folder / "models" / "tiny").card
    assert card.adaptation is not None
    assert len(card.adaptation.mean) == len(card.labels) - 1 + 2
    clips = [str(path) for path in sorted((folder / "data" / "ravdess").glob("*_01/*.wav"))[:6]]
    said = {}
    for baseline in ("none", "running"):
        options = ["--model", "models/tiny", "--baseline", baseline, "--format", "jsonl"]
        done = run(folder, "serd.cli", "classify", *options, *clips)
        assert done.returncode == 0, done.stderr
        said[baseline] = [json.loads(line)["scores"] for line in done.stdout.splitlines()]
    assert said["running"][0] == said["none"][0]  # nothing was heard before the first
    assert said["running"][1:] != said["none"][1:]


def test_the_card_tells_how_it_gets_used_to_them(folder: Path) -> None:
    metrics = bundle.read_card(folder / "models" / "tiny").metrics
    assert [name for name in metrics["habituation"] if ", " not in name] == SITUATIONS
    assert all(len(spread["folds"]) == 3 for spread in metrics["habituation"].values())
    strict = metrics["subject-independent"]["int8"]["uar"]["folds"]
    assert metrics["habituation"]["0"]["folds"] == pytest.approx(strict, abs=1e-3)
    assert "speech" in metrics["not_speech"]


def test_one_body_is_taught_for_all_folds_and_hears_nobody_who_is_tested(folder: Path) -> None:
    taught = list((folder / "runs" / "tiny" / "teaching").glob("*/*/model.keras"))
    assert [path.parent.name for path in taught] == ["folder:voices"]


def test_where_all_it_may_hear_is_tested_each_fold_is_taught_of_its_own_people(
    folder: Path,
) -> None:
    alone = CONFIG.replace('train_only = ["folder:voices"]', "")
    alone = alone.replace('corpora = ["folder:voices"]', 'corpora = ["ravdess"]')
    (folder / "alone.toml").write_text(alone.replace("tiny", "alone"))
    done = run(folder, "training.cli", "train", "alone.toml")
    assert done.returncode == 0, done.stderr
    taught = {
        path.parent.name: len(json.loads(path.read_text())["loss"])
        for path in (folder / "runs" / "alone" / "teaching").glob("*/*/history.json")
    }
    folds = {f"none, subject-independent, fold-{n}": 2 for n in (1, 2, 3)}
    assert taught == folds | {"ravdess": 2}


def test_one_that_is_only_tested_across_corpora_is_asked_there(folder: Path) -> None:
    across = CONFIG.replace("subject-independent", "cross-corpus").replace("tiny", "across")
    across = across.replace('corpora = ["ravdess"]', 'corpora = ["folder:voices"]')
    across = across.replace("train_only = [", 'test_only = ["ravdess"]\n# [')
    (folder / "across.toml").write_text(across)
    done = run(folder, "training.cli", "reproduce", "across.toml")
    assert done.returncode == 0, done.stderr
    metrics = bundle.read_card(folder / "models" / "across").metrics
    assert metrics["habituation"]["0"]["folds"] == pytest.approx(
        metrics["cross-corpus"]["int8"]["uar"]["folds"], abs=1e-3
    )
    assert "cross-corpus, int8, habituation, 0: " in done.stdout


def test_what_is_done_is_not_done_again(folder: Path) -> None:
    files = sorted((folder / "runs" / "tiny").rglob("*.keras"))
    before = [file.stat().st_mtime_ns for file in files]
    done = run(folder, "training.cli", "reproduce", "tiny.toml")
    assert done.returncode == 0, done.stderr
    assert [file.stat().st_mtime_ns for file in files] == before
