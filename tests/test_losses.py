"""The cross-entropy over what is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("keras", reason="needs the extra training")

import keras

from serd.classifier import softmax
from training import losses
from training.spec_augment import mixup
from training.targets import UNKNOWN

SMOOTHING = 0.1


def loss(targets: np.ndarray, logits: np.ndarray, smoothing: float = SMOOTHING) -> np.ndarray:
    """Of each example `[b]`."""
    own = losses.crossentropy(label_smoothing=smoothing, masked=targets.ndim == 3)
    return keras.ops.convert_to_numpy(own.call(np.float32(targets), np.float32(logits)))


def drawn(seed: int, labels: int = 5, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Soft targets `[size, labels]` and logits likewise."""
    rng = np.random.default_rng(seed)
    targets = rng.dirichlet(np.ones(labels), size).astype(np.float32)
    return targets, rng.normal(0, 3, (size, labels)).astype(np.float32)


def masked(targets: np.ndarray, seed: int) -> np.ndarray:
    """Some labels of no share unknown, `[size, 1, labels]`."""
    rng = np.random.default_rng(seed)
    unknown = rng.random(targets.shape) < 0.4
    unknown[np.arange(len(targets)), targets.argmax(axis=1)] = False
    known = np.where(unknown, 0, targets)
    return np.where(unknown, UNKNOWN, known / known.sum(axis=1, keepdims=True))[:, None]


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), smoothing=st.sampled_from([0.0, 0.1, 0.5]))
def test_where_all_is_known_it_is_that_of_keras(seed: int, smoothing: float) -> None:
    targets, logits = drawn(seed)
    expected = loss(targets, logits, smoothing)
    assert loss(targets[:, None], logits, smoothing) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_it_is_that_of_a_network_without_the_unknown_labels(seed: int) -> None:
    targets, logits = drawn(seed)
    targets = masked(targets, seed)
    expected = []
    for row, said in zip(targets[:, 0].astype(np.float64), logits, strict=True):
        known = row != UNKNOWN
        smooth = (1 - SMOOTHING) * row[known] + SMOOTHING / known.sum()
        expected.append(-np.sum(smooth * np.log(softmax(said[known]))))
    assert loss(targets, logits) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_an_unknown_label_is_not_learnt() -> None:
    targets = np.array([[[0, 1, UNKNOWN]]], np.float32)
    logits = np.array([[0.3, 0.2, -0.4]], np.float32)
    for other in (-50, 3, 50):
        logits[0, 2] = other
        assert loss(targets, logits) == pytest.approx(loss(targets, logits * [1, 1, 0]), abs=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_mixed_examples_cost_what_both_cost_by_their_shares(seed: int) -> None:
    """Whatever is unknown in either of them."""
    targets, logits = drawn(seed)
    targets = masked(targets, seed)
    size = len(targets)
    which = np.eye(size, dtype=np.float32)  # tells who was mixed with whom, and how
    mixed, both = mixup({"x": which}, targets, 0.5, np.random.default_rng(seed))
    assert both.shape == (size, 2, targets.shape[2])
    each = loss(np.tile(targets, (size, 1, 1)), np.repeat(logits, size, axis=0))
    expected = (mixed["x"] * each.reshape(size, size)).sum(axis=1)
    assert loss(both, logits) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_accuracy_is_of_the_highest_target_whatever_the_shape(seed: int) -> None:
    targets, logits = drawn(seed)
    right = targets.argmax(axis=1) == logits.argmax(axis=1)
    parts = np.stack([0.7 * targets, 0.3 * targets], axis=1)
    parts[:, 1][targets == targets.min(axis=1, keepdims=True)] = UNKNOWN
    for asked in (targets, targets[:, None], parts):
        found = keras.ops.convert_to_numpy(losses.accuracy(asked, logits))
        assert np.array_equal(found, right)
