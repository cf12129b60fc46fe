"""The weights of Whisper's encoder, out of whichever kind of file they are at hand in.

- `.npz`: arrays under the names that `read` returns;
- `model.bin`: CTranslate2's, whose names those are, in float32 or float16;
- `.safetensors`: as published with the `transformers` library;
- `.pt`: OpenAI's own, read without PyTorch, and without running anything that is in it.
"""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serd.audio import Floats
from serd.wording import reason
from training.networks import NetworkError

Arrays = dict[str, NDArray[Any]]

_CTRANSLATE2_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_TYPES = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
_TORCH_TYPES = {"FloatStorage": np.float32, "HalfStorage": np.float16, "LongStorage": np.int64}

# Of a layer: the end of our name → of OpenAI's → of transformers'. Several are stacked.
LAYER = {
    "self_attention.layer_norm.gamma": ("attn_ln.weight", "self_attn_layer_norm.weight"),
    "self_attention.layer_norm.beta": ("attn_ln.bias", "self_attn_layer_norm.bias"),
    "self_attention.linear_1.weight": ("attn.out.weight", "self_attn.out_proj.weight"),
    "self_attention.linear_1.bias": ("attn.out.bias", "self_attn.out_proj.bias"),
    "ffn.layer_norm.gamma": ("mlp_ln.weight", "final_layer_norm.weight"),
    "ffn.layer_norm.beta": ("mlp_ln.bias", "final_layer_norm.bias"),
    "ffn.linear_0.weight": ("mlp.0.weight", "fc1.weight"),
    "ffn.linear_0.bias": ("mlp.0.bias", "fc1.bias"),
    "ffn.linear_1.weight": ("mlp.2.weight", "fc2.weight"),
    "ffn.linear_1.bias": ("mlp.2.bias", "fc2.bias"),
}
QUERY_KEY_VALUE = (
    ("attn.query", "attn.key", "attn.value"),
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
)


# Our names of a layer's parts → those of its arrays.
_NORMS = {"attention_norm": "self_attention", "norm": "ffn"}
_MATRICES = {
    "query_key_value": "self_attention.linear_0",
    "mixed": "self_attention.linear_1",
    "wide": "ffn.linear_0",
    "narrow": "ffn.linear_1",
}


