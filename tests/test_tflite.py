import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serd import bundle, tflite
from serd.audio import read_blocks
from serd.classifier import Classifier, softmax
from serd.denoiser import Denoiser
from serd.segmentation import segments_of
from serd.settings import SegmentSettings, Settings
from serd.tflite import Network, TfliteError

from .tflite_file import tflite_file

ROOT = Path(__file__).parent.parent
FLOAT = {"dtype": np.float32, "quantization": (0.0, 0)}
INT8 = {"dtype": np.int8, "quantization": (0.05, -3)}
UINT8 = {"dtype": np.uint8, "quantization": (1 / 255, 0)}
PLAIN = {"dtype": np.int32, "quantization": (0.0, 0)}


def there_and_back(values, detail):
    return tflite._dequantise(tflite._quantise(np.array(values, np.float32), detail), detail)


@pytest.mark.parametrize("detail", [INT8, UINT8])
def test_quantisation_loses_at_most_half_a_step(detail):
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    low, high = (limits.min - zero_point) * scale, (limits.max - zero_point) * scale
    values = np.random.default_rng(0).uniform(low, high, 1000)
    assert np.abs(there_and_back(values, detail) - values).max() <= scale * 0.5001


@pytest.mark.parametrize("detail", [INT8, UINT8])
def test_each_step_comes_back_as_itself(detail):
    limits = np.iinfo(detail["dtype"])
    steps = np.arange(limits.min, limits.max + 1).astype(detail["dtype"])
    again = tflite._quantise(tflite._dequantise(steps, detail), detail)
    assert again.dtype == detail["dtype"]
    assert (again == steps).all()


def test_what_is_out_of_range_goes_to_its_end_and_not_around():
    assert tflite._quantise(np.array([-1e6, 1e6], np.float32), INT8).tolist() == [-128, 127]


def test_the_zero_point_stands_for_zero():
    assert there_and_back([0], INT8) == 0


@pytest.mark.parametrize("detail", [FLOAT, PLAIN])
def test_what_is_not_quantised_stays(detail):
    values = np.array([-3, 0, 70_000], np.float32)
    assert tflite._quantise(values, detail).dtype == detail["dtype"]
    assert (there_and_back(values, detail) == values).all()


def test_a_float_network_computes_what_is_in_its_file(tmp_path):
    weights = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    bias = np.array([0.5, -1], np.float32)
    path = tmp_path / "model.tflite"
    layer = ("FULLY_CONNECTED", ("values", "w", "b"), "scores")
    shapes = {"values": (1, 3), "scores": (1, 2)}
    path.write_bytes(tflite_file({"w": weights, "b": bias}, [layer], shapes, ["scores"]))
    network = Network(path)
    assert network.input_shapes == {"values": (1, 3)}
    assert network.output_shapes == {"scores": (1, 2)}
    for x in np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32):
        found = network({"values": x[None]})["scores"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, (weights @ x + bias)[None], rtol=1e-5)


def test_an_integer_network_takes_and_gives_floats():
    network = bundle.load(bundle.find(Settings().model)).network
    inputs = {name: np.zeros(s, np.float32) for name, s in network.input_shapes.items()}
    outputs = network(inputs)
    for name, shape in network.output_shapes.items():
        assert outputs[name].shape == shape
        assert outputs[name].dtype == np.float32
    assert (network(inputs)["scores"] == outputs["scores"]).all()


def test_a_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(TfliteError) as error:
        Network(tmp_path / "none.tflite")
    assert len(str(error.value).splitlines()) == 1


def test_loading_a_model_says_nothing():
    path = bundle.find(Settings().model) / bundle.MODEL_FILE
    code = "import sys; from pathlib import Path; from serd.tflite import Network\n"
    code += "n = Network(Path(sys.argv[1])); import numpy as np\n"
    code += "n({name: np.zeros(shape, 'f4') for name, shape in n.input_shapes.items()})"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


# In the other runtime: reads inputs from an .npz, writes outputs to another.
OTHER = """
import sys
from pathlib import Path
import numpy as np
from serd.tflite import Network
network = Network(Path(sys.argv[1]))
data = np.load(sys.argv[2])
names = list(network.input_shapes)
rows = zip(*(data[name] for name in names))
found = [network(dict(zip(names, row))) for row in rows]
np.savez(sys.argv[3], **{name: np.concatenate([one[name] for one in found]) for name in found[0]})
print(*(name for name in ("ai_edge_litert", "tflite_runtime") if name in sys.modules))
"""


def other_python():
    name = os.environ.get("SERD_TFLITE_PYTHON")
    path = Path(name) if name else ROOT / ".venv-tflite" / "bin" / "python"
    if not path.exists():
        pytest.skip("no Python with tflite-runtime: neither $SERD_TFLITE_PYTHON nor .venv-tflite")
    return path


class Noted:
    """A network that writes down what it is given and what it gives."""

    def __init__(self, network):
        self._network = network
        self.input_shapes = network.input_shapes
        self.inputs, self.outputs = [], []

    def __call__(self, values):
        found = self._network(values)
        self.inputs.append(values)
        self.outputs.append(found)
        return found


def listener(card, network):
    """What the daemon does with utterances by a model, and what its outputs mean, 0…1 each."""
    if isinstance(card, bundle.DenoiserCard):
        return Denoiser(card, network), {"mask": lambda mask: mask}
    classify = Classifier(bundle.Bundle(card, network, None)).classify
    return classify, {"scores": lambda scores: softmax(scores / card.temperature)}


@pytest.mark.parametrize("path", bundle.available(), ids=lambda path: path.name)
def test_both_runtimes_give_the_same(path, tmp_path, woman, man, record_property):
    pytest.importorskip("ai_edge_litert", reason="here, too, is only tflite-runtime")
    other = other_python()
    card = bundle.read_any_card(path)
    noted = Noted(bundle.open_network(path, card))
    listen, meanings = listener(card, noted)
    for clip in (woman, man):
        for segment in segments_of(read_blocks(clip), SegmentSettings()):
            listen(segment.samples)
    assert len(noted.outputs) >= 8  # four sentences each

    given, got = tmp_path / "in.npz", tmp_path / "out.npz"
    rows = {name: np.stack([row[name] for row in noted.inputs]) for name in noted.input_shapes}
    np.savez(given, **rows)
    done = subprocess.run(
        [other, "-c", OTHER, path / bundle.MODEL_FILE, given, got],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["tflite_runtime"]
    for name, meaning in meanings.items():
        here, there = np.concatenate([one[name] for one in noted.outputs]), np.load(got)[name]
        difference = np.abs(meaning(here) - meaning(there)).max()
        record_property(f"largest difference of {name}", float(difference))
        assert difference <= 1e-2
