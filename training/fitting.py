"""What every fit has in common: schedule, optimizer, going on after a cut, what is left."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras

from training import whole
from training.backup import Backup
from training.progress import Progress
from training.runs import HISTORY_FILE, MODEL_FILE
from training.schedules import Schedule


class Batches(Protocol):
    """A `keras.utils.PyDataset` whose batches are other ones in each epoch."""

    def __len__(self) -> int: ...

    def go_on_with(self, epoch: int) -> None:
        """Make those of this epoch: the same ones after a cut."""


def begin(seed: int) -> None:
    """What the fits before have left in the process is gone, and chance begins anew."""
    keras.utils.clear_session()  # or every fit adds to the memory of the process
    keras.utils.set_random_seed(seed)


def stage(
    network: keras.Model,
    batches: Batches,
    validation: Any,
    options: Schedule,
    loss: keras.losses.Loss,
    backup: Backup,
    *,
    epochs: int,
    learning_rate: float,
    before: int = 0,
    metrics: Sequence[Callable[[Any, Any], Any]] = (),
) -> None:
    """Train for some epochs, or what is left of them; the weights are averaged at the end.

    Args:
        network: to train.
        batches: to train on.
        validation: for the learning curve: arrays, or a `keras.utils.PyDataset`.
        options: of the optimizer.
        loss: to lower.
        backup: where a cut leaves what is done.
        epochs: of the whole stage.
        learning_rate: the highest.
        before: epochs of other stages, whose batches are not made again.
        metrics: to note beside the loss.
    """
    steps = epochs * len(batches)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 20,
        decay_steps=max(1, steps - steps // 10),
        warmup_target=learning_rate,
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
        loss=loss,
        metrics=list(metrics),
        # TensorFlow is twice as fast without, for these sizes on a CPU; JAX needs it.
        jit_compile=keras.backend.backend() == "jax",
    )
    network.fit(
        batches,
        epochs=epochs,
        initial_epoch=backup.restore(network),
        validation_data=validation,
        verbose=0,
        callbacks=[_GoOn(batches, before), backup, Progress(epochs)],
    )


def keep(network: keras.Model, stages: Sequence[Backup], folder: Path) -> None:
    """Write `model.keras` and `history.json` of a fit that is done, and drop its backups."""
    history = {
        figure: [value for backup in stages for value in backup.history[figure]]
        for figure in stages[0].history
    }
    whole.write_json(folder / HISTORY_FILE, history)
    save(network, folder)
    for backup in stages:
        backup.remove()


def save(network: keras.Model, folder: Path) -> None:
    """Write `model.keras`, whole or not at all."""
    part = folder / f"part.{MODEL_FILE}"
    network.save(part)
    part.replace(folder / MODEL_FILE)


class _GoOn(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Lets the batches go on with the epoch that a restored fit goes on with."""

    def __init__(self, batches: Batches, before: int) -> None:
        super().__init__()
        self._batches = batches
        self._before = before

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._batches.go_on_with(self._before + epoch)
