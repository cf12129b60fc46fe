"""A fit that was cut off goes on after its last whole epoch, as if nothing had been.

Keras' own BackupAndRestore leaves a half-written file behind when it is killed while it
saves, forgets the history, and does not keep what dropout draws.
"""

import json
import random
import shutil
from pathlib import Path

import keras
import numpy as np

from training import whole

_BYTES_A_PARAMETER = 4 * 5
"""Weights, two moments, the average; and one more for what HDF5 adds."""


class BackupError(Exception):
    """A backup that cannot be written or read; one line."""


class Backup(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Keeps weights, optimizer, draws and history of the last epoch in a folder."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet."""
        super().__init__()
        self._folder = folder
        self.history: dict[str, list[float]] = {}
        """Figures of all epochs, also of those before a cut."""

    def restore(self, network: keras.Model) -> int:
        """Give a compiled network the state it was left in.

        Returns:
            How many epochs are done.

        Raises:
            BackupError: what is there cannot be read.
        """
        if not self._kept.is_file():
            return 0
        try:
            kept = json.loads(self._kept.read_text())
            self.history = kept["history"]
            done = len(self.history["loss"])
            network.optimizer.build(network.trainable_variables)
            network.load_weights(self._weights(done))
            for draws in _draws(network):
                draws.assign(np.array(kept["draws"][draws.path], np.uint32))
            version, state, gauss = kept["random"]
            random.setstate((version, tuple(state), gauss))  # Keras shuffles batches by it
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise BackupError(
                f"{self._folder}: not readable; remove it, and this fit starts anew"
            ) from error
        return done

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the new state whole, then drop the old one."""
        for figure, value in (logs or {}).items():
            self.history.setdefault(figure, []).append(float(value))
        self._folder.mkdir(exist_ok=True)
        # HDF5 crashes on a full disk instead of saying so.
        needed = self.model.count_params() * _BYTES_A_PARAMETER + 2**20
        if shutil.disk_usage(self._folder).free < needed:
            raise BackupError(
                f"{self._folder}: no space left: {needed >> 20} MB are needed;"
                f" {epoch} epochs are kept"
            )
        part = self._folder / "part.weights.h5"
        self.model.save_weights(part, overwrite=True)
        part.replace(self._weights(epoch + 1))
        draws = {v.path: keras.ops.convert_to_numpy(v).tolist() for v in _draws(self.model)}
        kept = {"history": self.history, "draws": draws, "random": random.getstate()}
        whole.write(self._kept, json.dumps(kept))
        self._weights(epoch).unlink(missing_ok=True)

    def remove(self) -> None:
        """When it is not needed any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _kept(self) -> Path:
        return self._folder / "epochs.json"

    def _weights(self, epochs: int) -> Path:
        return self._folder / f"epoch-{epochs}.weights.h5"


def _draws(network: keras.Model) -> list[keras.Variable]:
    """How often dropout has drawn; such variables are not among the weights."""
    return [v for v in network.variables if v.name == "seed_generator_state"]
