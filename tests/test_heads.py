"""The solved layers, on embeddings made up of an emotion, a voice and chance."""

from dataclasses import replace

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from serd.audio import Floats  # noqa: E402
from serd.baseline import Adaptation, Baseline  # noqa: E402
from training.heads import layers, logistic, maturity, needed, not_speech, solve, voices  # noqa: E402
from training.heads.solve import Head, Heard  # noqa: E402
from training.schedules import Head as HeadOptions  # noqa: E402
from training.sides import Split  # noqa: E402

LABELS, SIZE, SPEAKERS, EACH = 4, 12, 40, 20


def heard(seed: int, voice: float = 2.0) -> Heard:
    """Every emotion in some directions, every voice in all of them."""
    rng = np.random.default_rng(7)
    moods = 1.5 * rng.normal(size=(LABELS, SIZE))
    rng = np.random.default_rng(seed)
    own = voice * rng.normal(size=(SPEAKERS, SIZE))
    speakers = np.repeat(np.arange(SPEAKERS), EACH)
    emotions = np.tile(np.arange(LABELS), SPEAKERS * EACH // LABELS)
    chance = 1.2 * rng.normal(size=(len(speakers), SIZE))
    count = len(speakers)
    return Heard(
        (moods[emotions] + own[speakers] + chance).astype(np.float32),
        np.array([f"speaker-{s + 100 * seed}" for s in speakers]),
        emotions,
        np.eye(LABELS, dtype=np.float32)[emotions],
        np.ones((count, LABELS), bool),
        np.ones(count, np.float32),
        np.zeros(count, int),
    )


@pytest.fixture(scope="module")
def head() -> Head:
    return solve.solve(heard(1), penalty=0.01, directions=6, prior=3.0, seed=1)


def voice_of(head: Head, z: Floats) -> Floats:
    first = z @ head.first[0] + head.first[1]
    said = np.exp(first - first.max(axis=1, keepdims=True))
    said /= said.sum(axis=1, keepdims=True)
    return z @ head.voice + said @ head.mood


def right(head: Head, some: Heard, baselines: Floats) -> float:
    z = some.embeddings
    scores = z @ head.scores[0] + head.scores[1] + baselines @ head.baseline
    return float((scores.argmax(axis=1) == some.emotions).mean())


def baselines(head: Head, some: Heard, count: int, emotion: int | None = None) -> Floats:
    """Of so many others by the same speaker, of one emotion or of any."""
    adaptation = Adaptation(
        prior=3, keep=1, mean=tuple(map(float, head.mean)), spread=tuple(map(float, head.spread))
    )
    own = voice_of(head, some.embeddings)
    rng = np.random.default_rng(3)
    rows = []
    for i, speaker in enumerate(some.speakers):
        others = np.flatnonzero(some.speakers == speaker)
        others = rng.permutation(others[others != i])
        if emotion is not None:
            others = others[some.emotions[others] == emotion]
        rows.append(Baseline.of(adaptation, list(own[others[:count]])).value(adaptation))
    return np.stack(rows)


def test_who_has_been_heard_is_recognised_better(head: Head) -> None:
    some = heard(2)
    at_first = right(head, some, baselines(head, some, 0))
    later = right(head, some, baselines(head, some, 10))
    assert at_first > 0.5
    assert later > at_first + 0.1


def test_a_run_of_one_emotion_is_not_taken_for_the_voice(head: Head) -> None:
    some = heard(2)
    at_first = right(head, some, baselines(head, some, 0))
    for emotion in range(LABELS):
        assert right(head, some, baselines(head, some, 5, emotion)) > at_first - 0.02


def test_voices_of_one_speaker_have_variance_one(head: Head) -> None:
    some = heard(1)
    own = voice_of(head, some.embeddings).reshape(SPEAKERS, EACH, -1)
    assert own.var(axis=1, ddof=1).mean(axis=0) == pytest.approx(1, rel=0.2)
    between = own.mean(axis=1).var(axis=0, ddof=1) - 1 / EACH
    assert between == pytest.approx(head.spread, rel=0.35, abs=0.1)
    assert own.mean(axis=(0, 1)) == pytest.approx(head.mean, abs=1e-3)
    assert (np.diff(head.spread) <= 0).all()


def test_the_layers_say_what_was_solved(head: Head) -> None:
    inputs = keras.Input((SIZE,), name="x")
    gate = (np.zeros((SIZE, 1), np.float32), np.array([100], np.float32))
    for speech in (None, gate):  # one that is always open
        scale = layers.Scale(np.full(SIZE, 5, np.float32), np.full(SIZE, 0.5, np.float32))
        body = keras.Model(inputs, keras.layers.Identity()(inputs))
        network = layers.added(body, scale, head, speech)
        some = heard(2)
        before = baselines(head, some, 3)
        found = network({"x": 5 + 0.5 * some.embeddings, "baseline": before})
        z = some.embeddings
        expected = z @ head.scores[0] + head.scores[1] + before @ head.baseline
        assert np.array(found["scores"]) == pytest.approx(expected, rel=1e-3, abs=1e-3)
        assert np.array(found["embedding"]) == pytest.approx(voice_of(head, z), rel=1e-3, abs=1e-3)


def test_few_numbers_tell_emotions_as_well_as_all_that_an_encoder_knows() -> None:
    """What varies most in what it knows is something else."""
    rng = np.random.default_rng(5)
    sums = {}
    for seed in (1, 2):
        z = heard(seed).embeddings
        other = rng.normal(size=(len(z), 1)) @ np.full((1, 30), 20)
        sums[seed] = np.concatenate([z, other + rng.normal(size=(len(z), 30))], 1)
    scale = layers.scale_of(sums[1].astype(np.float32))
    own = replace(heard(1), embeddings=scale(sums[1]))
    weights = needed.needed([own], scale, HeadOptions(directions=4))
    few = {seed: sums[seed] @ weights for seed in sums}
    assert np.abs(np.corrcoef(sums[1][:, -1], few[1].T)[0, 1:]).max() < 0.2
    few_scale = layers.scale_of(few[1])
    right_by = {}
    for name, told in (
        ("all", {seed: scale(x) for seed, x in sums.items()}),
        ("few", {seed: few_scale(x) for seed, x in few.items()}),
    ):
        solved, bias = logistic.solve(told[1], own.targets, own.known, own.weights, 0.01)
        right_by[name] = ((told[2] @ solved + bias).argmax(axis=1) == own.emotions).mean()
    assert right_by["few"] > right_by["all"] - 0.02 > 0.5


def test_the_layers_go_onto_a_body_that_was_made_by_another_process(head: Head) -> None:
    inputs = keras.Input((SIZE,), name="x")
    # What Keras calls the first of each kind.
    x = keras.layers.Reshape((1, SIZE), name="reshape")(inputs)
    x = keras.layers.Add(name="add")([x, x])
    x = keras.layers.Multiply(name="multiply")([x, keras.layers.Softmax(name="softmax")(x)])
    x = keras.layers.Activation("gelu", name="activation")(x)
    body = keras.Model(inputs, keras.layers.Flatten(name="flatten")(x))
    keras.utils.clear_session()
    scale = layers.Scale(np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32))
    gate = (np.zeros((SIZE, 1), np.float32), np.zeros(1, np.float32))
    assert set(layers.added(body, scale, head, gate).output) == {"scores", "embedding"}


