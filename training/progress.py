"""How far a fit is: a bar with the time left in a terminal, a few lines in a log."""

import sys
import time
from typing import Any

import keras
from rich import progress

_LINES = 10


class Progress(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Shows epochs as they pass."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            disable=not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("", total=epochs)
        self._start: tuple[float, int] | None = None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self._start is None:
            self._start = (time.monotonic(), epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        figures = {k: v for k, v in (logs or {}).items() if k.endswith(("loss", "accuracy"))}
        said = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self._bar.update(self._task, completed=epoch + 1, description=said)
        done = epoch + 1
        if self._bar.disable and (done % max(1, self._epochs // _LINES) == 0 or done == 1):
            start, first = self._start or (time.monotonic(), epoch)
            left = (time.monotonic() - start) / (done - first) * (self._epochs - done)
            print(f"  epoch {done}/{self._epochs}: {said}, {left / 60:.1f} min left", flush=True)

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        self._bar.stop()
