"""What the layers before the last find in utterances, as they are and varied."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from rich.progress import track

from serd.audio import Floats, Pcm, float_to_pcm, pcm_to_float
from serd.classifier import windows
from serd.features import extract
from training import whole
from training.augment import Augmenter
from training.batches import window_samples, windowed
from training.config import Config
from training.runs import Fold
from training.schedules import Head

_AT_ONCE = 64


def all_of(
    network: keras.Model, sounds: Sequence[Pcm], config: Config, data: Path, kept: Fold, name: str
) -> list[Floats]:
    """Embeddings of utterances, as they are and then varied, as often as the configuration says.

    Args:
        network: from features to an embedding.
        sounds: the same ones for all splits.
        config: with `[head]` and `[augmentation]`.
        data: where noise and rooms are.
        kept: of the network; what is found is kept beside it for the next split.
        name: of the sounds.

    Returns:
        Each `[sounds, size]`; of long ones the mean over their windows.
    """
    found = []
    for copy in range(1 + (config.head or Head()).copies):
        file = kept.path / f"{name}-{copy}.npy"
        if not file.is_file():
            varied = _varied(sounds, config, data, [kept.seed, copy])
            rows = _embeddings(network, varied, len(sounds), config)
            packed = io.BytesIO()
            np.save(packed, rows)
            whole.write(file, packed.getvalue())
        found.append(np.load(file))
    return found


def _varied(sounds: Sequence[Pcm], config: Config, data: Path, seed: list[int]) -> Iterator[Pcm]:
    """The first copy is not varied."""
    augmenter = Augmenter(config.augmentation, data)
    for number, samples in enumerate(track(sounds, "embeddings")):
        if seed[-1]:
            rng = np.random.default_rng([*seed, number])
            yield float_to_pcm(augmenter(pcm_to_float(samples), rng))
        else:
            yield samples


def _embeddings(network: keras.Model, sounds: Iterable[Pcm], count: int, config: Config) -> Floats:
    """A batch of windows at a time, so that a corpus fits into memory."""
    length = window_samples(config.inputs)
    found: list[Floats] = []
    owners: list[int] = []
    waiting: list[dict[str, Floats]] = []
    for owner, samples in enumerate(sounds):
        for window in windows(samples, length):
            features = {n: extract(pcm_to_float(window), s) for n, s in config.specs.items()}
            waiting.append(windowed(features, config.inputs))
            owners.append(owner)
            if len(waiting) == _AT_ONCE:
                found.append(_of_batch(network, waiting))
                waiting = []
    if waiting:
        found.append(_of_batch(network, waiting))
    rows = np.concatenate(found)
    total = np.zeros((count, rows.shape[1]), np.float32)
    np.add.at(total, owners, rows)
    counts = np.bincount(owners, minlength=count).astype(np.float32)
    return (total / counts[:, None]).astype(np.float32)


def _of_batch(network: keras.Model, examples: Sequence[dict[str, Floats]]) -> Floats:
    batch = {name: np.stack([example[name] for example in examples]) for name in examples[0]}
    return keras.ops.convert_to_numpy(network.predict_on_batch(batch))
