from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd import bundle
from serd.audio import pcm_to_float, read
from serd.bundle import Bundle, Card
from serd.classifier import UNCERTAIN, Classifier, fill, mask, softmax, windows
from serd.features import FeatureSpec, extract
from serd.settings import Settings

LABELS = ("calm", "happy", "sad")
FRAMES = FeatureSpec(kinds=("rms", "zero_crossing_rate"))
COARSE = FeatureSpec(kinds=("rms",), n_fft=1024, hop_length=400)
MEANS = FeatureSpec(kinds=("rms", "chroma"), statistics=("mean", "std"))


class Spy:
    """A network that writes down what it is given and answers what it is told to."""

    def __init__(self, input_shapes, answers=((0, 0, 0),), embeddings=None):
        self.input_shapes = input_shapes
        self.output_shapes = {"scores": (1, len(LABELS))}
        self.given = []
        self._answers = answers
        self._embeddings = embeddings

    def __call__(self, inputs):
        assert {name: value.shape for name, value in inputs.items()} == self.input_shapes
        assert all(value.dtype == np.float32 for value in inputs.values())
        answer = self._answers[len(self.given) % len(self._answers)]
        self.given.append(inputs)
        found = {"scores": np.array([answer], np.float32)}
        if self._embeddings is not None:
            embedding = self._embeddings[(len(self.given) - 1) % len(self._embeddings)]
            found["embedding"] = np.array([embedding], np.float32)
        return found


def classifier(network, inputs, **card):
    needed = {"name": "spy", "version": "1", "quantization": "none", "sha256": "0" * 64}
    whole = Card(**needed | {"labels": LABELS, "inputs": inputs} | card)
    return Classifier(Bundle(whole, network, None))


def framed(answers=((0, 0, 0),), **card):
    """Its window is 100 frames: 1 s."""
    network = Spy({"x": (1, 100, 2), "m": (1, 100)}, answers)
    inputs = [{"name": "x", "features": FRAMES}, {"name": "m", "mask_of": "x"}]
    return network, classifier(network, inputs, **card)


@pytest.fixture
def sound():
    return np.random.default_rng(0).integers(-9_000, 9_000, 40_000).astype(np.int16)


@given(size=st.integers(1, 5_000), half=st.integers(1, 500))
def test_windows_overlap_by_half_and_cover_everything(size, half):
    length = 2 * half
    sound = np.arange(size).astype(np.int16)
    cut = windows(sound, length)
    if size <= length:
        assert [list(w) for w in cut] == [list(sound)]
        return
    starts = [int(w[0]) for w in cut]
    assert all((w == sound[s : s + length]).all() for w, s in zip(cut, starts, strict=True))
    assert {w.size for w in cut} == {length}
    assert starts[0] == 0
    assert starts[-1] == size - length
    steps = [b - a for a, b in pairwise(starts)]
    assert set(steps[:-1]) <= {half}
    assert 0 < steps[-1] <= half


def test_without_a_window_there_is_one():
    sound = np.zeros(100_000, np.int16)
    assert [w.size for w in windows(sound, None)] == [100_000]


def test_a_short_utterance_is_one_window_and_the_mask_tells_how_long_it_is(sound):
    network, spied = framed()
    spied.classify(sound[:8_000])
    (inputs,) = network.given
    frames = extract(pcm_to_float(sound[:8_000]), FRAMES)
    assert len(frames) == 51
    assert (inputs["x"][0, :51] == frames).all()
    assert not inputs["x"][0, 51:].any()
    assert inputs["m"][0].tolist() == [1] * 51 + [0] * 49


def test_a_long_utterance_is_the_mean_of_its_windows(sound):
    network, spied = framed([(3, 0, 0), (0, 2, 0), (0, 0, 5)])
    found = spied.classify(sound[:32_000])  # at 0, 0.5 and 1 s
    assert len(network.given) == 3
    assert all(inputs["m"].all() for inputs in network.given)
    each = [softmax(np.array(answer, np.float32)) for answer in ((3, 0, 0), (0, 2, 0), (0, 0, 5))]
    np.testing.assert_allclose(list(found.scores.values()), np.mean(each, axis=0), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 100, 15_999, 16_000, 16_001, 40_000])
def test_scores_are_probabilities_of_the_labels_in_their_order(sound, size):
    _, spied = framed([(1, -2, 0.5), (40, 0, -40)])
    found = spied.classify(sound[:size])
    assert tuple(found.scores) == LABELS
    assert sum(found.scores.values()) == pytest.approx(1)
    assert min(found.scores.values()) >= 0
    assert found.confidence == max(found.scores.values()) == found.scores[found.best]


def test_below_the_threshold_it_is_uncertain(sound):
    confidence = framed([(1, 0, 0)])[1].classify(sound).confidence
    for threshold, emotion in ((confidence, "calm"), (confidence + 1e-6, UNCERTAIN)):
        found = framed([(1, 0, 0)], uncertain_below=threshold)[1].classify(sound)
        assert (found.emotion, found.best) == (emotion, "calm")


def test_temperature_divides_the_logits(sound):
    found = framed([(2, 0, -2)], temperature=4)[1].classify(sound)
    expected = softmax(np.array([0.5, 0, -0.5], np.float32))
    np.testing.assert_allclose(list(found.scores.values()), expected, rtol=1e-6)


def test_several_predictions_are_weighed(sound):
    _, spied = framed([(9, 0, 0), (0, 9, 0)])
    calm, happy = spied.classify(sound[:9_000]), spied.classify(sound[:9_000])
    whole = spied.combine([(calm.scores, 1.0), (happy.scores, 3.0)])
    assert whole.best == "happy"
    for label in LABELS:
        expected = (calm.scores[label] + 3 * happy.scores[label]) / 4
        assert whole.scores[label] == pytest.approx(expected)


