"""What an epoch is made of."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("keras", reason="needs the extra training")

from training.batches import Batches
from training.config import Config
from training.corpora.clip import EMOTIONS, Clip
from training.dataset import Examples, Utterance
from training.targets import UNKNOWN

SIZE = 4
FEATURES = {"x": np.zeros((SIZE, 80), np.float32)}


def made(known: Sequence[tuple[str, int]], mixup: float = 0, **training: object) -> Batches:
    """Of utterances of a corpus and a label each."""
    config = Config.model_validate(
        {
            "name": "small",
            "version": "1",
            "inputs": {"x": {"frames": SIZE}},
            "network": {"kind": "cnn"},
            "augmentation": {"mixup": mixup},
            "training": {"batch_size": 8, **training},
        }
    )
    own = [Utterance(i, np.zeros(SIZE * 160, np.int16), FEATURES) for i in range(len(known))]
    clips = [Clip(Path(f"{i}"), c, EMOTIONS[n], "b") for i, (c, n) in enumerate(known)]
    return Batches(Examples(own, np.array([n for _, n in known]), clips), config, Path(), 1)


def seen(batches: Batches) -> list[int]:
    """The utterances of an epoch, in their order."""
    return batches._order.tolist()


UNEVEN = [("big", 0)] * 30 + [("big", 1)] * 5 + [("small", 0)] * 3 + [("third", 5)] * 2


def test_every_label_is_as_often() -> None:
    labels = Counter(UNEVEN[i][1] for i in seen(made(UNEVEN)))
    assert labels == {0: 14, 1: 14, 5: 14}


def test_the_order_is_the_same_in_every_version() -> None:
    """A run that was begun by an older one goes on as it would have."""
    batches = made([("a", label) for label in (0, 0, 0, 1, 2, 2)])
    assert seen(batches) == [5, 4, 3, 0, 1, 3]
    batches.go_on_with(3)
    assert seen(batches) == [3, 0, 3, 4, 5, 2]


def test_of_a_label_every_corpus_is_as_often() -> None:
    drawn = seen(made(UNEVEN, balance="label+corpus"))
    assert Counter(UNEVEN[i] for i in drawn) == {
        ("big", 0): 7,
        ("small", 0): 7,
        ("big", 1): 14,
        ("third", 5): 14,
    }
    assert Counter(drawn).most_common()[-1][1] == 1  # of 30 there are 7, each once


@settings(max_examples=50)
@given(
    known=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=40),
)
def test_balance_holds_for_any_corpora(known: list[tuple[str, int]]) -> None:
    drawn = Counter(known[i] for i in seen(made(known, balance="label+corpus")))
    labels = {label for _, label in known}
    each = -(-len(known) // len(labels))
    for label in labels:
        counts = [drawn[corpus, label] for corpus in "abc" if (corpus, label) in known]
        assert sum(counts) == each
        assert max(counts) - min(counts) <= 1
    by_utterance = Counter(seen(made(known, balance="label+corpus")))
    for group in set(known):
        counts = [by_utterance[i] for i, own in enumerate(known) if own == group]
        assert max(counts) - min(counts) <= 1


def test_one_corpus_is_balanced_as_without() -> None:
    known = [("a", label) for label in (0, 0, 0, 1, 2, 2)]
    assert seen(made(known)) == seen(made(known, balance="label+corpus"))


@pytest.mark.parametrize(("mixup", "parts"), [(0, 1), (0.5, 2)])
def test_what_is_unknown_stays_so_in_batches(mixup: float, parts: int) -> None:
    batches = made([("a", 0), ("a", 1), ("b", 0)] * 8, mixup)
    assert batches.targets.masked
    targets = np.concatenate([batches[index][1] for index in range(len(batches))])
    assert targets.shape == (24, parts, len(EMOTIONS))
    shares = np.where(targets == UNKNOWN, 0, targets)
    assert shares.sum(axis=(1, 2)) == pytest.approx(1)
    assert (targets[:, :, 2:] == 0).all()  # nobody has these
    assert (targets[:, :, 0] != UNKNOWN).all()
    assert (targets[:, :, 1] == UNKNOWN).any()


def test_one_corpus_has_targets_as_ever() -> None:
    _, targets = made([("a", 0), ("a", 1)] * 8, 0.5)[0]
    assert targets.shape == (8, len(EMOTIONS))
