"""Windows of speech as a network hears them that is taught: varied a few times each, and kept.

To vary a window takes as long as to learn from it, and a few variations of each are enough.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serd.audio import Floats, Pcm, pcm_to_float
from serd.classifier import fill
from serd.features import extract
from serd.wording import reason
from training.augment import Augmenter
from training.config import Config
from training.dataset import CacheError


class Variations:
    """Each is made when it is wanted first, and on disk from then on, also after a cut."""

    def __init__(
        self,
        sounds: Sequence[Pcm],
        config: Config,
        data: Path,
        seed: int,
        folder: Path,
        *,
        copies: int,
    ) -> None:
        """Make room.

        Args:
            sounds: windows, int16 `[n]` each.
            config: with one input, and `[augmentation]`.
            data: where noise and rooms are.
            seed: of the variation.
            folder: of these sounds alone.
            copies: variations of each.

        Raises:
            CacheError: there is no room for them.
        """
        ((_, self._window),) = config.inputs.items()
        self._sounds = sounds
        self._augmenter = Augmenter(config.augmentation, data)
        self._seed = seed
        self._copies = copies
        each = copies, len(sounds)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._features = _room(folder / "features", np.float16, (*each, *self._window.shape))
            self._lengths = _room(folder / "lengths", np.int32, each)  # 0: not made yet
        except OSError as error:
            raise CacheError(f"{folder}: {reason(error)}") from error

    def __call__(self, i: int, epoch: int) -> tuple[Floats, int]:
        """Features of a window, `[frames, size]`, zeros behind its end; how many frames it has."""
        copy = epoch % self._copies
        if not self._lengths[copy, i]:
            rng = np.random.default_rng([self._seed, copy, i])
            varied = self._augmenter(pcm_to_float(self._sounds[i]), rng)
            features = extract(varied, self._window.features)
            self._features[copy, i] = fill(features, self._window.shape[0])
            self._lengths[copy, i] = len(features)
        return self._features[copy, i].astype(np.float32), int(self._lengths[copy, i])


def _room(path: Path, kind: type, shape: tuple[int, ...]) -> np.memmap:
    """An array on disk, of zeros at first; raises OSError where there is no room for it."""
    with path.open("ab") as file:
        # A full disk would end the process at some later writing.
        os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)) * np.dtype(kind).itemsize)
    return np.memmap(path, kind, "r+", shape=shape)
