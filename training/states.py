"""What Whisper's first layers make of speech: slow to find, always the same, so kept on disk.

Of the layers' states only their main components are kept, by which the rest is mostly known.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from rich.progress import track

from serd.audio import Floats, Pcm, pcm_to_float
from serd.classifier import fill, mask
from serd.features import extract
from serd.wording import reason
from training.config import Config
from training.dataset import CacheError
from training.networks import whisper
from training.schedules import Teaching

_AT_ONCE = 16
_SAMPLE = 500
"""Windows that the main components of the states are found in."""
_LEAST = 1e-6


class Teacher:
    """Listens to windows of speech, as they are."""

    def __init__(
        self, config: Config, options: Teaching, sounds: Sequence[Pcm], data: Path, cache: Path
    ) -> None:
        """Nothing is heard yet.

        Args:
            config: of the network that is taught.
            options: of its teaching.
            sounds: windows, int16 `[n]`, whose states' main components are told.
            data: where the encoder's weights are.
            cache: where what was heard is kept.
        """
        ((_, self._window),) = config.inputs.items()
        self._options = options
        self._sounds = sounds
        self._weights = data / options.weights
        self._folder = cache / "states"
        key = hashlib.sha256(
            f"{options.layers} {options.size} {self._window.model_dump_json()}".encode()
        )
        key.update(self._weights.read_bytes())
        self._key = _with(key.digest(), sounds)
        self._encoder: keras.Model | None = None

    def hear(self, sounds: Sequence[Pcm]) -> NDArray[np.float16]:
        """The states in each window, `[windows, steps, size]`; zeros behind the ends of windows.

        On disk, read as needed: of a corpus they are a gigabyte.

        Raises:
            CacheError: they cannot be kept.
        """
        kept = self._folder / f"{_with(self._key, sounds).hex()[:32]}.npy"
        if not kept.is_file():
            part = kept.with_suffix(".part")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._write(part, sounds)
                part.replace(kept)
            except OSError as error:
                raise CacheError(f"{self._folder}: {reason(error)}") from error
            finally:
                part.unlink(missing_ok=True)
        return np.load(kept, mmap_mode="r")

    def _write(self, part: Path, sounds: Sequence[Pcm]) -> None:
        mean, components = self._components()
        shape = (len(sounds), self._window.shape[0] // whisper.STRIDE, components.shape[1])
        file = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        for place, states in enumerate(track(self._heard(sounds), "the encoder", len(sounds))):
            file[place, : len(states)] = (states - mean) @ components
        file.flush()

    def _components(self) -> tuple[Floats, Floats]:
        """Mean `[states]` and directions `[states, size]`, of variance 1 together."""
        kept = self._folder / f"{self._key.hex()[:32]}.npz"
        if not kept.is_file():
            some = self._sounds[:: max(1, len(self._sounds) // _SAMPLE)]
            rows = np.concatenate(list(self._heard(some)))
            mean, deviation = rows.mean(axis=0), rows.std(axis=0) + _LEAST
            rows = (rows - mean) / deviation
            variances, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
            size = min(self._options.size, len(variances))
            scale = np.sqrt(variances[-size:].mean() + _LEAST)
            components = vectors[:, -size:] / scale / deviation[:, None]
            part = kept.with_suffix(".part.npz")
            np.savez(part, mean=mean, components=components.astype(np.float32))
            part.replace(kept)
        with np.load(kept) as arrays:
            return arrays["mean"], arrays["components"]

    def _heard(self, sounds: Sequence[Pcm]) -> Iterator[Floats]:
        """The encoder's states of each window, `[steps, states]`."""
        frames = self._window.shape[0]
        if self._encoder is None:
            self._encoder = whisper.teacher(frames, self._weights, self._options.layers)
        for start in range(0, len(sounds), _AT_ONCE):
            some = [
                extract(pcm_to_float(x), self._window.features) for x in sounds[start:][:_AT_ONCE]
            ]
            lengths = [min(len(x), frames) for x in some]
            inputs = [np.stack([fill(x, frames) for x in some])]
            inputs.append(np.stack([mask(length, frames) for length in lengths]))
            found = ops.convert_to_numpy(self._encoder.predict_on_batch(inputs))
            for states, length in zip(found, lengths, strict=True):
                yield states[: -(-length // whisper.STRIDE)]


def _with(key: bytes, sounds: Sequence[Pcm]) -> bytes:
    digest = hashlib.sha256(key)
    for samples in sounds:
        digest.update(samples.tobytes())
    return digest.digest()
