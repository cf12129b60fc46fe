"""The whole way of a model, for every network, on a corpus made of nothing."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from serd import bundle
from serd.audio import read
from serd.classifier import Classifier
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training import config, evaluate
from training.experiment import Experiment
from training.runs import Run

from . import tiny_corpus

pytest.importorskip("tensorflow", reason="needs the extra training")
keras = pytest.importorskip("keras")

_COMMON = """
version = "0.1"
[training]
epochs = 1
batch_size = 8
average = 0.5
validators = 2
"""
_LOG_MEL = "[inputs.log_mel]\nframes = 128\n"
_MFCC = """
[inputs.mfcc]
frames = 64
features = { kinds = ["mfcc", "zero_crossing_rate"], n_fft = 512, hop_length = 320 }
"""
_IMAGE = """
[inputs.image]
frames = 160
features = { n_fft = 1024, hop_length = 128, n_mels = 160 }
"""
_STATISTICS = """
[inputs.statistics]
features = { kinds = ["mfcc", "chroma", "log_mel"], statistics = ["mean"] }
"""
CONFIGS = {
    "cnn": f"""
name = "cnn"
{_COMMON}
[protocols]
subject-independent = [1]
[network]
kind = "cnn"
channels = [4, 4, 4]
context = 8
dilations = [1]
[augmentation]
gain_db = 3
noise_snr_db = [10, 20]
speed = 0.1
shift_ms = 50
time_masks = 1
frequency_masks = 1
mixup = 0.2
[conversion]
kind = "int8"
float_ops = ["SOFTMAX", "MUL", "MEAN"]
{_LOG_MEL}""",
    "mlp": f"""
name = "mlp"
labels = ["neutral", "happy", "angry"]
{_COMMON}
[protocols]
random = [1]
[network]
kind = "mlp"
hidden = [16]
[conversion]
kind = "float16"
{_STATISTICS}""",
    "lstm": f"""
name = "lstm"
notes = ["Of toys."]
{_COMMON}
[protocols]
statement-held-out = [1]
[network]
kind = "lstm"
units = [8]
[conversion]
kind = "float16"
reason = "An LSTM stays whole."
{_MFCC}""",
    "light_sernet": f"""
name = "light_sernet"
{_COMMON}
[protocols]
random = [1]
[inputs.mfcc]
frames = 96
features = {{ kinds = ["mfcc"], n_fft = 1024, hop_length = 256 }}
[network]
kind = "light_sernet"
paths = 4
channels = [4, 4, 4, 4]
width = 8
[conversion]
kind = "int8"
""",
    "tim_net": f"""
name = "tim_net"
{_COMMON}
[protocols]
random = [1]
[network]
kind = "tim_net"
filters = 8
blocks = 3
[conversion]
kind = "float16"
{_MFCC}""",
    "mobilenetv2": f"""
name = "mobilenetv2"
{_COMMON}
frozen_epochs = 1
unfreeze_from = "block_16_expand"
[protocols]
random = [1]
[network]
kind = "mobilenetv2"
weights = "imagenet"
[conversion]
kind = "float32"
{_IMAGE}""",
    "concatenated": f"""
name = "concatenated"
{_COMMON}
[protocols]
random = [1]
[network]
kind = "concatenated"
width = 8
[network.branches.log_mel]
kind = "cnn"
channels = [4, 4]
context = 8
[network.branches.mfcc]
kind = "lstm"
units = [8]
[network.branches.image]
kind = "mobilenetv2"
weights = "imagenet"
[conversion]
kind = "float16"
{_LOG_MEL}{_MFCC}{_IMAGE}""",
}

_LONG = ("lstm", "light_sernet", "tim_net", "mobilenetv2", "concatenated")
"""What takes minutes even with a toy's data: tried by `make test-system`."""


def serd_train(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "training.cli", *arguments],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "SERD_DATA"}
        | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )


