"""What a network costs: multiplications, time."""

import time
from collections.abc import Callable

import keras
import numpy as np

_REPEATS = 100


def macs(network: keras.Model) -> int:
    """Multiply–accumulate operations of one example, in matrix products and convolutions."""
    return sum(_of_layer(layer) for layer in network.layers)


def _of_layer(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return macs(layer)
    if isinstance(layer, keras.layers.LSTM):
        return sum(int(np.prod(w.shape)) for w in layer.cell.weights if len(w.shape) == 2) * int(
            layer.input.shape[1]
        )
    kernels = [w for w in layer.weights if "kernel" in w.name]
    if not kernels:
        return 0
    weights = int(np.prod(kernels[0].shape))
    places = int(np.prod(layer.output.shape[1:-1]))  # 1 for a dense layer
    return weights * places


def quantiles_ms(work: Callable[[], object]) -> dict[str, float]:
    """Median and 99th percentile of the duration, ms."""
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    median, p99 = np.percentile(times[_REPEATS // 10 :], [50, 99])
    return {"median": round(float(median), 2), "p99": round(float(p99), 2)}
