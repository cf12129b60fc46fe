"""Fit one network on one split."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from serd.audio import Floats
from training import fitting, losses, networks
from training.backup import Backup
from training.batches import Batches, stacked
from training.config import Config
from training.dataset import Examples, Utterance


class TrainError(Exception):
    """Nothing to train with, or a network that cannot be read; one line."""


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
    validation = stacked(held_out.utterances, config.inputs), batches.targets(held_out)
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
            losses.crossentropy(
                label_smoothing=options.label_smoothing, masked=batches.targets.masked
            ),
            backups[-1],
            epochs=epochs,
            learning_rate=rate,
            before=options.frozen_epochs if name == "all" else 0,
            metrics=[losses.accuracy],
        )
    fitting.keep(network, backups, folder)
    return network


def trained(file: Path) -> keras.Model:
    """The network in a file that `fit` wrote; raises TrainError where it cannot be read."""
    try:
        return networks.load(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise TrainError(f"{file}: not readable; remove it, and it is trained again") from error


def build(config: Config) -> keras.Model:
    """The untrained network that a configuration names."""
    shapes = {name: window.shape for name, window in config.inputs.items()}
    return networks.build(shapes, len(config.labels), **config.network)


def predict(
    network: keras.Model,
    utterances: Sequence[Utterance],
    config: Config,
    baseline: Floats | None = None,
) -> Floats:
    """Logits `[utterances, labels]` of at most one window of each, by one speaker's baseline."""
    return network.predict(stacked(utterances, config.inputs, baseline), verbose=0)["scores"]


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
