"""Whisper's encoder: weights out of four kinds of files, and states as its authors define them."""

import json
import math
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra training")

from serd.audio import Floats  # noqa: E402
from tests.whisper_file import LAYERS, MELS, WIDTH, arrays  # noqa: E402
from training.networks import NetworkError, whisper, whisper_weights  # noqa: E402

FRAMES = 40


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez(tmp_path / "encoder.npz", **arrays())
    return tmp_path / "encoder.npz"


def ctranslate2(path: Path) -> None:
    def text(said: str) -> bytes:
        return struct.pack("<H", len(said) + 1) + said.encode() + b"\0"

    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<I", 3)
    named = {f"encoder/{name.replace('.', '/')}": x for name, x in arrays().items()}
    named["decoder/embeddings/weight"] = np.zeros((2, 2), np.float32)
    content += struct.pack("<I", len(named))
    for name, x in named.items():
        half = x.astype(np.float16)
        content += text(name) + struct.pack("<B", x.ndim) + struct.pack(f"<{x.ndim}I", *x.shape)
        content += struct.pack("<BI", 4, half.nbytes) + half.tobytes()
    path.write_bytes(content)


def theirs(published: int) -> dict[str, Floats]:
    """The arrays under the names of OpenAI (0) or of transformers (1)."""
    positions, layers = (
        ("encoder.positional_embedding", "encoder.blocks"),
        ("encoder.embed_positions.weight", "encoder.layers"),
    )[published]
    names = whisper_weights.LAYER
    found = {positions: arrays()["position_encodings.encodings"]}
    for name, x in arrays().items():
        if name.startswith("conv"):
            found[f"encoder.{name}"] = x
        elif name.startswith("layer_"):
            number, _, part = name.removeprefix("layer_").partition(".")
            if part in names:
                found[f"{layers}.{number}.{names[part][published]}"] = x
            else:
                end = part.rpartition(".")[2]
                parts = whisper_weights.QUERY_KEY_VALUE[published]
                for own, block in zip(parts, np.split(x, 3), strict=True):
                    if end == "weight" or not own.endswith(("key", "k_proj")):
                        found[f"{layers}.{number}.{own}.{end}"] = block
    return found


def safetensors(path: Path) -> None:
    header, content = {"__metadata__": {"format": "pt"}}, b""
    for name, x in theirs(1).items():
        offsets = [len(content), len(content) + x.nbytes]
        header[f"model.{name}"] = {"dtype": "F32", "shape": x.shape, "data_offsets": offsets}
        content += x.tobytes()
    said = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(said)) + said + content)


def torch_file(path: Path, module: str = "torch._utils", name: str = "_rebuild_tensor_v2") -> None:
    """Written by hand, as PyTorch is not there: opcodes of pickle's protocol 2."""
    with zipfile.ZipFile(path, "w") as file:
        code = b"\x80\x02}X\x10\x00\x00\x00model_state_dict}("
        for number, (key, x) in enumerate(theirs(0).items()):
            file.writestr(f"tiny/data/{number}", x.tobytes())
            code += _string(key) + f"c{module}\n{name}\n(".encode()
            code += b"(" + _string("storage") + b"ctorch\nFloatStorage\n" + _string(str(number))
            code += _string("cpu") + _number(x.size) + b"tQ"
            strides = [stride // x.itemsize for stride in x.strides]
            code += _number(0) + _tuple(x.shape) + _tuple(strides) + b"\x89}tR"
        file.writestr("tiny/data.pkl", code + b"us.")


def _string(said: str) -> bytes:
    return b"X" + struct.pack("<I", len(said)) + said.encode()


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tuple(values: object) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"  # type: ignore[arg-type]


WRITERS = {"model.bin": ctranslate2, "model.safetensors": safetensors, "tiny.en.pt": torch_file}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_weights(tmp_path: Path, npz: Path, name: str) -> None:
    expected = whisper_weights.read(npz)
    WRITERS[name](tmp_path / name)
    found = whisper_weights.read(tmp_path / name)
    for key, x in expected.items():
        wanted = x.copy()
        if key.endswith("self_attention.linear_0.bias") and name != "model.bin":
            wanted[WIDTH : 2 * WIDTH] = 0  # theirs have no bias for the key
        assert found[key] == pytest.approx(wanted, abs=2e-3), key


@pytest.mark.parametrize("name", ["encoder.npz", *WRITERS, "weights.txt"])
def test_what_is_no_such_file_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(NetworkError, match=r"no such file|none of"):
        whisper_weights.read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x01" * 300)
    with pytest.raises(NetworkError) as told:
        whisper_weights.read(tmp_path / name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (2, 5), (5, 1)), (5, (2, 2), (2, 1)), (-1, (2,), (1,)), (8, (2,), (-9,))],
)
def test_arrays_reach_no_further_than_their_storage(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    whole = whisper_weights._tensor(np.arange(8), 0, (2, 4), (1, 2))
    assert whole.tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]
    with pytest.raises(ValueError, match="beyond"):
        whisper_weights._tensor(np.arange(8), offset, shape, strides)


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    torch_file(tmp_path / "evil.pt", "os", "system")
    with pytest.raises(NetworkError, match=r"os\.system"):
        whisper_weights.read(tmp_path / "evil.pt")


