import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from serd.baseline import Adaptation, Baseline

SIZE = 3
TRAINED = Adaptation(prior=4, keep=0.9, mean=(1.0, -2.0, 0.5), spread=(2.0, 0.5, 0.0))
EMBEDDINGS = st.lists(
    arrays(np.float32, SIZE, elements=st.floats(-100, 100, width=32)), min_size=1, max_size=30
)


def heard(embeddings, keep):
    voice = Baseline.of(TRAINED, [])
    for embedding in embeddings:
        voice = voice.add(embedding, keep)
    return voice


def test_a_voice_that_has_not_spoken_is_as_voices_are_on_average():
    value = Baseline.of(TRAINED, []).value(TRAINED)
    assert value.dtype == np.float32
    assert value.tolist() == list(TRAINED.mean)


@given(embeddings=EMBEDDINGS)
def test_the_training_mean_weighs_as_much_as_some_utterances(embeddings):
    whole = [np.array(TRAINED.mean)] * 4 + [e.astype(float) for e in embeddings]
    for voice in (heard(embeddings, 1), Baseline.of(TRAINED, embeddings)):
        assert voice.weight == pytest.approx(len(embeddings))
        np.testing.assert_allclose(voice.value(TRAINED), np.mean(whole, axis=0), atol=1e-4)


@given(embeddings=EMBEDDINGS, keep=st.floats(0.01, 1))
def test_each_further_utterance_makes_those_before_it_weigh_less(embeddings, keep):
    voice = heard(embeddings, keep)
    weights = keep ** np.arange(len(embeddings))[::-1]
    assert voice.weight == pytest.approx(weights.sum())
    mean = np.average(np.array(embeddings, float), axis=0, weights=weights)
    np.testing.assert_allclose(voice.mean, mean, atol=1e-4)


def test_what_was_long_ago_is_forgotten():
    low, high = np.zeros(SIZE, np.float32), np.full(SIZE, 10, np.float32)
    voice = heard([low] * 200 + [high] * 60, TRAINED.keep)
    assert min(voice.mean) > 9.9
    assert voice.weight == pytest.approx(10, abs=0.01)  # 1 / (1 - keep)


@given(embeddings=EMBEDDINGS)
def test_a_voice_survives_json_to_the_bit(embeddings):
    voice = heard(embeddings, 0.99)
    assert Baseline.model_validate_json(voice.model_dump_json()) == voice


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prior": 0}, "prior"),
        ({"prior": float("inf")}, "prior"),
        ({"keep": 0}, "keep"),
        ({"keep": 1.01}, "keep"),
        ({"mean": ()}, "mean"),
        ({"mean": (0, 0, float("nan"))}, "mean"),
        ({"mean": (0, 0)}, "mean and spread differ in length"),
        ({"spread": (1, 1, -1)}, "spread"),
        ({"forgetting": 0.99}, "forgetting"),
    ],
)
def test_what_cannot_be_is_refused(changed, said):
    with pytest.raises(ValidationError, match=said):
        Adaptation.model_validate(TRAINED.model_dump() | changed)
