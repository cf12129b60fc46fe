import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra training")

from training import corpora, dataset
from training.classical import models
from training.classical.config import Study, load
from training.classical.models import Part
from training.classical.study import reproduce
from training.config import ConfigError
from training.corpora.clip import Clip
from training.dataset import Dataset, Utterance
from training.runs import Run, Scores

CONFIG = Path(__file__).parents[1] / "training" / "configs" / "classical.toml"
LABELS = ("neutral", "happy", "sad")
SPEAKERS = [f"nobody-{n}" for n in range(6)]
TAKES = 4
SIZE = 3
SMALL = {
    "svm": {"kind": "svm", "title": "SVM", "grid": {"C": [0.1, 1]}},
    "k-nn": {
        "kind": "k-nn",
        "title": "k-NN",
        "grid": {"n_neighbors": [1, 5]},
        "curve": {"parameter": "n_neighbors", "values": [1, 3, 5]},
    },
    "forest": {
        "kind": "random-forest",
        "title": "Forest",
        "tuned": False,
        "parameters": {"n_estimators": 40},
        "grid": {"max_depth": [2, 4]},
    },
    "mlp": {
        "kind": "mlp",
        "title": "MLP",
        "tuned": False,
        "parameters": {"hidden_layer_sizes": [4], "max_iter": 3},
    },
}
CLIPS = [
    Clip(Path(f"{speaker}-{emotion}-{take}.wav"), "fake", emotion, speaker)
    for speaker in SPEAKERS
    for emotion in LABELS
    for take in range(TAKES)
]


def heard() -> list[Utterance]:
    """Emotions are places, and every speaker is a little apart; one utterance a clip."""
    rng = np.random.default_rng(0)
    of_speaker = {speaker: rng.normal(0, 0.5, SIZE) for speaker in SPEAKERS}
    places = 2 * np.eye(len(LABELS), SIZE)
    return [
        Utterance(i, np.zeros(100, np.int16), {"mean": features.astype(np.float32)})
        for i, clip in enumerate(CLIPS)
        for features in [
            places[LABELS.index(clip.emotion)] + of_speaker[clip.speaker] + rng.normal(0, 0.3, SIZE)
        ]
    ]


def study(*systems: str, **changes: object) -> Study:
    tables = {
        "name": "small",
        "version": "0.1",
        "labels": LABELS,
        "protocols": {"subject-independent": [1, 2], "random": [1]},
        "inner_folds": 3,
        "learning_shares": [0.5, 1.0],
        "features": {"mean": {"kinds": ["mel"], "n_mels": SIZE, "statistics": ["mean"]}},
        "systems": {name: SMALL[name] for name in systems},
    }
    return Study.model_validate(tables | changes)


