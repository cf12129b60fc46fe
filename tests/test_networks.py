import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from training import networks  # noqa: E402
from training.networks import NetworkError, framed  # noqa: E402

FRAMED = {
    "cnn": ((64, 80), {"channels": (4, 4, 4), "context": 8, "dilations": (1, 2)}),
    "cnn scaled": ((64, 13), {"channels": (4, 4), "context": 8, "scale": True}),
    "lstm": ((64, 41), {"units": (8, 8)}),
    "light_sernet": ((128, 40), {"paths": 4, "channels": (4, 4, 4, 4), "width": 8}),
    "tim_net": ((64, 39), {"filters": 8, "blocks": 4}),
    "whisper": ((64, 80), {"layers": 2, "width": 12, "keys": 1, "stem": 4, "positions": 3}),
    "mobilenetv2": ((160, 160), {"weights": "none"}),
}


def build(name: str) -> "keras.Model":
    shape, options = FRAMED[name]
    keras.utils.set_random_seed(1)
    network = networks.build({"x": shape}, 8, name.split(maxsplit=1)[0], **options)
    rng = np.random.default_rng(0)
    for weights in network.weights:  # as if trained: no statistic is 0 or 1
        if weights.dtype == "float32" and name != "mobilenetv2":
            weights.assign(weights + rng.uniform(0, 0.2, weights.shape))
    return network


