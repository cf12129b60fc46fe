"""Fit one network on one split."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from serd.classifier import fill, mask
from training.augment import augment
from training.config import Augmentation, Config
from training.dataset import Utterance

Floats = NDArray[np.float32]


def build_network(config: Config, n_labels: int) -> keras.Model:
    """The untrained network that a configuration names."""
    arguments = dict(config.network)
    module = importlib.import_module(f"training.networks.{arguments.pop('kind')}")
    return module.build(config.data.window_frames, config.features.size, n_labels, **arguments)


class Batches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Training batches: every label as often as any other, each utterance varied anew."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        labels: NDArray[np.int_],
        n_labels: int,
        config: Config,
    ) -> None:
        super().__init__()
        self._utterances = utterances
        self._targets = np.eye(n_labels, dtype=np.float32)[labels]
        self._by_label = [np.flatnonzero(labels == label) for label in range(n_labels)]
        self._config = config
        self._epoch = 0
        self._order = self._balanced_order()

    def __len__(self) -> int:
        return len(self._utterances) // self._config.training.batch_size

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._order = self._balanced_order()

    def __getitem__(self, index: int) -> tuple[dict[str, Floats], Floats]:
        size = self._config.training.batch_size
        rng = self._rng(index)
        chosen = self._order[index * size : (index + 1) * size]
        options, length = self._config.augmentation, self._config.data.window_frames
        rows = [varied(self._utterances[i].features, options, length, rng) for i in chosen]
        features = np.stack([row for row, _ in rows])
        masks = np.stack([row for _, row in rows])
        targets = self._targets[chosen]
        if options.mixup:
            share = rng.beta(options.mixup, options.mixup, (size, 1)).astype(np.float32)
            share = np.maximum(share, 1 - share)
            other = rng.permutation(size)
            features = share[..., None] * features + (1 - share[..., None]) * features[other]
            masks = np.maximum(masks, masks[other])
            targets = share * targets + (1 - share) * targets[other]
        return {"log_mel": features, "mask": masks}, targets

    def _balanced_order(self) -> NDArray[np.int_]:
        """As many indices as utterances, the labels equally often."""
        rng = self._rng(-1)
        each = -(-len(self._utterances) // len(self._by_label))
        rounds = [
            np.concatenate([rng.permutation(own) for _ in range(-(-each // len(own)))])[:each]
            for own in self._by_label
        ]
        return rng.permutation(np.concatenate(rounds))

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self._config.training.seed, self._epoch, index + 1])


def varied(
    features: Floats, options: Augmentation, length: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """An augmented utterance in a window, and its mask; of a long one, a random part."""
    x = augment(features, options, rng)
    if len(x) > length:
        start = int(rng.integers(0, len(x) - length + 1))
        x = x[start : start + length]
    return fill(x, length), mask(len(x), length)


def fit(
    config: Config,
    utterances: Sequence[Utterance],
    labels: NDArray[np.int_],
    n_labels: int,
    run: Path,
) -> keras.Model:
    """Train to the end of the schedule; nothing is chosen on the way, so nothing can leak.

    Args:
        config: what to train, and how long.
        utterances: to train on.
        labels: int `[utterances]`.
        n_labels: classes.
        run: folder for `model.keras` and `history.json`; when the model is there already
            it is loaded instead.

    Returns:
        The network, with its averaged weights.
    """
    if (run / "model.keras").is_file():
        return keras.models.load_model(run / "model.keras")
    options = config.training
    keras.utils.set_random_seed(options.seed)
    network = build_network(config, n_labels)
    batches = Batches(utterances, labels, n_labels, config)
    steps = options.epochs * len(batches)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=options.learning_rate / 20,
        decay_steps=steps - steps // 10,
        warmup_target=options.learning_rate,
        warmup_steps=steps // 10,
    )
    network.compile(
        keras.optimizers.AdamW(
            schedule,
            weight_decay=options.weight_decay,
            clipnorm=1.0,
            use_ema=options.average > 0,
            ema_momentum=options.average or 0.99,
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=options.label_smoothing
        ),
        metrics=["accuracy"],
        jit_compile=False,  # twice as fast without, for these sizes on a CPU
    )
    history = network.fit(batches, epochs=options.epochs, verbose=2)
    run.mkdir(parents=True, exist_ok=True)
    (run / "history.json").write_text(json.dumps(history.history))
    network.optimizer.finalize_variable_values(network.trainable_variables)
    network.save(run / "model.keras")
    return network


def predict(network: keras.Model, utterances: Sequence[Utterance], length: int) -> Floats:
    """Logits `[utterances, labels]` of at most one window of each."""
    features = np.stack([fill(u.features, length) for u in utterances])
    masks = np.stack([mask(len(u.features), length) for u in utterances])
    return network.predict({"log_mel": features, "mask": masks}, verbose=0)["scores"]
