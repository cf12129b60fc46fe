import dataclasses

import numpy as np
import pytest

from training.denoising import grid
from training.denoising.grid import CLEAN, SNRS_DB, Answers


def answers(right_off, right_on, estimates):
    """Two labels, four clips, one segment each; whether each is right, by SNR."""
    truth = np.array([0, 0, 1, 1])
    clip = np.tile(np.arange(4), len(SNRS_DB))
    snr_db = np.repeat(SNRS_DB, 4)
    estimate = np.array([estimates[s] for s in snr_db], np.float32)

    def said(right):
        hit = np.array([right[s] for s in SNRS_DB]).ravel()
        label = np.where(hit, truth[clip], 1 - truth[clip])
        return np.eye(2, dtype=np.float32)[label]

    ones = np.ones(clip.size, np.int_)
    return Answers(truth, clip, snr_db, ones, estimate, said(right_off), said(right_on))


ALL, HALF, NONE = [True] * 4, [True, False] * 2, [False] * 4
ESTIMATES = {CLEAN: 40, 20: 20, 10: 12, 5: 8, 0: 4}


@pytest.fixture
def helped():
    """Noise below 10 dB is better taken out, above it is better left."""
    off = {CLEAN: ALL, 20: ALL, 10: HALF, 5: NONE, 0: NONE}
    on = {CLEAN: HALF, 20: HALF, 10: HALF, 5: ALL, 0: HALF}
    return answers(off, on, ESTIMATES)


def test_the_best_of_both_is_found(helped):
    threshold = grid.choose_threshold(helped)
    assert 8 < threshold <= 20
    found = grid.figures(helped, threshold)
    assert found["off"] == {CLEAN: 1, 20: 1, 10: 0.5, 5: 0, 0: 0}
    assert found["on"] == {CLEAN: 0.5, 20: 0.5, 10: 0.5, 5: 1, 0: 0.5}
    assert found["auto"] == {CLEAN: 1, 20: 1, 10: 0.5, 5: 1, 0: 0.5}


def test_what_never_helps_is_never_used():
    useless = answers(dict.fromkeys(SNRS_DB, ALL), dict.fromkeys(SNRS_DB, NONE), ESTIMATES)
    assert grid.choose_threshold(useless) <= 4


def test_where_answers_stay_the_same_it_is_chosen_by_how_sure_they_are(helped):
    """Of two labels 0.6 and 0.9 for the right one are the same answer."""
    off, on = helped.on * 0 + 0.4, helped.on * 0 + 0.1
    rows = np.arange(len(off))
    off[rows, helped.truth[helped.clip]], on[rows, helped.truth[helped.clip]] = 0.6, 0.9
    assert grid.choose_threshold(dataclasses.replace(helped, off=off, on=on)) > 20
    assert grid.choose_threshold(dataclasses.replace(helped, off=on, on=off)) <= 4


def test_longer_segments_count_more():
    two = Answers(
        np.array([0]),
        np.array([0, 0]),
        np.array([CLEAN, CLEAN]),
        np.array([1, 3]),
        np.array([30, 30], np.float32),
        np.array([[1, 0], [0.2, 0.8]], np.float32),
        np.array([[1, 0], [1, 0]], np.float32),
    )
    assert two.uar(-np.inf, CLEAN) == 0
    assert two.uar(np.inf, CLEAN) == 1


def test_what_is_not_heard_is_an_error():
    silent = Answers(
        np.array([0, 1]),
        np.array([0]),
        np.array([CLEAN]),
        np.array([1]),
        np.array([30], np.float32),
        np.array([[1, 0]], np.float32),
        np.array([[1, 0]], np.float32),
    )
    assert silent.uar(0, CLEAN) == 0.5