def test_a_closed_gate_flattens_the_scores(head: Head) -> None:
    inputs = keras.Input((SIZE,), name="x")
    closed = (np.zeros((SIZE, 1), np.float32), np.array([-50], np.float32))
    some = heard(2)
    scale = layers.scale_of(some.embeddings)
    network = layers.added(
        keras.Model(inputs, keras.layers.Identity()(inputs)), scale, head, closed
    )
    found = network({"x": some.embeddings, "baseline": baselines(head, some, 0)})
    assert np.abs(np.array(found["scores"])).max() < 1e-6


def test_labels_that_a_corpus_lacks_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    labels = x[:, :3].argmax(axis=1)
    targets = np.eye(3, dtype=np.float32)[labels]
    some = np.arange(300) < 150
    known = np.ones((300, 3), bool)
    known[some, 2] = False  # half of them come from where nobody is ever of the third kind
    labels[some] = x[some, :2].argmax(axis=1)
    targets[some] = np.eye(3, dtype=np.float32)[labels[some]]
    weights, bias = logistic.solve(x, targets, known, np.ones(300, np.float32), 1e-3)
    every = np.ones((300, 3), bool)
    wrong, wrong_bias = logistic.solve(x, targets, every, np.ones(300, np.float32), 1e-3)
    test = rng.normal(size=(2000, 5)).astype(np.float32)
    truth = test[:, :3].argmax(axis=1)
    masked = ((test @ weights + bias).argmax(axis=1) == truth).mean()
    unmasked = ((test @ wrong + wrong_bias).argmax(axis=1) == truth).mean()
    assert masked > 0.95
    assert masked > unmasked + 0.05


