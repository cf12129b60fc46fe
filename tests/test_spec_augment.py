import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.spec_augment import mask, mixup

FEATURES = np.random.default_rng(0).normal(1, 1, (100, 80)).astype(np.float32)

seeds = st.integers(0, 1000)


def test_no_masks_change_nothing() -> None:
    copy = mask(FEATURES, 0, 0, np.random.default_rng(0))
    assert copy is not FEATURES
    assert np.array_equal(copy, FEATURES)


@given(seed=seeds)
def test_a_time_mask_hides_up_to_a_tenth_of_the_time(seed: int) -> None:
    masked = mask(FEATURES, 1, 0, np.random.default_rng(seed))
    hidden = np.flatnonzero((masked != FEATURES).any(axis=1))
    assert len(hidden) <= 10
    assert np.array_equal(hidden, np.arange(len(hidden)) + hidden[:1].sum())  # one stretch
    assert np.all(masked[hidden] == FEATURES.mean(axis=0))


@given(seed=seeds)
def test_a_frequency_mask_hides_up_to_an_eighth_of_the_features(seed: int) -> None:
    masked = mask(FEATURES, 0, 1, np.random.default_rng(seed))
    hidden = np.flatnonzero((masked != FEATURES).any(axis=0))
    assert len(hidden) <= 10
    assert np.array_equal(hidden, np.arange(len(hidden)) + hidden[:1].sum())
    assert np.all(masked[:, hidden] == FEATURES.mean(axis=0)[hidden])


def test_masks_reach_every_frame_and_feature() -> None:
    hidden = np.zeros(FEATURES.shape, bool)
    rng = np.random.default_rng(0)
    for _ in range(300):
        hidden |= mask(FEATURES, 1, 1, rng) != FEATURES
    assert hidden.any(axis=1).all()
    assert hidden.any(axis=0).all()


def test_several_masks_hide_more() -> None:
    rng = np.random.default_rng(0)
    one, four = (
        np.mean([(mask(FEATURES, n, 0, rng) != FEATURES).mean() for _ in range(50)]) for n in (1, 4)
    )
    assert four > 2 * one


@pytest.mark.parametrize("shape", [(1, 1), (1, 80), (5, 7)])
def test_the_smallest_features_stay_finite(shape: tuple[int, int]) -> None:
    masked = mask(np.ones(shape, np.float32), 3, 3, np.random.default_rng(0))
    assert np.array_equal(masked, np.ones(shape, np.float32))


def batch(size: int = 16) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Examples that tell by their value which they are: example i is full of i."""
    number = np.arange(size, dtype=np.float32)
    inputs = {
        "log_mel": np.ones((size, 5, 3), np.float32) * number[:, None, None],
        "statistics": np.ones((size, 4), np.float32) * number[:, None],
        "log_mel_mask": (np.arange(5) <= number[:, None] % 5).astype(np.float32),
    }
    return inputs, np.eye(size, dtype=np.float32)


@given(seed=seeds, alpha=st.floats(0.05, 5))
def test_all_inputs_and_the_target_have_the_same_partner_and_share(seed: int, alpha: float) -> None:
    inputs, targets = batch()
    mixed, mixed_targets = mixup(inputs, targets, alpha, np.random.default_rng(seed))
    number = np.arange(16)
    assert mixed_targets.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.all(mixed_targets[number, number] >= 0.5)
    where = mixed_targets @ number
    assert np.allclose(mixed["log_mel"], where[:, None, None], atol=1e-4)
    assert np.allclose(mixed["statistics"], where[:, None], atol=1e-4)
    assert all(x.dtype == np.float32 for x in (*mixed.values(), mixed_targets))


@given(seed=seeds)
def test_masks_are_joined(seed: int) -> None:
    inputs, targets = batch()
    mixed, mixed_targets = mixup(inputs, targets, 2, np.random.default_rng(seed))
    partners = (mixed_targets - np.diag(np.diag(mixed_targets))).argmax(axis=1)
    alone = np.diag(mixed_targets) == 1
    partners[alone] = np.flatnonzero(alone)
    own = inputs["log_mel_mask"]
    assert np.array_equal(mixed["log_mel_mask"], np.maximum(own, own[partners]))


def test_mixup_leaves_what_it_is_given_and_obeys_the_seed() -> None:
    inputs, targets = batch()
    once, _ = mixup(inputs, targets, 1, np.random.default_rng(1))
    again, _ = mixup(inputs, targets, 1, np.random.default_rng(1))
    other, _ = mixup(inputs, targets, 1, np.random.default_rng(2))
    assert np.array_equal(once["log_mel"], again["log_mel"])
    assert not np.array_equal(once["log_mel"], other["log_mel"])
    fresh, fresh_targets = batch()
    assert all(np.array_equal(inputs[name], fresh[name]) for name in inputs)
    assert np.array_equal(targets, fresh_targets)


def test_a_small_alpha_hardly_mixes() -> None:
    _, mixed = mixup(*batch(1000), alpha=0.01, rng=np.random.default_rng(0))
    assert np.mean(np.diag(mixed) > 0.99) > 0.9
