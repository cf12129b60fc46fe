"""Which sources somebody has switched off, as it was before the restart."""

import os
from pathlib import Path


class Switches:
    """An empty file for each source that is not to listen: it cannot be half-written."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before the first `set`."""
        self._folder = folder

    def on(self, name: str) -> bool:
        """Whether a source is to listen; all are that nobody is known to have silenced."""
        return not os.path.exists(self._folder / name)  # noqa: PTH110 # Path's raises errors

    def set(self, name: str, on: bool) -> None:
        """Remember it; when this returns, a power cut does not undo it.

        Raises:
            OSError: the disk is full, read-only or broken.
        """
        if on:
            (self._folder / name).unlink(missing_ok=True)
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / name).touch()
        if self._folder.exists():
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
