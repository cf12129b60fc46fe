import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd.baseline import Adaptation, Baseline
from serd.company import MOST, Company, log_likelihood

SIZE = 60
TRAINED = Adaptation(prior=3, keep=0.99, mean=(0.5,) * SIZE, spread=(4.0,) * SIZE)


def people(number, seed=0):
    """Where voices lie, as the card says that they do."""
    rng = np.random.default_rng(seed)
    return np.array(TRAINED.mean) + rng.normal(0, 2, (number, SIZE)), rng


def hear(company, embedding):
    """Which place among those known before the speaker was found to have."""
    voice = company.who(embedding)
    place = next((i for i, known in enumerate(company.voices) if known is voice), None)
    company.add(voice, embedding)
    return place


def nearest(voice, means):
    return int(np.square(means - np.array(voice.mean)).sum(axis=1).argmin())


def test_the_likelihood_is_that_of_all_places_where_the_voice_may_lie():
    """Against the integral over a voice's mean, in one direction."""
    trained = Adaptation(prior=3, keep=1, mean=(0.7,), spread=(2.5,))
    places = np.linspace(-25, 25, 20_001)

    def normal(x, mean, variance):
        return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    for heard in ([], [1.9], [-3.0, 0.4, 0.3], [4.0] * 12):
        belief = normal(places, 0.7, 2.5)
        for one in heard:
            belief = belief * normal(one, places, 1)
        belief /= belief.sum()
        voice = Baseline.of(trained, [np.array([one]) for one in heard])
        found, expected = [], []
        for said in (-4.0, 0.0, 1.0, 6.0):
            found.append(log_likelihood(np.array([said]), voice, trained))
            expected.append(np.log((belief * normal(said, places, 1)).sum()))
        np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-4)
        shift = np.array(expected) - found  # the same constant for every voice
        assert shift[0] == pytest.approx(-0.5 * np.log(2 * np.pi), abs=1e-4)


def test_before_anybody_has_spoken_there_is_the_training_mean():
    company = Company(TRAINED)
    assert company.voices == ()
    assert (company.last.value(TRAINED) == np.float32(TRAINED.mean)).all()


@pytest.mark.parametrize("seed", range(5))
def test_one_voice_stays_one(seed):
    (mean,), rng = people(1, seed)
    company = Company(TRAINED)
    for _ in range(100):
        hear(company, mean + rng.normal(size=SIZE))
    assert len(company.voices) == 1
    assert np.abs(company.last.mean - mean).max() < 0.6


@pytest.mark.parametrize("run", [1, 2, 10])
def test_three_voices_are_told_apart_by_their_likelihood(run):
    means, rng = people(3)
    company = Company(TRAINED)
    turns = [speaker for turn in range(60 // run) for speaker in [turn % 3] * run]
    found = []
    for speaker in turns:
        hear(company, means[speaker] + rng.normal(size=SIZE))
        found.append(nearest(company.last, means) == speaker)
    assert np.mean(found) > 0.9
    assert all(found[-20:])
    assert sorted(nearest(voice, means) for voice in company.voices) == [0, 1, 2]


def test_who_comes_back_is_known_again():
    (one, other), rng = people(2)
    company = Company(TRAINED)
    for mean in [one] * 20 + [other] * 10:
        hear(company, mean + rng.normal(size=SIZE))
    known = company.voices[1]
    assert known.silent == 10
    place = hear(company, one + rng.normal(size=SIZE))
    assert place == 1
    assert company.last.weight == pytest.approx(known.weight * TRAINED.keep + 1)
    assert [voice.silent for voice in company.voices] == [0, 1]


def test_between_two_voices_the_one_that_spoke_goes_on():
    (one, other), rng = people(2)
    company = Company(TRAINED)
    for mean in [one, other] * 20:
        hear(company, mean + rng.normal(size=SIZE))
    for _ in range(2):
        between = np.mean([voice.mean for voice in company.voices], axis=0)
        assert company.who(between) is company.last
        company.voices = company.voices[::-1]


def places(weights_and_silences):
    """Voices far from each other, told by their number."""
    return [
        Baseline(weight=weight, silent=silent, mean=(20.0 * number,) * SIZE)
        for number, (weight, silent) in enumerate(weights_and_silences, 1)
    ]


@pytest.mark.parametrize(
    ("known", "gone"),
    [
        ([(30, 0), (2, 1), (40, 2)], 2),  # heard least
        ([(30, 0), (20, 1), (30, 300)], 3),  # longest ago
        ([(1, 0), (30, 1), (30, 5)], 1),  # a cough, by which nobody of long standing is lost
    ],
)
def test_a_fourth_voice_takes_the_place_of_who_is_missed_least(known, gone):
    company = Company(TRAINED, places(known))
    new = np.full(SIZE, -20.0)
    assert hear(company, new) is None
    assert len(company.voices) == MOST
    assert company.last.mean == tuple(new)
    left = {round(voice.mean[0] / 20) for voice in company.voices}
    assert left == {1, 2, 3, -1} - {gone}


@given(speakers=st.lists(st.integers(0, 4), max_size=40), seed=st.integers(0, 99))
def test_whoever_speaks_is_first_and_nobody_is_counted_twice(speakers, seed):
    means, rng = people(5, seed)
    company = Company(TRAINED)
    for speaker in speakers:
        before, embedding = company.voices, means[speaker] + rng.normal(size=SIZE)
        place = hear(company, embedding)
        assert len(company.voices) == min(MOST, len(before) + (place is None))
        assert company.last.silent == 0
        assert all(voice.silent > 0 for voice in company.voices[1:])
        weight = 0 if place is None else before[place].weight
        assert company.last.weight == pytest.approx(weight * TRAINED.keep + 1)