def test_weights_count() -> None:
    x = np.array([[1.0], [1.0]], np.float32)
    targets = np.eye(2, dtype=np.float32)
    known = np.ones((2, 2), bool)
    weights, bias = logistic.solve(x, targets, known, np.array([3, 1], np.float32), 1e-6)
    said = np.exp(x[0] @ weights + bias)
    assert said / said.sum() == pytest.approx([0.75, 0.25], abs=0.01)


def test_directions_that_tell_voices_come_first() -> None:
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(60), 30)
    x = rng.normal(size=(1800, 6))
    x[:, 4] += 3 * rng.normal(size=60)[speakers]
    found = voices.fit(x.astype(np.float32), speakers, 2)
    assert abs(found.weights[4, 0]) > 5 * np.abs(np.delete(found.weights[:, 0], 4)).max()
    assert found.spread[0] == pytest.approx(9, rel=0.4)
    assert found.spread[1] < 0.3


def test_baselines_are_of_the_same_speaker_and_session() -> None:
    voices_ = np.repeat(np.arange(8.0), 5)[:, None].astype(np.float32)
    speakers = np.repeat(np.arange(4), 10)
    sessions = np.tile(np.repeat([0, 1], 5), 4)
    found = maturity.baselines(
        voices_, speakers, np.zeros(40, int), sessions, 1e-9, np.random.default_rng(0)
    )
    unheard = np.isclose(found, 3.5, atol=1e-4)
    assert 0.1 < unheard.mean() < 0.5
    assert found[~unheard] == pytest.approx(voices_[~unheard], abs=1e-4)


def test_each_fold_is_tested_with_kinds_of_sound_that_it_did_not_learn() -> None:
    names = tuple("abcdefg")
    sounds = not_speech.Sounds(names * 2, [np.zeros(1, np.int16)] * 14)
    out = [sounds.kept_out(not_speech.group(split(f"fold-{n}"))) for n in range(1, 6)]
    assert (np.sum(out, axis=0) == 1).all()
    assert not any(sounds.kept_out(not_speech.group(split("final"))))


def split(name: str) -> Split:
    return Split("subject-independent", 1, name, (), (), ())


def test_a_gate_tells_speech_from_kinds_that_it_learnt() -> None:
    speech = heard(1)
    rng = np.random.default_rng(0)
    kinds = ("dog", "rain", "rain", "rain") * 20
    found = rng.normal(size=(80, SIZE)).astype(np.float32)
    found[:, 0] += np.where(np.array(kinds) == "dog", 30, 25)
    sounds = not_speech.Sounds(kinds, [np.zeros(1, np.int16)] * 80)
    weights, bias = not_speech.gate(speech, sounds, [found], None)
    assert ((speech.embeddings @ weights + bias) > 0).mean() >= 0.99
    assert ((found @ weights + bias) < 0).mean() > 0.95
