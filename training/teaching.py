"""A network learns from Whisper's encoder before its last layers learn emotions.

At each step it guesses the states of the encoder's first layers, of speech that the encoder hears
as it is and the network varied: in noise, in rooms, by telephone. Most of what differs from step to
step is which sound is spoken; what is to be known of a voice is in the means and the spreads over
time, so that these are compared too; and once more as the labels of that speech need them.

What is learnt is kept, the guess is thrown away.

Reference:
    Hinton et al., Distilling the knowledge in a neural network, 2015, arXiv 1503.02531.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from serd.audio import Floats, Pcm
from serd.classifier import mask
from training import fitting, networks
from training.backup import Backup
from training.batches import drawn
from training.config import Config
from training.networks import narrowing, whisper
from training.schedules import Teaching
from training.variations import Variations

_GUESS = "guess"
_SAMPLE = 500
"""Windows that tell how much means and spreads differ."""
_LEAST = 1e-3


@dataclass(frozen=True)
class Speech:
    """Windows of speech, and what the encoder made of them."""

    sounds: list[Pcm]
    """int16 `[n]` each."""
    states: list[NDArray[np.float16]]
    """`[steps, size]` each."""
    rows: list[int]
    """The utterance that each is of."""
    corpora: list[str]
    """That each is of."""


Lesson = tuple[dict[str, Floats], Floats]
"""Inputs, and states beside a 1 for each step that counts; of a window, or of many."""


class Lessons(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Batches of windows, varied, with the states of the encoder that heard them as they are.

    In each epoch every corpus is heard as often as any other.
    """

    def __init__(self, speech: Speech, config: Config, data: Path, seed: int, kept: Path) -> None:
        """Prepare.

        Args:
            speech: to learn from.
            config: with `[teaching]`.
            data: where noise and rooms are.
            seed: of order and variation.
            kept: a folder for what was varied.

        Raises:
            CacheError: there is no room for that.
        """
        super().__init__()
        self._speech = speech
        ((self._name, window),) = config.inputs.items()
        self._frames = window.shape[0]
        self._batch_size = options_of(config).batch_size
        copies = options_of(config).copies
        self._varied = Variations(speech.sounds, config, data, seed, kept, copies=copies)
        self._seed = seed
        corpora = np.array(speech.corpora)
        self._corpora = [np.flatnonzero(corpora == name) for name in np.unique(corpora)]
        self._epoch = -1
        self.go_on_with(0)

    def __len__(self) -> int:
        return max(1, len(self._order) // self._batch_size)

    def on_epoch_end(self) -> None:
        self.go_on_with(self._epoch + 1)

    def go_on_with(self, epoch: int) -> None:
        """Shuffle for this epoch, unless that is done."""
        if epoch != self._epoch:
            self._epoch = epoch
            rng = np.random.default_rng([self._seed, epoch])
            each = -(-len(self._speech.sounds) // len(self._corpora))
            self._order = rng.permutation(
                np.concatenate([drawn(own, each, rng) for own in self._corpora])
            )

    def __getitem__(self, index: int) -> Lesson:
        size = self._batch_size
        rows = [self._lesson(i) for i in self._order[index * size : (index + 1) * size]]
        inputs = {name: np.stack([row[0][name] for row in rows]) for name in rows[0][0]}
        return inputs, np.stack([row[1] for row in rows])

    def _lesson(self, i: int) -> Lesson:
        """A window, and what is to be guessed, beside a 1 for each step that counts."""
        features, length = self._varied(i, self._epoch)
        states = self._speech.states[i]
        real = min(-(-length // whisper.STRIDE), len(states))
        told = np.zeros((len(states), states.shape[1] + 1), np.float32)
        told[:real, :-1] = states[:real]
        told[:real, -1] = 1
        return {self._name: features, f"{self._name}_mask": mask(length, self._frames)}, told


def teach(
    config: Config,
    own: Speech,
    held_out: Speech,
    needed: Floats,
    seed: int,
    data: Path,
    folder: Path,
) -> None:
    """Teach a network to the end of the schedule.

    Args:
        config: with `[teaching]`.
        own: to learn from.
        held_out: for the learning curve only.
        needed: what labels are told by: of the states' means and spreads, `[2 * size, numbers]`.
        seed: of the weights, the order and the variation.
        data: where the weights, noise and rooms are.
        folder: for `model.keras`, which gives the embedding, and `history.json`; what was cut
            off goes on after its last epoch.

    Raises:
        NetworkError: the weights cannot be had.
        CacheError: there is no room for the lessons.
        BackupError: as in `backup`.
    """
    options = options_of(config)
    folder.mkdir(parents=True, exist_ok=True)
    fitting.begin(seed)
    kept = folder / "lessons"
    lessons, judged = (
        Lessons(speech, config, data, seed, kept / side)
        for side, speech in (("train", own), ("validation", held_out))
    )
    taught = build(config, data)
    steps = taught.get_layer(whisper.STEPS).output
    guess = layers.Dense(own.states[0].shape[-1], name=_GUESS)
    network = keras.Model(taught.inputs, guess(steps))
    some = [lessons[i] for i in range(min(len(lessons), -(-_SAMPLE // options.batch_size)))]
    narrowing.fit(
        taught,
        data / options.weights,
        [np.concatenate(x) for x in zip(*(lesson[0].values() for lesson in some), strict=True)],
    )
    guess.set_weights(_solved(keras.Model(taught.inputs, steps), some))
    backup = Backup(folder / "backup-teaching")
    fitting.stage(
        network,
        lessons,
        judged,
        options,
        _Distance(own, needed, options),
        backup,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
    )
    fitting.keep(taught, [backup], folder)
    shutil.rmtree(kept)


def build(config: Config, data: Path) -> keras.Model:
    """The network up to its embedding."""
    shapes = {name: window.shape for name, window in config.inputs.items()}
    return keras.Model(*networks.embed(shapes, **config.with_weights_below(data).network))


def _solved(network: keras.Model, lessons: Sequence[Lesson]) -> list[Floats]:
    """What guesses best, by least squares, out of the steps that a network gives."""
    found = [(np.asarray(network.predict_on_batch(x)), told) for x, told in lessons]
    counts = [told[..., -1] > 0 for _, told in found]
    steps = np.concatenate([x[own] for (x, _), own in zip(found, counts, strict=True)])
    told = np.concatenate([y[own][:, :-1] for (_, y), own in zip(found, counts, strict=True)])
    mean, middle = steps.mean(axis=0, dtype=np.float64), told.mean(axis=0, dtype=np.float64)
    apart = steps - mean
    square = apart.T @ apart
    square += _LEAST * np.trace(square) / len(square) * np.eye(len(square))
    weights = np.linalg.solve(square, apart.T @ (told - middle))
    return [weights.astype(np.float32), (middle - mean @ weights).astype(np.float32)]


class _Distance(keras.losses.Loss):  # type: ignore[misc] # Keras has no types
    """What the guess is off: at each step, and in its means and spreads over time.

    The mean square at steps that count; and, each in proportion to its variance from window to
    window, those of the means, of the spreads, and of what is needed of both.
    """

    def __init__(self, speech: Speech, needed: Floats, options: Teaching) -> None:
        super().__init__(name="distance")
        some = speech.states[:: max(1, len(speech.states) // _SAMPLE)]
        sums = np.stack([sums_of(own) for own in some])
        self._variances = sums.var(axis=0) + _LEAST
        self._needed = (needed / ((sums @ needed).std(axis=0) + _LEAST)).astype(np.float32)
        self._share = options.sums
        self._needed_share = options.needed

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of states and a 1 for what counts, `[b, steps, size + 1]`, and guesses: `[b]`."""
        told, counts = y_true[..., :-1], y_true[..., -1:]
        total = ops.maximum(ops.sum(counts, axis=1), 1.0)
        steps = ops.mean(ops.sum(ops.square(y_pred - told) * counts, axis=1) / total, axis=-1)
        apart = _sums(y_pred, counts, total) - _sums(told, counts, total)
        sums = ops.mean(ops.square(apart) / self._variances, axis=-1)
        needed = ops.mean(ops.square(ops.matmul(apart, self._needed)), axis=-1)
        return steps + 2 * self._share * sums + self._needed_share * needed


def _sums(x: Any, counts: Any, total: Any) -> Any:
    """Means and spreads over the steps that count, `[b, 2 * size]`."""
    mean = ops.sum(x * counts, axis=1) / total
    variance = ops.sum(ops.square(x - mean[:, None]) * counts, axis=1) / total
    return ops.concatenate([mean, ops.sqrt(variance + _LEAST)], axis=-1)


def sums_of(states: NDArray[np.float16]) -> Floats:
    """Means and spreads over time of a window's states, `[steps, size]`: `[2 * size]`."""
    heard = states[states.any(axis=1)].astype(np.float32)
    return np.concatenate([heard.mean(axis=0), np.sqrt(heard.var(axis=0) + _LEAST)])


def options_of(config: Config) -> Teaching:
    """Of its teaching; raises NetworkError where there is none."""
    if config.teaching is None:
        raise networks.NetworkError(f"{config.name}: nothing to teach: no [teaching]")
    return config.teaching
