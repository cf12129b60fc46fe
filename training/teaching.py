"""A network learns from Whisper's encoder, without labels, before it learns emotions.

At each step it guesses the states of the encoder's first layers, of speech that the encoder hears
as it is and the network varied: in noise, in rooms, by telephone. What is learnt is kept, the guess
is thrown away.

Reference:
    Hinton et al., Distilling the knowledge in a neural network, 2015, arXiv 1503.02531.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from rich.progress import track

from serd.audio import Floats, Pcm, pcm_to_float
from serd.classifier import fill, mask, windows
from serd.features import extract
from serd.settings import reason
from training import fitting, networks
from training.augment import Augmenter
from training.backup import Backup
from training.batches import window_samples
from training.config import Config, Window
from training.dataset import CacheError, Utterance
from training.networks import whisper
from training.schedules import Teaching

_AT_ONCE = 16
_SAMPLE = 500
"""Windows that the main components of the states are found in."""
_LEAST = 1e-6


class Lessons(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Batches of windows, varied, with the states of the encoder that heard them as they are."""

    def __init__(
        self,
        sounds: Sequence[Pcm],
        states: NDArray[np.float16],
        config: Config,
        data: Path,
        seed: int,
    ) -> None:
        """Prepare.

        Args:
            sounds: windows, int16 `[n]`.
            states: of each, float16 `[windows, steps, size]`.
            config: with `[teaching]`.
            data: where noise and rooms are.
            seed: of order and variation.
        """
        super().__init__()
        self._sounds = sounds
        self._states = states
        self._config = config
        self._options = _teaching(config)
        self._augmenter = Augmenter(config.augmentation, data)
        self._seed = seed
        self._epoch = -1
        self.go_on_with(0)

    def __len__(self) -> int:
        return max(1, len(self._sounds) // self._options.batch_size)

    def on_epoch_end(self) -> None:
        self.go_on_with(self._epoch + 1)

    def go_on_with(self, epoch: int) -> None:
        """Shuffle for this epoch, unless that is done."""
        if epoch != self._epoch:
            self._epoch = epoch
            rng = np.random.default_rng([self._seed, epoch])
            self._order = rng.permutation(len(self._sounds))

    def __getitem__(self, index: int) -> tuple[dict[str, Floats], Floats]:
        size = self._options.batch_size
        rng = np.random.default_rng([self._seed, self._epoch, index + 1])
        rows = [self._lesson(i, rng) for i in self._order[index * size : (index + 1) * size]]
        inputs = {name: np.stack([row[0][name] for row in rows]) for name in rows[0][0]}
        return inputs, np.stack([row[1] for row in rows])

    def _lesson(self, i: int, rng: np.random.Generator) -> tuple[dict[str, Floats], Floats]:
        """A part of a window, and what is to be guessed, beside a 1 for each step that counts."""
        ((name, window),) = self._config.inputs.items()
        hop, frames = window.features.hop_length, self._options.frames
        samples = pcm_to_float(self._sounds[i])
        stride = hop * whisper.STRIDE
        spare = (samples.size - frames * hop) // stride
        start = int(rng.integers(0, spare + 1)) if spare > 0 else 0
        own = self._augmenter(samples[start * stride :][: frames * hop], rng)
        features = extract(own, window.features)
        steps = frames // whisper.STRIDE
        states = self._states[i, start : start + steps]
        real = min(-(-len(features) // whisper.STRIDE), steps, len(states))
        told = np.zeros((steps, states.shape[1] + 1), np.float32)
        told[:real, :-1] = states[:real]
        told[:real, -1] = 1
        inputs = {name: fill(features, frames), f"{name}_mask": mask(len(features), frames)}
        return inputs, told


def teach(
    config: Config,
    own: Sequence[Utterance],
    held_out: Sequence[Utterance],
    seed: int,
    data: Path,
    folder: Path,
    cache: Path,
) -> None:
    """Teach a network to the end of the schedule.

    Args:
        config: with `[teaching]`.
        own: to learn from.
        held_out: for the learning curve only.
        seed: of the weights, the order and the variation.
        data: where the weights, noise and rooms are.
        folder: for `model.keras`, which gives the embedding, and `history.json`; what was cut
            off goes on after its last epoch.
        cache: for the encoder's states.

    Raises:
        NetworkError: the weights cannot be had.
        CacheError: the states cannot be kept.
        BackupError: as in `backup`.
    """
    options = _teaching(config)
    folder.mkdir(parents=True, exist_ok=True)
    sounds, judges = _windows(own, config), _windows(held_out, config)
    states = _states([*sounds, *judges], config, data, cache)
    fitting.begin(seed)
    taught = build(config, data, options.frames)
    steps = taught.get_layer(options.steps).output
    guess = layers.Dense(states.shape[-1], name="guess")(steps)
    network = keras.Model(taught.inputs, guess)
    backup = Backup(folder / "backup-teaching")
    fitting.stage(
        network,
        Lessons(sounds, states[: len(sounds)], config, data, seed),
        Lessons(judges, states[len(sounds) :], config, data, seed),
        options,
        _Distance(),
        backup,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
    )
    full = build(config, data)
    full.set_weights(taught.get_weights())
    fitting.keep(full, [backup], folder)


def build(config: Config, data: Path, frames: int | None = None) -> keras.Model:
    """The network up to its embedding, over so many frames, or as many as it is configured for."""
    shapes = {
        name: window.shape if frames is None else (frames, *window.shape[1:])
        for name, window in config.inputs.items()
    }
    return keras.Model(*networks.embed(shapes, **config.with_weights_below(data).network))


class _Distance(keras.losses.Loss):  # type: ignore[misc] # Keras has no types
    """Mean square of what the guess is off, at steps that count."""

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        counts = y_true[..., -1:]
        total = ops.sum(ops.square(y_pred - y_true[..., :-1]) * counts)
        return total / (ops.sum(counts) * y_pred.shape[-1])


def _teaching(config: Config) -> Teaching:
    if config.teaching is None:
        raise networks.NetworkError(f"{config.name}: nothing to teach: no [teaching]")
    return config.teaching


def _windows(utterances: Sequence[Utterance], config: Config) -> list[Pcm]:
    length = window_samples(config.inputs)
    return [window for u in utterances for window in windows(u.samples, length)]


def _states(sounds: Sequence[Pcm], config: Config, data: Path, cache: Path) -> NDArray[np.float16]:
    """What the encoder's layers find in windows, float16 `[windows, steps, size]`.

    Zeros stand behind the ends of the windows. On disk, read as needed: of a corpus it is a
    gigabyte.

    Raises:
        CacheError: it cannot be kept.
    """
    options = _teaching(config)
    ((_, window),) = config.inputs.items()
    weights = data / options.weights
    key = hashlib.sha256(f"{options.layers} {options.size} {window.model_dump_json()}".encode())
    key.update(weights.read_bytes())
    for samples in sounds:
        key.update(samples.tobytes())
    kept = cache / "states" / f"{key.hexdigest()[:32]}.npy"
    if not kept.is_file():
        teacher = whisper.teacher(window.shape[0], weights, options.layers)
        part = kept.with_suffix(".part")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            _write(part, teacher, sounds, config)
            part.replace(kept)
        except OSError as error:
            raise CacheError(f"{kept.parent}: {reason(error)}") from error
        finally:
            part.unlink(missing_ok=True)
    return np.load(kept, mmap_mode="r")


def _write(part: Path, teacher: keras.Model, sounds: Sequence[Pcm], config: Config) -> None:
    """Of the states only their main components, by which the rest is mostly known, are told."""
    ((_, window),) = config.inputs.items()
    some = sounds[:: max(1, len(sounds) // _SAMPLE)]
    rows = np.concatenate(list(_heard(teacher, some, window)))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + _LEAST
    rows = (rows - mean) / deviation
    variances, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    size = min(_teaching(config).size, len(variances))
    components = vectors[:, -size:] / np.sqrt(variances[-size:].mean() + _LEAST)
    shape = (len(sounds), teacher.output.shape[1], size)
    file = np.lib.format.open_memmap(part, "w+", np.float16, shape)
    heard = _heard(teacher, sounds, window)
    for place, states in enumerate(track(heard, "the encoder's states", len(sounds))):
        file[place, : len(states)] = (states - mean) / deviation @ components
    file.flush()


def _heard(teacher: keras.Model, sounds: Sequence[Pcm], window: Window) -> Iterator[Floats]:
    """The states of each window, `[steps, size]`."""
    frames = window.shape[0]
    for start in range(0, len(sounds), _AT_ONCE):
        some = [extract(pcm_to_float(x), window.features) for x in sounds[start:][:_AT_ONCE]]
        lengths = [min(len(x), frames) for x in some]
        inputs = [np.stack([fill(x, frames) for x in some])]
        inputs.append(np.stack([mask(length, frames) for length in lengths]))
        found = ops.convert_to_numpy(teacher.predict_on_batch(inputs))
        for states, length in zip(found, lengths, strict=True):
            yield states[: -(-length // whisper.STRIDE)]