def weights_of(name: str) -> str:
    return "mobilenetv2.weights.h5" if name == "mobilenetv2" else "none"


def called(name: str) -> str:
    """What its run and its bundle are called."""
    return f"{name}-scratch" if name == "concatenated" else name


def arguments(name: str) -> list[str]:
    return [f"tiny_{name}.toml", "--data", "data", "--weights", weights_of(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_corpus.write(folder / "data", actors=6, statements=2)
    return folder


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.system if name in _LONG else ()) for name in CONFIGS
    ],
)
def made(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Path]:
    """A network's name, and a folder in which `serd-train reproduce` has made it."""
    name: str = request.param
    (folder / f"tiny_{name}.toml").write_text(CONFIGS[name])
    if name == "mobilenetv2":
        pretrained = keras.applications.MobileNetV2(include_top=False, weights=None)
        pretrained.save_weights(folder / "data" / weights_of(name))
    done = serd_train(folder, "reproduce", *arguments(name))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return name, folder


@pytest.mark.timeout(600)
def test_reproduce_makes_a_bundle_that_the_daemon_runs(made: tuple[str, Path]) -> None:
    name, folder = made
    loaded = bundle.load(folder / "models" / called(name))
    clip = folder / "data" / "ravdess" / "Actor_01" / "03-01-05-01-01-01-01.wav"
    (segment,) = segments_of([read(clip)], SegmentSettings())
    prediction = Classifier(loaded).classify(segment.samples)
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)
    assert tuple(prediction.scores) == loaded.card.labels
    done = subprocess.run(
        [
            *(sys.executable, "-m", "serd.cli", "classify", "--format", "jsonl"),
            *("--model", str(folder / "models" / called(name)), str(clip)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["model"] == f"{called(name)}-0.1"


@pytest.mark.timeout(600)
def test_the_card_tells_how_well_and_how_far_from_keras(made: tuple[str, Path]) -> None:
    name, folder = made
    card = bundle.read_card(folder / "models" / called(name))
    parity = card.metrics["parity"]
    assert parity["float32"]["max_difference"] < 1e-3
    assert parity["float32"]["same_label"] == 1
    assert parity[card.quantization]["mean_difference"] < 0.02
    assert parity[card.quantization]["same_label"] > 0.7
    (protocol,) = set(card.metrics) - {"parity"}
    for kind in ("float32", card.quantization):
        uar = card.metrics[protocol][kind]["uar"]
        assert uar["mean"] == pytest.approx(np.mean(uar["folds"]), abs=1e-4)
    for_people = (folder / "models" / called(name) / "README.md").read_text()
    assert "## What conversion changed" in for_people
    assert "CC BY-NC-SA 4.0" in for_people
    assert ("An LSTM stays whole." in for_people) == (name == "lstm")
    assert ("- Of toys." in for_people) == (name == "lstm")
    assert len(card.data[0]["held_out"].split(", ")) == 2


@pytest.mark.timeout(600)
def test_the_run_folder_tells_what_was_done(made: tuple[str, Path]) -> None:
    name, folder = made
    run = Run(folder / "runs" / called(name))
    facts = run.facts
    assert facts["parameters"] > 0
    assert facts["command"] == (
        f"serd-train reproduce tiny_{name}.toml --weights {weights_of(name)}"
    )
    assert facts["macs"] > 0
    assert facts["title"].endswith(", from scratch") == (name == "concatenated")
    assert set(facts["sizes"]) == set(facts["kinds"])
    folds = list(run.measured(facts["kind"]))
    expected = {"cnn": 3, "lstm": 2}.get(name, 1)
    assert len(folds) == expected
    for fold in folds:
        epochs = 2 if name == "mobilenetv2" else 1
        history = json.loads((fold.path / "history.json").read_text())
        assert len(history["val_loss"]) == epochs
        scores = fold.scores(facts["kind"])
        assert len(scores.truth) == len(set(scores.clips))
    page = (run.path / "report" / "index.html").read_text()
    assert "What the sound looks like" in page


@pytest.mark.timeout(600)
def test_a_run_goes_on_where_it_was(made: tuple[str, Path]) -> None:
    """Everything is there already: evaluating again trains nothing and says the same."""
    name, folder = made
    run = folder / "runs" / called(name)
    before = {p: p.stat().st_mtime_ns for p in run.rglob("model.*")}
    results = json.loads((run / "results.json").read_text())
    done = serd_train(folder, "evaluate", *arguments(name))
    assert done.returncode == 0, done.stderr[-2000:]
    assert {p: p.stat().st_mtime_ns for p in run.rglob("model.*")} == before
    assert json.loads((run / "results.json").read_text()) == results


@pytest.mark.timeout(600)
@pytest.mark.parametrize("made", ["cnn"], indirect=True)
def test_other_float_ops_make_int8_anew_and_nothing_else(
    made: tuple[str, Path], tmp_path: Path
) -> None:
    name, folder = made
    run = shutil.copytree(folder / "runs" / name, tmp_path / "run")
    settings = tmp_path / "cnn.toml"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("model.*")}

    def measure(float_ops: str) -> "subprocess.CompletedProcess[str]":
        settings.write_text(CONFIGS[name].replace('["SOFTMAX", "MUL", "MEAN"]', float_ops))
        return serd_train(folder, "evaluate", str(settings), "--data", "data", "--run", str(run))

    done = measure("[]")
    assert done.returncode == 0, done.stderr[-2000:]
    after = {path: path.stat().st_mtime_ns for path in run.rglob("model.*")}
    assert {path.parent.name for path in after if after[path] != before[path]} == {"int8"}
    done = measure('["NOPE"]')
    assert done.returncode == 2
    assert "float_ops: no NOPE in it; there are ADD, " in done.stderr.splitlines()[-1]


@pytest.mark.timeout(600)
def test_the_temperature_is_that_of_people_kept_out(made: tuple[str, Path]) -> None:
    name, folder = made
    experiment = Experiment(
        config.load(folder / f"tiny_{name}.toml").with_weights(weights_of(name)),
        folder / "data",
        folder / "runs" / called(name),
        folder / ".cache" / "features",
        "",
    )
    _, split = experiment.final()
    held_out = experiment.recordings.examples(split.validation)
    classifier = Classifier(bundle.load(folder / "models" / called(name)))
    logits = [classifier.logits(u.samples) for u in held_out.utterances]
    assert classifier.card.temperature == evaluate.fit_temperature(logits, held_out.labels)
    said = [classifier.classify(u.samples).confidence for u in held_out.utterances]
    assert classifier.card.uncertain_below == round(float(np.quantile(said, 0.1)), 3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("made", ["mlp"], indirect=True)
def test_a_bundle_of_another_kind_replaces_no_other_thing(made: tuple[str, Path]) -> None:
    name, folder = made
    (folder / "own").mkdir()
    (folder / "own" / "diary.txt").touch()
    for output, code in (("own", 2), ("dynamic", 0)):
        words = ["convert", *arguments(name), "--kind", "dynamic", "--output", output]
        done = serd_train(folder, *words)
        assert done.returncode == code, done.stderr[-2000:]
    assert [path.name for path in (folder / "own").iterdir()] == ["diary.txt"]
    card = bundle.load(folder / "dynamic").card
    assert card.quantization == "dynamic"
    assert set(card.metrics["parity"]) == {"utterances", "keras", "float32", "float16", "dynamic"}


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose final network is missing."""
    folder = tmp_path_factory.mktemp("half")
    tiny_corpus.write(folder / "data", actors=6)
    (folder / "mlp.toml").write_text(CONFIGS["mlp"])
    done = serd_train(folder, "train", "mlp.toml", "--data", "data")
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "runs/mlp/final/seed-1/final/model.keras").unlink()
    return folder


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", [["train"], ["evaluate"], ["convert", "--kind", "float32"]])
def test_a_run_keeps_to_its_settings_and_clips(half: Path, command: list[str]) -> None:
    arguments = [*command, "other.toml", "--run", "runs/mlp"]
    arguments += ["--output", "made"] if command[0] == "convert" else []
    for old, new, said in [
        ('["neutral", "happy", "angry"]', '["angry", "happy", "neutral"]', "with other labels"),
        ("hidden = [16]", "hidden = [17]", r"with another [network]"),
        ("hidden = [16]", "hidden = [16]", "with other clips"),
    ]:
        assert old in CONFIGS["mlp"]
        (half / "other.toml").write_text(CONFIGS["mlp"].replace(old, new))
        data = half / "more" if said.endswith("clips") else half / "data"
        if not data.is_dir():
            tiny_corpus.write(data, actors=7)
        done = serd_train(half, *arguments, "--data", str(data))
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr[-2000:]
    assert not (half / "made").exists()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (["convert", "--kind", "float32", "--output", "made"], "runs/mlp/final/seed-1/final"),
        (["evaluate", "--run", "runs/none"], "runs/none/random/seed-1/quarter"),
    ],
)
def test_only_a_trained_network_is_measured_and_converted(
    half: Path, command: list[str], folder: str
) -> None:
    done = serd_train(half, *command, "mlp.toml", "--data", "data")
    assert done.returncode == 2
    assert done.stderr.endswith(f"{folder}: not trained yet: serd-train train does it\n")


@pytest.mark.timeout(300)
def test_two_do_not_train_in_one_folder(half: Path) -> None:
    with Run(half / "runs" / "mlp").lock():
        done = serd_train(half, "train", "mlp.toml", "--data", "data")
    assert done.returncode == 2
    assert done.stderr.endswith("runs/mlp: another serd-train is training in it\n")


@pytest.mark.timeout(300)
def test_a_first_try_that_failed_leaves_no_settings(tmp_path: Path) -> None:
    tiny_corpus.write(tmp_path / "data", actors=6)
    for validators, code in ((6, 2), (2, 0)):
        text = CONFIGS["mlp"].replace("validators = 2", f"validators = {validators}")
        text = text.replace("random = [1]", "subject-independent = [1]")
        (tmp_path / "mlp.toml").write_text(text)
        done = serd_train(tmp_path, "train", "mlp.toml", "--data", "data")
        assert done.returncode == code, done.stderr[-2000:]
    assert len(list((tmp_path / "runs/mlp").rglob("model.keras"))) == 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["train", "classical", "--data", "."], "only serd-train reproduce takes it"),
        (["report", "."], "not a run folder"),
        (["train", "none.toml", "--data", "."], "no such file"),
        (["train", "none.toml"], "no such file"),
        (["train", "cnn"], "--data or SERD_DATA"),
        (["train", "cnn", "--data", "nowhere"], "no clips of RAVDESS"),
        (["evaluate", "mlp", "--data", "nowhere"], "no clips of RAVDESS"),
        (["train", "broken.toml", "--data", "data"], "unknown key"),
        (["train", "frameless.toml", "--data", "data"], "either frames or statistics"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: list[str], reason: str) -> None:
    (tmp_path / "broken.toml").write_text(CONFIGS["cnn"].replace("epochs", "epoch"))
    (tmp_path / "frameless.toml").write_text(CONFIGS["cnn"].replace("frames = 128", ""))
    done = serd_train(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("serd-train: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_configuration_in_the_readme_is_one() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (block,) = (
        b.partition("```")[0] for b in text.split("```toml\n") if b.startswith('name = "my"')
    )
    assert config.Config.model_validate(tomllib.loads(block)).labels == (
        "neutral",
        "happy",
        "angry",
    )