ADAPTED = {
    "outputs": ("scores", "embedding"),
    "adaptation": {"prior": 2, "keep": 1, "mean": (7, -1), "spread": (1, 1)},
}


def adapting(embeddings):
    """Its window is 100 frames; its embedding of 2 numbers."""
    network = Spy({"x": (1, 100, 2), "voice": (1, 2)}, embeddings=embeddings)
    inputs = [{"name": "x", "features": FRAMES}, {"name": "voice", "baseline": 2}]
    return network, classifier(network, inputs, **ADAPTED)


def test_an_embedding_is_the_mean_of_the_windows(sound):
    network, spied = adapting([(1, 2), (2, 4), (6, 0)])
    found = spied.classify(sound[:32_000])
    assert len(network.given) == 3
    assert found.embedding.dtype == np.float32
    assert found.embedding.tolist() == [3, 2]
    assert framed()[1].classify(sound).embedding is None


def test_every_window_is_given_the_baseline_and_by_default_the_training_mean(sound):
    network, spied = adapting([(0, 0)])
    spied.classify(sound[:32_000])
    assert [inputs["voice"].tolist() for inputs in network.given] == [[[7, -1]]] * 3
    spied.classify(sound[:32_000], np.array([3, 4], np.float32))
    assert [inputs["voice"].tolist() for inputs in network.given[3:]] == [[[3, 4]]] * 3


def test_a_network_without_a_baseline_passes_over_it(sound):
    network, spied = framed([(1, 0, 0)])
    plain = spied.classify(sound)
    assert spied.classify(sound, np.array([3, 4], np.float32)) == plain
    assert all(inputs.keys() == {"x", "m"} for inputs in network.given)


def test_a_network_may_take_several_features_at_once(sound):
    shapes = {"fine": (1, 200, 2), "coarse": (1, 60, 1), "m": (1, 60), "means": (1, MEANS.size)}
    network = Spy(shapes)
    inputs = [
        {"name": "means", "features": MEANS},
        {"name": "m", "mask_of": "coarse"},
        {"name": "coarse", "features": COARSE},
        {"name": "fine", "features": FRAMES},
    ]
    classifier(network, inputs).classify(sound)  # 2.5 s; the windows are 2 s and 1.5 s
    assert len(network.given) == 3
    for start, given_ in zip((0, 12_000, 16_000), network.given, strict=True):
        window = pcm_to_float(sound[start : start + 24_000])
        assert (given_["means"][0] == extract(window, MEANS)).all()
        assert (given_["coarse"][0] == extract(window, COARSE)[:60]).all()
        assert (given_["fine"][0, :151] == extract(window, FRAMES)).all()
        assert not given_["fine"][0, 151:].any()
        assert given_["m"].all()


def test_statistics_are_of_the_whole_utterance(sound):
    network = Spy({"means": (1, MEANS.size)})
    classifier(network, [{"name": "means", "features": MEANS}]).classify(sound)
    (given_,) = network.given
    assert (given_["means"][0] == extract(pcm_to_float(sound), MEANS)).all()


@given(frames=st.integers(0, 40), length=st.integers(1, 40))
def test_mask_and_filling_agree(frames, length):
    ones = np.ones((frames, 3), np.float32)
    filled = fill(ones, length)
    assert filled.shape == (length, 3)
    assert (filled == mask(frames, length)[:, None]).all()
    assert mask(frames, length).sum() == min(frames, length)


CLASSIFIERS = [p for p in bundle.available() if isinstance(bundle.read_any_card(p), Card)]


ADAPTING = [p for p in CLASSIFIERS if bundle.read_card(p).adaptation is not None]


@pytest.mark.skipif(not ADAPTING, reason="no published model gets used to voices")
@pytest.mark.parametrize("path", ADAPTING, ids=lambda path: path.name)
def test_the_embedding_does_not_depend_on_the_baseline(path, woman):
    published = Classifier(bundle.load(path))
    sound = read(woman)[12_480:43_200]
    plain = published.classify(sound)
    moved = published.classify(sound, plain.embedding)
    assert (moved.embedding == plain.embedding).all()
    assert moved.scores != plain.scores


@pytest.mark.parametrize("path", CLASSIFIERS, ids=lambda path: path.name)
def test_what_fills_the_window_changes_no_score(path, woman):
    """Of the networks that are published, on real speech shorter than the window."""
    loaded = bundle.load(path)
    inputs = Classifier(loaded)._inputs(pcm_to_float(read(woman)[12_480:43_200]))
    masked = {i.mask_of: i.name for i in loaded.card.inputs if i.mask_of is not None}
    if not masked:
        pytest.skip("it has no mask: its statistics are of the utterance alone")
    scores = loaded.network(inputs)["scores"]
    for name, its_mask in masked.items():
        free = inputs[its_mask] == 0
        assert free.any()
        for noise in (0.7, -0.3):
            other = np.where(free[..., None], np.float32(noise), inputs[name])
            found = loaded.network(inputs | {name: other})["scores"]
            temperature = loaded.card.temperature
            difference = np.abs(softmax(found / temperature) - softmax(scores / temperature)).max()
            assert difference < 1e-3


def test_the_default_model_hears_differences(woman, man):
    spied = Classifier(bundle.load(bundle.find(Settings().model)))
    one, other = (spied.classify(read(clip)[:48_000]).scores for clip in (woman, man))
    assert one != other
