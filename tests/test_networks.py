import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from training.networks import cnn  # noqa: E402


@pytest.fixture(scope="module")
def network() -> "keras.Model":
    keras.utils.set_random_seed(1)
    model = cnn.build(64, 80, 8, channels=(4, 4, 4), context=8, dilations=(1, 2))
    for weights in model.weights:  # as if trained: no statistic is 0 or 1
        weights.assign(weights + np.random.default_rng(0).uniform(0, 0.2, weights.shape))
    return model


def test_what_fills_the_window_up_does_not_matter(network: "keras.Model") -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(1, 64, 80)).astype(np.float32)
    mask = (np.arange(64) < 40).astype(np.float32)[None]
    other = features.copy()
    other[:, 40:] = 7
    one, two = (
        np.array(network({"log_mel": x, "mask": mask})["scores"]) for x in (features, other)
    )
    assert np.abs(one - two).max() < 1e-5
    real = features.copy()
    real[:, 20] += 5
    assert np.abs(np.array(network({"log_mel": real, "mask": mask})["scores"]) - one).max() > 1e-3


def test_it_gives_one_logit_a_label(network: "keras.Model") -> None:
    assert network.output["scores"].shape == (None, 8)
    assert {x.name for x in network.inputs} == {"log_mel", "mask"}