@pytest.mark.parametrize("name", [name for name in FRAMED if name != "mobilenetv2"])
def test_what_fills_the_window_up_does_not_matter(name: str) -> None:
    network = build(name)
    (frames, size), _ = FRAMED[name]
    rng = np.random.default_rng(2)
    features = rng.normal(size=(1, frames, size)).astype(np.float32)
    mask = (np.arange(frames) < frames * 5 // 8).astype(np.float32)[None]
    other = features.copy()
    other[:, frames * 5 // 8 :] = 7

    def scores(x: np.ndarray) -> np.ndarray:
        return np.array(network({"x": x, "x_mask": mask})["scores"])

    assert np.abs(scores(features) - scores(other)).max() < 1e-5
    real = features.copy()
    real[:, frames // 4] += 5
    assert np.abs(scores(real) - scores(features)).max() > 1e-3


@pytest.mark.parametrize("name", FRAMED)
def test_it_gives_one_logit_a_label(name: str) -> None:
    network = build(name)
    assert network.output["scores"].shape == (None, 8)
    assert {x.name for x in network.inputs} == {"x", "x_mask"}


@pytest.mark.parametrize(
    ("kind", "shape", "bytes_each", "mebibytes"),
    [("light_sernet", (192, 40), 2, 0.88), ("tim_net", (240, 39), 4, 0.40)],
)
def test_rebuilt_networks_are_as_large_as_published(
    kind: str, shape: tuple[int, ...], bytes_each: int, mebibytes: float
) -> None:
    network = networks.build({"x": shape}, 8, kind)
    assert network.count_params() * bytes_each / 2**20 == pytest.approx(mebibytes, rel=0.02)


def test_a_mean_over_time_is_that_of_the_real_steps() -> None:
    x, kept = keras.Input((12, 3)), keras.Input((12, 1))
    mean = keras.Model([x, kept], framed.mean(x, kept))
    values = np.random.default_rng(0).normal(size=(3, 12, 3)).astype(np.float32)
    lengths = np.array([1, 7, 12])
    real = (np.arange(12) < lengths[:, None]).astype(np.float32)[:, :, None]
    expected = [own[:length].mean(axis=0) for own, length in zip(values, lengths, strict=True)]
    assert np.abs(np.array(mean([values, real])) - expected).max() < 1e-3


def test_a_longer_window_changes_nothing_for_tim_net() -> None:
    """What looks ahead finds zeros behind the utterance, as beyond the window's end."""
    short = build("tim_net")
    (frames, size), options = FRAMED["tim_net"]
    long = networks.build({"x": (3 * frames, size)}, 8, "tim_net", **options)
    long.set_weights(short.get_weights())
    features = np.random.default_rng(2).normal(size=(1, frames, size)).astype(np.float32)
    filled = np.pad(features, ((0, 0), (0, 2 * frames), (0, 0)), constant_values=7)
    real = np.ones((1, frames), np.float32)
    mask = np.pad(real, ((0, 0), (0, 2 * frames)))
    expected = np.array(short({"x": features, "x_mask": real})["scores"])
    found = np.array(long({"x": filled, "x_mask": mask})["scores"])
    assert np.abs(found - expected).max() < 1e-3


def test_tim_net_hears_what_came_before_and_what_comes() -> None:
    network = build("tim_net")
    (frames, size), options = FRAMED["tim_net"]
    sums = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    ends = keras.Model(network.inputs, sums[-1].output)
    features = np.random.default_rng(2).normal(size=(1, frames, size)).astype(np.float32)
    other = features.copy()
    other[:, frames // 2] += 5
    mask = np.ones((1, frames), np.float32)
    moved = np.abs(
        np.array(ends({"x": other, "x_mask": mask}))
        - np.array(ends({"x": features, "x_mask": mask}))
    ).max(axis=(0, 2))
    reach = 2 ** (options["blocks"] + 1) - 2
    places = np.flatnonzero(moved > 1e-7) - frames // 2
    assert (places.min(), places.max()) == (-reach, reach)


def test_an_mlp_takes_statistics_and_scales_them() -> None:
    network = networks.build({"x": (180,)}, 3, "mlp", hidden=(16,))
    assert {x.name for x in network.inputs} == {"x"}
    assert network.get_layer("scale_x").axis == (-1,)


def test_networks_are_joined_each_with_its_own_inputs() -> None:
    branches = {
        "a": {"kind": "cnn", "channels": (4, 4), "context": 8},
        "b": {"kind": "lstm", "units": (8,)},
        "c": {"kind": "mlp", "hidden": (8,)},
    }
    shapes = {"a": (64, 80), "b": (32, 41), "c": (180,)}
    network = networks.build(shapes, 8, "concatenated", branches=branches, width=8)
    assert {x.name for x in network.inputs} == {"a", "a_mask", "b", "b_mask", "c"}
    assert network.output["scores"].shape == (None, 8)


@pytest.mark.parametrize(
    ("kind", "shapes", "options", "reason"),
    [
        ("transformer", {"x": (64, 80)}, {}, "no such network"),
        ("cnn", {"x": (180,)}, {}, "takes frames"),
        ("mlp", {"x": (64, 80)}, {}, "takes statistics"),
        ("cnn", {"x": (64, 80), "y": (64, 80)}, {}, "one input"),
        ("cnn", {"x": (63, 80)}, {}, "multiple of 4"),
        ("light_sernet", {"x": (48, 40)}, {}, "multiple of 32"),
        ("light_sernet", {"x": (64, 40)}, {"channels": (8, 8)}, "there are 4 blocks"),
        ("framed", {"x": (64, 80)}, {}, "no such network"),
        ("lstm", {"x": (64, 80)}, {"layers": 3}, "no layers here; it takes units"),
        ("mobilenetv2", {"x": (64, 80)}, {"weights": "none"}, "160"),
        ("mobilenetv2", {"x": (160, 160)}, {"weights": "nowhere.h5"}, "no weights file nowhere.h5"),
        ("concatenated", {"x": (64, 80)}, {"branches": {"y": {"kind": "cnn"}}}, "do not fit"),
    ],
)
def test_what_cannot_be_built_is_one_line(
    kind: str, shapes: dict[str, tuple[int, ...]], options: dict[str, object], reason: str
) -> None:
    with pytest.raises(NetworkError, match=reason) as caught:
        networks.build(shapes, 8, kind, **options)
    assert "\n" not in str(caught.value)


def test_pretrained_layers_are_tuned_from_the_named_one_on() -> None:
    from training.train import _freeze

    network = build("mobilenetv2")
    (base,) = (layer for layer in network.layers if isinstance(layer, keras.Model))
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 160, 160)).astype(np.float32)
    inputs = {"x": features, "x_mask": np.ones((2, 160), np.float32)}

    def changed(first: str | None) -> set[str]:
        """Weights of the base that a step changes."""
        before = {w.path: keras.ops.convert_to_numpy(w) for w in base.weights}
        _freeze(network, first)
        network.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        network.train_on_batch(inputs, np.eye(8, dtype=np.float32)[:2])
        return {
            w.path
            for w in base.weights
            if not np.array_equal(before[w.path], keras.ops.convert_to_numpy(w))
        }

    assert changed(None) == set()
    tuned = changed("block_16_expand")
    assert {"block_16_project/kernel", "block_16_project_BN/moving_mean"} <= tuned
    assert not any("block_15" in path for path in tuned)
    assert any("block_15" in path for path in changed(""))


def test_batch_statistics_follow_within_a_short_tuning() -> None:
    """Those of photographs are not those of spectrograms, by which the network is trained."""
    network = build("mobilenetv2")
    (base,) = (layer for layer in network.layers if isinstance(layer, keras.Model))
    found = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(found) == 52
    assert max(layer.momentum for layer in found) ** 100 < 1e-4