def read(path: Path) -> dict[str, Floats]:
    """The arrays of an encoder, float32.

    Args:
        path: a file of one of the four kinds.

    Returns:
        `conv1.weight` `[width, mels, 3]` and `.bias`, `conv2…`, `position_encodings.encodings`
        `[steps, width]`, and of each layer `layer_N.self_attention.linear_0.weight`
        `[3 * width, width]` (query, key and value, one below the other), `….linear_1…`,
        `layer_N.ffn.linear_0…`, `….linear_1…`, and `layer_norm.gamma` and `.beta` of both.

    Raises:
        NetworkError: it cannot be read, or lacks something.
    """
    kinds: dict[str, Callable[[Path], Arrays]] = {
        ".npz": _npz,
        ".bin": _ctranslate2,
        ".safetensors": _safetensors,
        ".pt": _torch,
    }
    if path.suffix not in kinds:
        raise NetworkError(f"{path}: none of {', '.join(kinds)}")
    try:
        return {name: array.astype(np.float32) for name, array in kinds[path.suffix](path).items()}
    except OSError as error:
        raise NetworkError(f"weights {path}: {reason(error)}") from error
    except KeyError as error:
        raise NetworkError(f"weights {path}: no {error.args[0]} in it") from error
    except (
        ValueError,
        EOFError,
        struct.error,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        raise NetworkError(f"weights {path}: not readable ({error})") from error


def by_layer(path: Path, count: int, heads: int) -> dict[str, list[Floats]]:
    """The weights of each layer of a network, by its name in `whisper`.

    Args:
        path: as of `read`.
        count: of the encoder's layers.
        heads: of each layer.

    Returns:
        Kernels `[span, in, out]` and biases of convolutions, scales and shifts of norms; positions.
        Queries are scaled already; keys have no bias, which would change nothing.

    Raises:
        NetworkError: as of `read`, or it has fewer layers.
    """
    arrays = read(path)
    if f"layer_{count - 1}.ffn.linear_1.bias" not in arrays:
        raise NetworkError(f"weights {path}: fewer than {count} layers in it")
    found = {"positions": [arrays["position_encodings.encodings"]]}
    for name in ("conv1", "conv2"):
        found[name] = [arrays[f"{name}.weight"].transpose(2, 1, 0), arrays[f"{name}.bias"]]
    for number in range(count):
        own = f"layer_{number}"
        for ours, theirs in _NORMS.items():
            norm = f"{own}.{theirs}.layer_norm"
            found[f"{ours}_{number}"] = [arrays[f"{norm}.gamma"], arrays[f"{norm}.beta"]]
        for ours, theirs in _MATRICES.items():
            kernel, bias = arrays[f"{own}.{theirs}.weight"].T[None], arrays[f"{own}.{theirs}.bias"]
            found[f"{ours}_{number}"] = [kernel, bias]
        kernel, bias = found.pop(f"query_key_value_{number}")
        scale = (bias.size // 3 // heads) ** -0.5
        parts = zip(np.split(kernel, 3, axis=2), np.split(bias, 3), strict=True)
        for name, factor, part in zip(("query", "key", "value"), (scale, 1, 1), parts, strict=True):
            found[f"{name}_{number}"] = [array * np.float32(factor) for array in part]
        found[f"key_{number}"].pop()
    return found


def _npz(path: Path) -> Arrays:
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return _complete(found)


def _ctranslate2(path: Path) -> Arrays:
    """Format: version, name and revision of the model, then each variable."""
    file = io.BytesIO(path.read_bytes())

    def number(code: str) -> int:
        return int(struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0])

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    number("I")
    text()
    number("I")
    found = {}
    for _ in range(number("I")):
        name, shape = text(), [0] * number("B")
        shape = [number("I") for _ in shape]
        kind, content = number("B"), file.read(number("I"))
        if name.startswith("encoder/"):
            if kind not in (0, 4) and shape:
                raise ValueError("its weights are quantised")
            array = np.frombuffer(content, _CTRANSLATE2_TYPES[kind]).reshape(shape)
            found[name.removeprefix("encoder/").replace("/", ".")] = array
    return _complete(found)


def _safetensors(path: Path) -> Arrays:
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    found = {}
    for name, facts in header.items():
        if facts.get("dtype") in _TYPES:
            begin, end = (8 + length + place for place in facts["data_offsets"])
            array = np.frombuffer(content[begin:end], _TYPES[facts["dtype"]])
            found[name.removeprefix("model.")] = array.reshape(facts["shape"])
    return _named(found, "encoder.embed_positions.weight", "encoder.layers", published=1)


def _torch(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as file:
        (index,) = (name for name in file.namelist() if name.endswith("/data.pkl"))
        content = _Tensors(file, index.removesuffix("data.pkl")).load()
    state = content.get("model_state_dict", content)
    return _named(state, "encoder.positional_embedding", "encoder.blocks", published=0)


class _Tensors(pickle.Unpickler):
    """Knows tensors, dictionaries and nothing else, so that a file can do nothing."""

    def __init__(self, file: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(file.read(f"{folder}data.pkl")))
        self._file = file
        self._folder = folder

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TORCH_TYPES:
            return _TORCH_TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} in it")

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, *_ = pid
        return np.frombuffer(self._file.read(f"{self._folder}data/{key}"), kind)


def _tensor(storage: NDArray[Any], offset: int, shape: Any, strides: Any, *_: Any) -> NDArray[Any]:
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, storage.size - 1 - last) < 0:
        raise ValueError("an array beyond the end of its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)


def _named(found: Mapping[str, Any], positions: str, layers: str, published: int) -> Arrays:
    """Our names for those of others; `published` is their place in `LAYER`."""
    named = {"position_encodings.encodings": found[positions]}
    for part in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        named[part] = found[f"encoder.{part}"]
    for number in range(len({n.split(".")[2] for n in found if n.startswith(f"{layers}.")})):
        theirs = f"{layers}.{number}."
        for ours, names in LAYER.items():
            named[f"layer_{number}.{ours}"] = found[theirs + names[published]]
        each = [theirs + name for name in QUERY_KEY_VALUE[published]]
        weights = [found[f"{name}.weight"] for name in each]
        none = np.zeros(len(weights[0]))  # the key has no bias
        biases = [found.get(f"{name}.bias", none) for name in each]
        own = f"layer_{number}.self_attention.linear_0"
        named |= {f"{own}.weight": np.concatenate(weights), f"{own}.bias": np.concatenate(biases)}
    return named


def _complete(found: Arrays) -> Arrays:
    for name in (
        "conv1.weight",
        "conv2.bias",
        "position_encodings.encodings",
        "layer_0.ffn.linear_1.bias",
    ):
        if name not in found:
            raise KeyError(name)
    return found
