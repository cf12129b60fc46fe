"""Fit one network on one split."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from serd.audio import pcm_to_float
from serd.classifier import fill, mask
from serd.features import extract
from training import fitting, networks, spec_augment
from training.augment import Augmenter
from training.backup import Backup
from training.config import Config, Window
from training.dataset import Examples, Utterance

Floats = NDArray[np.float32]


class TrainError(Exception):
    """Nothing to train with, or a network that cannot be read; one line."""


class Batches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Training batches: every label as often as any other, each utterance varied anew."""

    def __init__(self, examples: Examples, config: Config, data: Path, seed: int) -> None:
        super().__init__()
        self._utterances = examples.utterances
        count = len(config.labels)
        self._targets = np.eye(count, dtype=np.float32)[examples.labels]
        self._by_label = [np.flatnonzero(examples.labels == label) for label in range(count)]
        self._config = config
        self._augmenter = Augmenter(config.augmentation, data)
        self._seed = seed
        self._epoch = 0
        self._order = self._balanced_order()

    def __len__(self) -> int:
        return max(1, len(self._utterances) // self._config.training.batch_size)

    def on_epoch_end(self) -> None:
        self.go_on_with(self._epoch + 1)

    def go_on_with(self, epoch: int) -> None:
        """Shuffle for this epoch, unless that is done."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = self._balanced_order()

    def __getitem__(self, index: int) -> tuple[dict[str, Floats], Floats]:
        size = self._config.training.batch_size
        rng = self._rng(index)
        chosen = self._order[index * size : (index + 1) * size]
        rows = [self._varied(self._utterances[i], rng) for i in chosen]
        inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        targets = self._targets[chosen]
        if self._config.augmentation.mixup:
            return spec_augment.mixup(inputs, targets, self._config.augmentation.mixup, rng)
        return inputs, targets

    def _varied(self, utterance: Utterance, rng: np.random.Generator) -> dict[str, Floats]:
        options = self._config.augmentation
        length = window_samples(self._config.inputs)
        if options.of_samples or utterance.samples.size > (length or np.inf):
            samples = self._augmenter(pcm_to_float(utterance.samples), rng)
            if length is not None and samples.size > length:
                start = int(rng.integers(0, samples.size - length + 1))
                samples = samples[start : start + length]
            features = {name: extract(samples, spec) for name, spec in self._config.specs.items()}
        else:
            features = utterance.features
        if options.time_masks or options.frequency_masks:
            features = {
                name: x
                if x.ndim == 1
                else spec_augment.mask(x, options.time_masks, options.frequency_masks, rng)
                for name, x in features.items()
            }
        return windowed(features, self._config.inputs)

    def _balanced_order(self) -> NDArray[np.int_]:
        """As many indices as utterances, the labels equally often."""
        rng = self._rng(-1)
        present = [own for own in self._by_label if own.size]
        each = -(-len(self._utterances) // len(present))
        rounds = [
            np.concatenate([rng.permutation(own) for _ in range(-(-each // len(own)))])[:each]
            for own in present
        ]
        return rng.permutation(np.concatenate(rounds))

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._epoch, index + 1])


def window_samples(inputs: dict[str, Window]) -> int | None:
    """The longest sound that fits every window, samples; none without windows."""
    lengths = [w.frames * w.features.hop_length for w in inputs.values() if w.frames is not None]
    return min(lengths, default=None)


def windowed(features: dict[str, Floats], inputs: dict[str, Window]) -> dict[str, Floats]:
    """One example for the network: filled-up features, and a mask for those with frames."""
    example: dict[str, Floats] = {}
    for name, window in inputs.items():
        if window.frames is None:
            example[name] = features[name]
        else:
            example[name] = fill(features[name], window.frames)
            example[f"{name}_mask"] = mask(len(features[name]), window.frames)
    return example


def stacked(utterances: Sequence[Utterance], inputs: dict[str, Window]) -> dict[str, Floats]:
    """At most one window of each, as arrays with the utterances first."""
    rows = [windowed(u.features, inputs) for u in utterances]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def fit(
    config: Config,
    own: Examples,
    held_out: Examples,
    seed: int,
    data: Path,
    folder: Path,
) -> keras.Model:
    """Train to the end of the schedule; nothing is chosen on the way, so nothing can leak.

    Args:
        config: what to train, and how long.
        own: to train on.
        held_out: for the learning curve only.
        seed: of the weights, the order and the variation.
        data: where noise and rooms are.
        folder: for `model.keras` and `history.json`; a fit that was cut off goes on after its
            last epoch.

    Returns:
        The network, with its averaged weights.

    Raises:
        TrainError: nothing is heard of the held-out speakers.
        BackupError: as in `backup`.
    """
    if not held_out.utterances:
        raise TrainError("nothing is heard of the speakers who validate")
    folder.mkdir(parents=True, exist_ok=True)
    options = config.training
    fitting.begin(seed)
    network = build(config.with_weights_below(data))
    _scale(network, own.utterances)
    batches = Batches(own, config, data, seed)
    validation = (
        stacked(held_out.utterances, config.inputs),
        np.eye(len(config.labels), dtype=np.float32)[held_out.labels],
    )
    backups: list[Backup] = []
    for name, epochs, rate in (
        ("frozen", options.frozen_epochs, options.frozen_learning_rate),
        ("all", options.epochs, options.learning_rate),
    ):
        if epochs == 0:
            continue
        _freeze(network, None if name == "frozen" else options.unfreeze_from)
        backups.append(Backup(folder / f"backup-{name}"))
        fitting.stage(
            network,
            batches,
            validation,
            options,
            keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=options.label_smoothing
            ),
            backups[-1],
            epochs=epochs,
            learning_rate=rate,
            before=options.frozen_epochs if name == "all" else 0,
            metrics=["accuracy"],
        )
    fitting.keep(network, backups, folder)
    return network


def trained(file: Path) -> keras.Model:
    """The network in a file that `fit` wrote; raises TrainError where it cannot be read."""
    try:
        return keras.models.load_model(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise TrainError(f"{file}: not readable; remove it, and it is trained again") from error


def build(config: Config) -> keras.Model:
    """The untrained network that a configuration names."""
    shapes = {name: window.shape for name, window in config.inputs.items()}
    return networks.build(shapes, len(config.labels), **config.network)


def predict(network: keras.Model, utterances: Sequence[Utterance], config: Config) -> Floats:
    """Logits `[utterances, labels]` of at most one window of each."""
    return network.predict(stacked(utterances, config.inputs), verbose=0)["scores"]


def _scale(network: keras.Model, utterances: Sequence[Utterance]) -> None:
    """Give the scaling layers the mean and deviation of what is trained on."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            name = layer.name.removeprefix("scale_")
            rows = np.concatenate([np.atleast_2d(u.features[name]) for u in utterances])
            layer.adapt(rows if utterances[0].features[name].ndim == 1 else rows[None])


def _freeze(network: keras.Model, first_trained: str | None) -> None:
    """Train pretrained layers from the named one on; none for nothing, empty for all."""
    for base in (layer for layer in network.layers if isinstance(layer, keras.Model)):
        names = [layer.name for layer in base.layers]
        if first_trained and first_trained not in names:
            raise networks.NetworkError(f"unfreeze_from: no layer {first_trained}")
        start = len(names) if first_trained is None else names.index(first_trained or names[0])
        for place, layer in enumerate(base.layers):
            layer.trainable = place >= start
