"""Whisper's encoder with far fewer weights, which does almost the same to speech.

Of each matrix, and of the product of two in a row, the directions are kept that matter most to
what speech brings there, and not to any input: those of the singular values of the matrix times a
square root of its inputs' second moments.

Reference:
    Hsu et al., Language model compression with weighted low-rank factorization, ICLR 2022; Chen et
    al., DRONE: data-aware low-rank compression for large NLP models, NeurIPS 2021.
"""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from serd.audio import Floats
from training.networks import whisper, whisper_weights

_AT_ONCE = 16
_FIRST = "conv1_gelu"
"""The layer whose output the second convolution sees."""
_LEAST = 1e-5
"""Of the mean power of inputs, added to each, so that none is without."""

Doubles = NDArray[np.float64]


def fit(network: keras.Model, weights: Path, heard: Sequence[Floats]) -> None:
    """Give a narrower `whisper` network the weights that come nearest on some speech.

    Args:
        network: with layers as `whisper.embed` names them.
        weights: of the encoder, as `whisper_weights.read` takes them.
        heard: log-mels `[n, frames, 80]` and masks `[n, frames]`; a few hundred windows.

    Raises:
        NetworkError: the weights cannot be had.
    """
    names = {layer.name for layer in network.layers}
    count = sum(name.startswith("wide_") for name in names)
    whole = whisper_weights.by_layer(weights, count, whisper.HEADS)
    inner = _inner(heard, weights, count)
    own = dict(whole)
    own["positions"] = [whole["positions"][0][: heard[0].shape[1] // whisper.STRIDE]]
    if "positions_then" in names:
        size = network.get_layer("positions").size
        first, then = _split(own["positions"][0].astype(np.float64), size)
        own |= {"positions": [first], "positions_then": [then[None]]}
    if "conv2_first" in names:
        kernel, bias = whole["conv2"]
        span, width, _ = kernel.shape
        size = network.get_layer("conv2_first").filters
        first, then = _kept(inner[_FIRST], kernel.reshape(span * width, -1), size)
        own["conv2_first"] = [first.reshape(span, width, size)]
        own["conv2_then"] = [then[None], bias]
    for n in range(count):
        came, went = inner[f"attention_norm_{n}"], inner[f"hidden_{n}"]
        for (one, other), inputs, method, heads in (
            (("query", "key"), came, _compared, whisper.HEADS),
            (("value", "mixed"), came, _taken, whisper.HEADS),
            (("wide", "narrow"), went, _fewer, 1),
        ):
            both = f"{one}_{n}", f"{other}_{n}"
            size = network.get_layer(both[0]).filters // heads
            own |= zip(both, method(inputs, whole[both[0]], whole[both[1]], size), strict=True)
    for layer in network.layers:
        if layer.name in own:
            layer.set_weights(own[layer.name])


def _inner(heard: Sequence[Floats], weights: Path, count: int) -> dict[str, Floats]:
    """What comes to each matrix at the steps that count, `[steps, inputs]`."""
    wide = whisper.teacher(heard[0].shape[1], weights, count)
    names = [f"{part}_{n}" for n in range(count) for part in ("attention_norm", "hidden")]
    names.append(_FIRST)
    taps = keras.Model(wide.inputs, [wide.get_layer(name).output for name in names])
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for start in range(0, len(heard[0]), _AT_ONCE):
        some = [array[start : start + _AT_ONCE] for array in heard]
        kept = some[1][:, :: whisper.STRIDE] > 0
        for name, x in zip(found, taps.predict_on_batch(some), strict=True):
            steps = _triples(x) if name == _FIRST else x
            found[name].append(np.asarray(steps)[kept])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _triples(x: Floats) -> Floats:
    """What the second convolution sees at each step, `[b, steps, 3 * width]`."""
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    steps = x.shape[1] // whisper.STRIDE
    each = [padded[:, i :: whisper.STRIDE][:, :steps] for i in range(3)]
    return np.concatenate(each, axis=2)


def _kept(
    inputs: NDArray[np.floating], matrix: NDArray[np.floating], size: int
) -> tuple[Floats, Floats]:
    """Two factors `[in, size]` and `[size, out]`, nearest to the matrix on these inputs."""
    root = _root(inputs)
    first, then = _split(root.T @ matrix, size)
    return np.linalg.solve(root.T, first).astype(np.float32), then


def _compared(
    inputs: Floats, query: Sequence[Floats], key: Sequence[Floats], size: int
) -> tuple[list[Floats], list[Floats]]:
    """Queries and keys of fewer numbers a head, whose products are nearest to the whole ones'.

    What a query says to all keys alike changes nothing, so that keys are taken without their mean.
    """
    asked, answered = _root(_with_one(inputs)), _root(inputs - inputs.mean(axis=0))
    found = []
    for ours, theirs in zip(_by_head(query), _by_head(key), strict=True):
        first, then = _split(asked.T @ ours @ theirs.T @ answered, size)
        pair = (asked, first), (answered, then.T)
        found.append([np.linalg.solve(root.T, part) for root, part in pair])
    queries, keys = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    return _kernel(queries), [keys[None].astype(np.float32)]


def _taken(
    inputs: Floats, value: Sequence[Floats], mixed: Sequence[Floats], size: int
) -> tuple[list[Floats], list[Floats]]:
    """Values of fewer numbers a head, and what is made of them, nearest to the whole ones'."""
    came = _with_one(inputs)
    outputs = np.split(mixed[0][0], whisper.HEADS)
    found = [
        _kept(came, ours @ theirs, size)
        for ours, theirs in zip(_by_head(value), outputs, strict=True)
    ]
    first, then = ([pair[i] for pair in found] for i in (0, 1))
    return _kernel(np.concatenate(first, axis=1)), [np.concatenate(then)[None], mixed[1]]


def _fewer(
    hidden: Floats, wide: Sequence[Floats], narrow: Sequence[Floats], size: int
) -> tuple[list[Floats], list[Floats]]:
    """Those hidden numbers that move most; by least squares they stand for the others too."""
    matrix = narrow[0][0].astype(np.float64)
    moved = hidden.var(axis=0) * np.square(matrix).sum(axis=1)
    most = np.sort(np.argsort(-moved)[:size])
    some = _with_one(hidden[:, most])
    square = some.T @ some
    square += _LEAST * np.trace(square) / len(square) * np.eye(len(square))
    solved = np.linalg.solve(square, some.T @ (hidden @ matrix))
    kernel, bias = _kernel(solved)
    return [wide[0][..., most], wide[1][most]], [kernel, bias + narrow[1]]


def _by_head(layer: Sequence[Floats]) -> list[Doubles]:
    """Kernel and, below it, bias of each head, `[in + 1, size]`; `[in, size]` without a bias."""
    kernel, *bias = layer
    return np.split(
        np.concatenate([kernel[0], *(x[None] for x in bias)]).astype(np.float64), whisper.HEADS, 1
    )


def _kernel(below: Doubles) -> list[Floats]:
    """The weights of a convolution out of kernel and bias, one below the other."""
    return [below[None, :-1].astype(np.float32), below[-1].astype(np.float32)]


def _with_one(inputs: Floats) -> Doubles:
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)


def _root(inputs: NDArray[np.floating]) -> Doubles:
    """`root @ root.T` are the inputs' second moments."""
    square = inputs.T.astype(np.float64) @ inputs / len(inputs)
    square += _LEAST * np.trace(square) / len(square) * np.eye(len(square))
    return np.asarray(np.linalg.cholesky(square), np.float64)


def _split(matrix: Doubles, size: int) -> tuple[Floats, Floats]:
    """Two factors, alike in size, nearest to the matrix."""
    # numpy's own way to divide and conquer does not always converge.
    left, values, right = scipy.linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    root = np.sqrt(values[:size])
    return (left[:, :size] * root).astype(np.float32), (root[:, None] * right[:size]).astype(
        np.float32
    )
