"""The whole way of a network that learns from corpora whose emotions differ."""

import json
import shutil
from pathlib import Path

import pytest

from serd import bundle

from . import tiny_corpus
from .test_training import serd_train

pytest.importorskip("tensorflow", reason="needs the extra training")

CONFIG = """
name = "several"
version = "0.1"
labels = ["neutral", "calm", "happy", "angry"]
[data]
corpora = ["ravdess"]
train_only = ["folder:voices"]
[protocols]
cross-corpus = [1]
[inputs.statistics]
features = { kinds = ["mfcc"], statistics = ["mean"] }
[network]
kind = "mlp"
hidden = [16]
[augmentation]
mixup = 0.2
[training]
epochs = 1
batch_size = 8
validators = 2
balance = "label+corpus"
[conversion]
kind = "float16"
"""


@pytest.mark.system
@pytest.mark.timeout(600)
def test_corpora_whose_emotions_differ_make_one_network(tmp_path: Path) -> None:
    tiny_corpus.write(tmp_path / "data", actors=4)
    tiny_corpus.write_voices(tmp_path / "data", range(7, 11))
    shutil.rmtree(tmp_path / "data" / "voices" / "calm")
    (tmp_path / "several.toml").write_text(CONFIG)
    done = serd_train(tmp_path, "reproduce", "several.toml", "--data", "data")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    run = tmp_path / "runs" / "several"
    notes = json.loads((run / "run.json").read_text())["notes"]
    assert [note for note in notes if "not tested" in note] == [
        "cross-corpus, folder:voices: calm not tested",
        "cross-corpus, ravdess: calm not tested",
    ]
    assert len(list(run.glob("cross-corpus/seed-1/*/float16.csv"))) == 2
    card = bundle.load(tmp_path / "models" / "several").card
    assert {data["name"] for data in card.data} == {"ravdess", "folder:voices"}
    counts = card.metrics["cross-corpus"]["float16"]["confusion"]
    assert [sum(row) for row in counts] == [8, 0, 8, 8]
    for_people = (tmp_path / "models" / "several" / "README.md").read_text()
    assert "| **calm** | – | – | – | – |" in for_people

    (tmp_path / "several.toml").write_text(CONFIG.replace("[training]", "[training]\nvotes = 0.5"))
    done = serd_train(tmp_path, "train", "several.toml", "--data", "data", "--run", "runs/votes")
    assert done.returncode == 2
    assert "several: training.votes: nobody was asked about these clips" in done.stderr
