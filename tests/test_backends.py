"""Networks and losses are written for any backend of Keras: each takes a step on JAX."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="needs the extra training")
pytest.importorskip("jax", reason="the second backend is not installed")

STEP = """
import keras, numpy as np
from training import networks
assert keras.backend.backend() == "jax"
BRANCHES = {
    "log_mel": {"kind": "cnn", "channels": (4, 4), "context": 8},
    "mfcc": {"kind": "lstm", "units": (8,)},
    "cepstrum": {"kind": "light_sernet", "paths": 4, "channels": (4, 4, 4, 4), "width": 8},
    "cepstra": {"kind": "tim_net", "filters": 8, "blocks": 1},
    "heard": {"kind": "whisper", "layers": 1, "width": 12, "keys": 1, "stem": 4, "positions": 3},
    "image": {"kind": "mobilenetv2", "weights": "none"},
    "statistics": {"kind": "mlp", "hidden": (8,)},
}
SHAPES = {
    "log_mel": (32, 80), "mfcc": (16, 41), "cepstrum": (32, 40), "cepstra": (16, 39),
    "heard": (32, 80), "image": (160, 160), "statistics": (20,),
}
network = networks.build(SHAPES, 3, "concatenated", branches=BRANCHES, width=8)
network.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
rng = np.random.default_rng(0)
inputs = {x.name: rng.uniform(size=(2, *x.shape[1:])).astype("float32") for x in network.inputs}
before = [np.array(w) for w in network.trainable_weights]
loss = network.train_on_batch(inputs, {"scores": np.eye(3, dtype="float32")[:2]})
assert np.isfinite(loss)
after = [np.array(w) for w in network.trainable_weights]
moved = [not np.array_equal(a, b) for a, b in zip(before, after)]
assert all(moved), [w.path for w, m in zip(network.trainable_weights, moved) if not m]
"""


MASKED = """
import keras, numpy as np
from training import losses
assert keras.backend.backend() == "jax"
network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
loss = losses.crossentropy(label_smoothing=0.1, masked=True)
network.compile(keras.optimizers.SGD(1.0), loss, metrics=[losses.accuracy])
before = network.get_weights()[0].copy()
targets = np.array([[[0, 1, -1]], [[1, 0, -1]]], "float32")
x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
value, right = network.train_on_batch(x, targets)
assert np.isfinite(value) and 0 <= right <= 1
moved = np.abs(network.get_weights()[0] - before).max(axis=0)
assert (moved > 0).tolist() == [True, True, False], moved
"""


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", [STEP, MASKED], ids=["every network", "what is unknown"])
def test_it_takes_a_step_on_jax(step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", step],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_networks_do_not_name_a_backend() -> None:
    for file in (Path(__file__).parents[1] / "training" / "networks").glob("*.py"):
        assert not {"tensorflow", "jax", "torch"} & set(file.read_text().replace(".", " ").split())
