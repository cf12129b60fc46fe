"""What becomes of recognition in other conditions, from a configuration to card and report."""

import json
from pathlib import Path

import numpy as np
import pytest

from serd import bundle
from training import config, evaluate, robustness
from training.conditions import AS_IT_IS
from training.experiment import Experiment
from training.runs import Run

from . import tiny_corpus
from .test_training import CONFIGS, serd_train

pytest.importorskip("tensorflow", reason="needs the extra training")

_ROBUSTNESS = """
[robustness]
noise = ["noise"]
noise_only = ["dog"]
rooms = "rir"
rooms_only = ["cell"]
"""
CONFIG = CONFIGS["mlp"].replace("random", "subject-independent").replace("float16", "float32")
NAMES = {
    *(AS_IT_IS, "gain +12 dB", "gain -12 dB", "telephone", "room cell"),
    *("MP3, 64 kbit/s", "MP3, 32 kbit/s", "Opus, 16 kbit/s"),
    *(f"noise, {snr_db} dB" for snr_db in (20, 10, 5, 0)),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `serd-train reproduce` has made a network that was to be tried."""
    folder = tmp_path_factory.mktemp("robust")
    tiny_corpus.write(folder / "data", actors=6)
    tiny_corpus.write_noises(folder / "data")
    (folder / "mlp.toml").write_text(CONFIG + _ROBUSTNESS)
    done = serd_train(folder, "reproduce", "mlp.toml", "--data", "data")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return folder


def kept(folder: Path) -> dict[Path, dict[str, float]]:
    files = (folder / "runs" / "mlp").rglob(robustness.FILE)
    return {file: json.loads(file.read_text())["uar"] for file in files}


@pytest.mark.system
@pytest.mark.timeout(600)
def test_every_fold_is_tried_in_every_condition(made: Path) -> None:
    found = kept(made)
    strict = made / "runs" / "mlp" / "subject-independent"
    assert {file.parent for file in found} == set((strict / "seed-1").iterdir())
    assert len(found) == 3
    assert all(set(uar) == NAMES for uar in found.values())


@pytest.mark.system
@pytest.mark.timeout(600)
def test_one_seed_is_tried(made: Path) -> None:
    text = CONFIG.replace("subject-independent = [1]", "random = [1]\nsubject-independent = [3, 1]")
    (made / "seeds.toml").write_text(text)
    places = [made / name for name in ("data", "runs/none", ".cache/features")]
    asked = Experiment(config.load(made / "seeds.toml"), *places, "").asked()
    assert {(fold.protocol, fold.seed) for fold, _ in asked} == {("subject-independent", 3)}
    assert len(asked) == 3


@pytest.mark.system
@pytest.mark.timeout(600)
def test_as_it_is_is_what_was_measured(made: Path) -> None:
    """Whole clips, cut again, say what their utterances said."""
    measured = {fold.path: fold for fold in Run(made / "runs" / "mlp").measured("float32")}
    for file, uar in kept(made).items():
        scores = measured[file.parent].scores("float32")
        assert uar[AS_IT_IS] == pytest.approx(evaluate.figures(*scores.known)["uar"])


@pytest.mark.system
@pytest.mark.timeout(600)
def test_card_and_report_tell_it(made: Path) -> None:
    figures = bundle.read_card(made / "models" / "mlp").metrics["robustness"]
    assert set(figures) == NAMES
    folds = [uar["telephone"] for uar in kept(made).values()]
    assert sorted(figures["telephone"]["folds"]) == pytest.approx(sorted(folds), abs=1e-4)
    assert figures["telephone"]["mean"] == pytest.approx(np.mean(folds), abs=1e-4)
    about = (made / "models" / "mlp" / "README.md").read_text()
    page = (made / "runs" / "mlp" / "report" / "index.html").read_text()
    assert "Noise is of dog, unheard in training" in " ".join(about.split())
    for name in NAMES:
        assert f"| {name} | {100 * figures[name]['mean']:.1f} ± " in about
        assert name in page


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_run_that_was_cut_off_goes_on(made: Path) -> None:
    """What is there stays, even if it is wrong; what is not is measured again."""
    (cut, before), *_ = kept(made).items()
    content = json.loads(cut.read_text())
    content["uar"] = {AS_IT_IS: before[AS_IT_IS], "telephone": 0.125}
    cut.write_text(json.dumps(content))
    done = serd_train(made, "evaluate", "mlp.toml", "--data", "data")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "subject-independent, float32, robustness, noise, 0 dB: " in done.stdout
    assert kept(made)[cut] == before | {"telephone": 0.125}


@pytest.mark.system
@pytest.mark.timeout(600)
def test_other_settings_are_measured_anew_and_none_need_nothing(made: Path) -> None:
    for text, names in (
        ("[robustness]\n", NAMES - {"room cell"}),
        (_ROBUSTNESS.replace("dog", "rain"), NAMES),
    ):
        (made / "other.toml").write_text(CONFIG + text)
        words = ["evaluate", "other.toml", "--run", "runs/mlp", "--data", "data"]
        done = serd_train(made, *words)
        assert done.returncode == 0, done.stderr[-2000:]
        assert all(set(uar) == names for uar in kept(made).values())
        assert 0.125 not in [uar["telephone"] for uar in kept(made).values()]


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_ROBUSTNESS.replace("dog", "cat"), "no kind of noise is called cat; there are bell, dog"),
        (_ROBUSTNESS.replace("only", "but"), "noise_but"),
        ("[augmentation]\nroom_share = 1\n" + _ROBUSTNESS, "training hears cell too"),
    ],
)
def test_what_cannot_be_tried_is_said_before_anything_is_trained(
    made: Path, text: str, said: str
) -> None:
    (made / "wrong.toml").write_text(CONFIG + text)
    words = ["train", "wrong.toml", "--run", "runs/wrong", "--data", "data"]
    done = serd_train(made, *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr[-2000:]
    assert said in done.stderr
    assert not list((made / "runs").glob("wrong/*/*"))


def test_a_table_shows_what_is_lost() -> None:
    folds = [{AS_IT_IS: 0.6, "telephone": 0.5}, {AS_IT_IS: 0.8, "telephone": 0.6}]
    found = robustness.table({"one": folds, "two": folds[:1], "cut": [{AS_IT_IS: 0.7}]})
    assert found.head == ("condition", "one", "two", "cut")
    assert found.rows == [
        (AS_IT_IS, "70.0 ± 14.1", "60.0", "70.0"),
        ("telephone", "55.0 ± 7.1 (-15.0)", "50.0 (-10.0)", "–"),
    ]