def reference(x: Floats, count: int) -> list[Floats]:
    """The encoder in NumPy, after its authors' paper, for one clip `[frames, mels]`."""
    w = arrays()

    def gelu(x: Floats) -> Floats:
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))

    def convolved(x: Floats, name: str, stride: int) -> Floats:
        kernel, padded = w[f"{name}.weight"], np.pad(x, ((1, 1), (0, 0)))
        rows = [np.einsum("oik,ki->o", kernel, padded[t : t + 3]) for t in range(0, len(x), stride)]
        return gelu(np.stack(rows) + w[f"{name}.bias"])

    def norm(x: Floats, name: str) -> Floats:
        apart = x - x.mean(axis=-1, keepdims=True)
        scaled = apart / np.sqrt(np.square(apart).mean(axis=-1, keepdims=True) + 1e-5)
        return scaled * w[f"{name}.gamma"] + w[f"{name}.beta"]

    def linear(x: Floats, name: str) -> Floats:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = convolved(convolved(x, "conv1", 1), "conv2", 2)
    x = x + w["position_encodings.encodings"][: len(x)]
    found = []
    for number in range(count):
        own = f"layer_{number}"
        y = linear(norm(x, f"{own}.self_attention.layer_norm"), f"{own}.self_attention.linear_0")
        mixed = []
        for query, key, value in zip(*(np.split(p, 6, 1) for p in np.split(y, 3, 1)), strict=True):
            logits = query @ key.T / np.sqrt(WIDTH // 6)
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            mixed.append(weights / weights.sum(axis=1, keepdims=True) @ value)
        x = x + linear(np.concatenate(mixed, axis=1), f"{own}.self_attention.linear_1")
        y = gelu(linear(norm(x, f"{own}.ffn.layer_norm"), f"{own}.ffn.linear_0"))
        x = x + linear(y, f"{own}.ffn.linear_1")
        found.append(x)
    return found


def test_states_are_as_their_authors_define_them(npz: Path) -> None:
    x = np.random.default_rng(1).normal(size=(FRAMES, MELS)).astype(np.float32)
    teacher = whisper.teacher(FRAMES, npz, LAYERS)
    found = np.array(teacher([x[None], np.ones((1, FRAMES), np.float32)]))[0]
    assert found == pytest.approx(np.concatenate(reference(x, LAYERS), axis=1), abs=1e-3)


def test_steps_that_are_filled_up_change_nothing(npz: Path) -> None:
    x = np.random.default_rng(1).normal(size=(1, FRAMES, MELS)).astype(np.float32)
    mask = (np.arange(FRAMES) < 20).astype(np.float32)[None]
    teacher = whisper.teacher(FRAMES, npz, LAYERS)
    other = x.copy()
    other[:, 20:] = 5
    one, two = (np.array(teacher([a, mask]))[0, :10] for a in (x, other))
    assert one == pytest.approx(two, abs=1e-4)


def test_layers_that_are_not_there_are_one_line(npz: Path) -> None:
    with pytest.raises(NetworkError, match="fewer than 5 layers"):
        whisper.teacher(FRAMES, npz, 5)
