import numpy as np
import pytest

from serd.adaptation import recognise
from serd.baseline import Baseline
from serd.company import Company

from .test_classifier import adapting, framed

SOUND = np.zeros(8_000, np.int16)
HERE, THERE = (-40.0, 0.0), (40.0, 0.0)


def company(spied, *places):
    trained = spied.card.adaptation
    voices = [Baseline.of(trained, [np.array(place)] * 4) for place in places]
    return Company(trained, voices)


def baselines(network):
    return [tuple(given["voice"][0].tolist()) for given in network.given]


def value(place, weight=4):
    """Of a baseline: the training mean, (7, -1), weighs 2."""
    return pytest.approx([(2 * 7 + weight * place[0]) / (2 + weight), -2 / (2 + weight)])


def far_apart(embeddings):
    network, spied = adapting(embeddings)
    wide = spied.card.adaptation.model_copy(update={"spread": (900.0, 1.0)})
    spied.card = spied.card.model_copy(update={"adaptation": wide})
    return network, spied


def test_who_goes_on_costs_one_run_of_the_network():
    network, spied = far_apart([HERE])
    known = company(spied, HERE, THERE)
    recognise(spied, SOUND, known)
    assert baselines(network) == [value(HERE)]
    assert [voice.weight for voice in known.voices] == [5, 4]


def test_somebody_else_is_recognised_by_their_own_baseline():
    network, spied = far_apart([THERE])
    known = company(spied, HERE, THERE)
    found = recognise(spied, SOUND, known)
    assert baselines(network) == [value(HERE), value(THERE)]
    assert [voice.mean for voice in known.voices] == [THERE, HERE]
    assert [voice.weight for voice in known.voices] == [5, 4]
    assert found.embedding.tolist() == list(THERE)


def test_somebody_new_is_recognised_by_the_training_mean():
    network, spied = far_apart([THERE])
    known = company(spied, HERE)
    recognise(spied, SOUND, known)
    assert baselines(network) == [value(HERE), (7, -1)]
    assert [voice.mean for voice in known.voices] == [THERE, HERE]


def test_the_first_utterance_knows_nobody():
    network, spied = far_apart([HERE, HERE])
    nobody = company(spied)
    recognise(spied, SOUND, nobody)
    recognise(spied, SOUND, nobody)
    assert baselines(network) == [(7, -1), value(HERE, weight=1)]


@pytest.mark.parametrize("speaker", [None, np.array([3, 4], np.float32)])
def test_a_speaker_who_is_settled_stays(speaker):
    network, spied = far_apart([HERE, THERE])
    for _ in range(2):
        recognise(spied, SOUND, speaker)
    assert baselines(network) == [(7, -1) if speaker is None else (3, 4)] * 2


def test_a_network_that_gets_used_to_nobody_goes_the_same_way():
    network, plain = framed([(1, 0, 0)])
    _, spied = far_apart([HERE])
    known = company(spied, HERE)
    assert recognise(plain, SOUND, known) == plain.classify(SOUND)
    assert [voice.weight for voice in known.voices] == [4]
    assert len(network.given) == 2
