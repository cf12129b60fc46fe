"""Which sources somebody has switched off, as it was before the restart."""

import logging
import os
import threading
from pathlib import Path

from serd import whole
from serd.wording import reason

_log = logging.getLogger(__name__)


class Switches:
    """An empty file for each source that is not to listen: it cannot be half-written."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before the first `set`."""
        self._folder = folder
        self._said: dict[str, bool] = {}
        self._unkept: set[str] = set()
        self._lock = threading.Lock()

    def on(self, name: str) -> bool:
        """Whether a source is to listen; all are that nobody is known to have silenced."""
        return self._said.get(name, self._kept(name))

    def set(self, name: str, on: bool) -> None:
        """Remember it; when this returns, a power cut does not undo it, or the log says so."""
        with self._lock:
            self._said[name] = on
            self._keep(name)

    def mend(self) -> None:
        """Try again what the disk did not take, or has otherwise: it may have been away."""
        with self._lock:
            for name, on in self._said.items():
                if name in self._unkept or self._kept(name) != on:
                    self._keep(name)

    def _kept(self, name: str) -> bool:
        return not os.path.exists(self._folder / name)  # noqa: PTH110 # Path's raises errors

    def _keep(self, name: str) -> None:
        try:
            self._write(name, self._said[name])
        except OSError as error:
            if name not in self._unkept:
                self._unkept.add(name)
                _log.error("source %s: a restart will undo that: %s", name, reason(error))
        else:
            if name in self._unkept:
                self._unkept.remove(name)
                _log.warning("source %s: a restart will not undo that any more", name)

    def _write(self, name: str, on: bool) -> None:
        if on:
            (self._folder / name).unlink(missing_ok=True)
        else:
            whole.private_folder(self._folder)
            (self._folder / name).touch(0o600)
        if self._folder.exists():
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