Make = Callable[..., list[Path]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Reproduce a study of the fake corpus, or of other utterances of it."""

    def run(
        config: Study, utterances: list[Utterance] | None = None, digests: list[str] | None = None
    ) -> list[Path]:
        found = Dataset(utterances or heard(), digests or [str(i) for i in range(len(CLIPS))])
        monkeypatch.setattr(corpora, "load", lambda *_: CLIPS)
        monkeypatch.setattr(dataset, "load", lambda *_: found)
        return reproduce(config, tmp_path, tmp_path / "runs", tmp_path, "serd-train reproduce x")

    return run


def facts(path: Path) -> dict:
    return json.loads((path / "run.json").read_text())


def files(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def test_a_run_folder_holds_scores_of_every_fold(make: Make) -> None:
    (path,) = make(study("k-nn"))
    assert path.parts[-2:] == ("small", "k-nn-mean")
    folds = list(Run(path).measured("sklearn"))
    assert len(folds) == 2 * 5 + 1
    tested: list[str] = []
    for fold in folds:
        scores = fold.scores("sklearn")
        assert scores.labels == LABELS
        np.testing.assert_allclose(scores.probabilities.sum(axis=1), 1, atol=1e-4)
        known = {clip.path.name: clip for clip in CLIPS}
        for name, speaker, label in zip(scores.clips, scores.speakers, scores.truth, strict=True):
            assert (known[name].speaker, known[name].emotion) == (speaker, LABELS[label])
        tested += scores.clips if (fold.protocol, fold.seed) == ("subject-independent", 1) else ()
    assert sorted(tested) == sorted(clip.path.name for clip in CLIPS)
    assert facts(path)["name"] == "k-nn-mean"
    assert facts(path)["kind"] == "sklearn"
    assert facts(path)["clips"] == len(CLIPS)


def test_it_learns_what_there_is_to_learn(make: Make) -> None:
    for path in make(study("svm", "k-nn", "forest")):
        right = [
            scores.probabilities.argmax(axis=1) == scores.truth
            for scores in (fold.scores("sklearn") for fold in Run(path).measured("sklearn"))
        ]
        assert np.concatenate(right).mean() > 0.85


@pytest.mark.parametrize("system", ["svm", "k-nn"])
def test_nothing_of_the_test_part_reaches_what_is_learnt(make: Make, system: str) -> None:
    protocols = {"protocols": {"subject-independent": [1]}}
    (path,) = make(study(system, **protocols))
    fold = next(iter(Run(path).measured("sklearn")))
    before = fold.scores("sklearn")
    search = (fold.path / "search.json").read_bytes()
    for file in (fold.path / "sklearn.csv", fold.path / "search.json"):
        file.unlink()

    # A scaler fitted on everything would move far away with this one clip.
    moved = next(i for i, clip in enumerate(CLIPS) if clip.path.name == before.clips[0])
    utterances = heard()
    utterances[moved].features["mean"][:] = 1e6
    make(study(system, **protocols), utterances)
    after = fold.scores("sklearn")
    assert (fold.path / "search.json").read_bytes() == search
    np.testing.assert_array_equal(after.probabilities[1:], before.probabilities[1:])
    assert np.abs(after.probabilities[0] - before.probabilities[0]).max() > 0.01


def test_the_scaler_is_fitted_to_the_training_part() -> None:
    part = Part(
        np.array([[1.0, 10], [3, 30], [1, 10], [3, 30]], np.float32),
        np.array([0, 1, 0, 1]),
        ["a", "a", "b", "b"],
    )
    fitted = models.fit(models.build("k-nn", {"n_neighbors": 1}, 1), part, 2)
    np.testing.assert_allclose(fitted["scaler"].mean_, [2, 20])
    np.testing.assert_allclose(fitted["scaler"].scale_, [1, 10])


def test_nobody_is_on_both_sides_of_an_inner_fold() -> None:
    speakers = [s for s in SPEAKERS for _ in range(5)]
    folds = models.inner_folds(speakers, 4)
    assert len(folds) == 4
    for train, test in folds:
        assert not {speakers[i] for i in train} & {speakers[i] for i in test}
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(speakers)))
    assert len(models.inner_folds(["a", "b", "a"], 4)) == 2
    with pytest.raises(ConfigError, match="one speaker"):
        models.inner_folds(["a", "a"], 4)


def test_a_clip_is_judged_by_all_that_was_heard_in_it(make: Make) -> None:
    silent, twice = 0, 5
    utterances = [u for u in heard() if u.clip != silent]
    # In this clip much of another emotion was heard too.
    other = next(u for u in utterances if CLIPS[u.clip].emotion == "sad")
    utterances.append(replace(other, clip=twice, samples=np.zeros(900, np.int16)))
    (path,) = make(study("k-nn"), utterances)
    said = {}
    for fold in Run(path).measured("sklearn"):
        if fold.protocol == "subject-independent":
            scores = fold.scores("sklearn")
            said |= dict(zip(scores.clips, scores.probabilities, strict=True))
    np.testing.assert_array_equal(said[CLIPS[silent].path.name], 0)
    assert said[CLIPS[twice].path.name][LABELS.index("sad")] >= 0.5


def test_scores_come_back_from_their_file(make: Make, tmp_path: Path) -> None:
    (path,) = make(study("svm", protocols={"random": [3]}))
    fold = Run(path).fold("random", 3, "quarter")
    scores = fold.scores("sklearn")
    scores.write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (fold.path / "sklearn.csv").read_bytes()
    np.testing.assert_array_equal(
        Scores.read(tmp_path / "again.csv").probabilities, scores.probabilities
    )


def test_a_run_goes_on_where_it_was(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = make(study("svm"))
    before = files(path)
    (path / "random" / "seed-1" / "quarter" / "sklearn.csv").unlink()
    fitted = []
    fit = models.fit
    monkeypatch.setattr(models, "fit", lambda *given: fitted.append(1) or fit(*given))
    monkeypatch.setattr(models, "search", lambda *_: pytest.fail("searched again"))
    make(study("svm"))
    assert len(fitted) == 1
    assert files(path) == before


def test_a_seed_can_be_added_later(make: Make) -> None:
    (path,) = make(study("k-nn", protocols={"random": [1]}))
    before = files(path)
    make(study("k-nn", protocols={"random": [1, 2]}))
    assert (
        files(path)["random/seed-1/quarter/sklearn.csv"]
        == before["random/seed-1/quarter/sklearn.csv"]
    )
    assert len(list(Run(path).measured("sklearn"))) == 2


def test_other_settings_do_not_mix_with_what_is_there(make: Make) -> None:
    make(study("k-nn"))
    with pytest.raises(ConfigError, match=r"k-nn-mean: made with other settings or data"):
        make(study("k-nn", inner_folds=2))


def test_each_training_part_chooses_once_for_all_seeds(make: Make) -> None:
    (path,) = make(study("k-nn"))
    searches = sorted(path.glob("*/seed-*/*/search.json"))
    assert len(searches) == 5 + 1
    assert not list(path.glob("subject-independent/seed-2/*/search.json"))
    for file in searches:
        found = json.loads(file.read_text())
        best = max(found["results"], key=lambda result: result["mean"])
        assert found["best"] == best["parameters"]
        assert json.loads((file.parent / "fit.json").read_text())["parameters"] == found["best"]
        assert found["folds"] == 3
        assert all(result["sd"] >= 0 for result in found["results"])


def test_what_is_not_tuned_keeps_its_parameters(make: Make) -> None:
    (path,) = make(study("forest"))
    assert [f.parts[-4:-1] for f in path.glob("*/seed-*/*/search.json")] == [
        ("subject-independent", "seed-1", "fold-1")
    ]
    for file in path.glob("*/seed-*/*/fit.json"):
        assert json.loads(file.read_text())["parameters"] == {"n_estimators": 40}
    assert "fixed beforehand: n_estimators = 40" in facts(path)["notes"][0]


def test_only_a_forest_has_an_out_of_bag_score(make: Make) -> None:
    svm, k_nn, forest = make(study("svm", "k-nn", "forest"))
    assert "oob" not in facts(svm)
    assert "oob" not in facts(k_nn)
    scores = facts(forest)["oob"]
    assert len(scores) == 2 * 5 + 1
    assert scores["random/seed-1/quarter"] > 0.5


def test_curves_have_a_row_for_each_value(make: Make) -> None:
    (path,) = make(study("k-nn"))
    drawn = json.loads((path / "curves.json").read_text())
    for curve, ticks in (("validation", 3), ("learning", 2)):
        for side in ("train", "test"):
            assert np.shape(drawn[curve][side]) == (ticks, 3)
    assert drawn["validation"]["values"] == [1, 3, 5]
    assert drawn["validation"]["train"][0] == [1, 1, 1]  # everyone is his own neighbour
    assert drawn["learning"]["sizes"][0] < drawn["learning"]["sizes"][1]


def test_a_copy_of_a_recording_is_left_out_and_named(make: Make) -> None:
    digests = [str(i) for i in range(len(CLIPS))]
    digests[7] = digests[6]
    (path,) = make(study("k-nn"), digests=digests)
    copy, first = CLIPS[7].path.name, CLIPS[6].path.name
    assert f"{copy} has the same sound as {first} and is left out" in facts(path)["notes"]
    for fold in Run(path).measured("sklearn"):
        scores = fold.scores("sklearn")
        assert copy not in scores.clips
        own = {clip.path.name: LABELS.index(clip.emotion) for clip in CLIPS}
        assert [own[name] for name in scores.clips] == list(scores.truth)


def test_nothing_is_complained_of(make: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(study("svm", "k-nn", "forest", "mlp"))


def test_the_same_seed_gives_the_same_scores(make: Make) -> None:
    (path,) = make(study("mlp"))
    first = files(path)
    for file in path.glob("*/seed-*/*/sklearn.csv"):
        file.unlink()
    make(study("mlp"))
    assert files(path) == first
    one, two = (Run(path).fold("subject-independent", seed, "fold-1") for seed in (1, 2))
    assert not np.array_equal(
        one.scores("sklearn").probabilities, two.scores("sklearn").probabilities
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {"c": 1}}, "svm: no parameter c"),
        ({"parameters": {"C": -1}, "tuned": False, "grid": {}}, "'C' parameter"),
        ({"grid": {"k": [1]}}, "grid: no parameter k"),
        ({"grid": {"C": ["much"]}}, "'C' parameter"),
        ({"curve": {"parameter": "k", "values": [1]}}, "curve: no parameter k"),
    ],
)
def test_a_wrong_parameter_is_one_line(make: Make, changes: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        make(study(systems={"svm": SMALL["svm"] | changes}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[systems.svm]", "[systems.svm]\nkernel = 1"), "systems.svm.kernel: unknown key"),
        (('kind = "svm"', 'kind = "svn"'), "systems.svm.kind"),
        (('statistics = ["mean", "std"]', ""), "features.360: these systems take statistics"),
        (("[systems.svm.grid]", "[systems.svm.grids]"), "systems.svm"),
        (("[protocols]", "[protocols]\nsomehow = [1]"), "protocols.somehow"),
        (('name = "classical"', 'name = "../classical"'), "name"),
        (("[protocols]", "[protocols"), "not TOML"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = CONFIG.read_text()
    assert change[0] in text
    file = tmp_path / "wrong.toml"
    file.write_text(text.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_published_study_has_the_tutorials_features() -> None:
    published = load(CONFIG)
    sizes = {name: spec.size for name, spec in published.features.items()}
    assert sizes == {"180": 180, "162": 162, "360": 360}
    assert {system.kind for system in published.systems.values()} == {
        "mlp",
        "svm",
        "k-nn",
        "random-forest",
    }
    for system in published.systems.values():
        models.build(system.kind, system.parameters, 1)
        for name in system.grid:
            models.build(system.kind, {name: system.grid[name][0]}, 1)
