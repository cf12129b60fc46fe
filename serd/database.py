"""The outbox's database: opened by one process only, and never in the way, however damaged."""

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from serd import whole

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    payload TEXT NOT NULL,
    put_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS events_put_at ON events (put_at);
"""

Row = tuple[str, str, str, float]
"""Id, topic, payload, and when it was put, s."""

INSERT = "INSERT OR IGNORE INTO events (id, topic, payload, put_at) VALUES (?, ?, ?, ?)"

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = logging.getLogger(__name__)


def connect(path: Path | None) -> sqlite3.Connection:
    """Open or make it, for any thread.

    Args:
        path: its file, for us alone; the folder is made, and what is no sound database is moved
            aside, to `….corrupt`. None keeps it in memory.

    Raises:
        OSError, sqlite3.Error: it cannot be opened, or another process has it open.
    """
    if path is None:
        return _connect(":memory:")
    whole.private_folder(path.parent)
    try:
        return _connect_file(path)
    except sqlite3.DatabaseError as error:
        if kind(error) not in _CORRUPT:
            raise
        _move_aside(path, error)
        return _connect_file(path)


def rows(connection: sqlite3.Connection) -> Iterator[Row]:
    """Its events in their order; raises sqlite3.Error where they cannot be read."""
    return connection.execute("SELECT id, topic, payload, put_at FROM events ORDER BY seq")


def merge(connection: sqlite3.Connection, events: Iterable[Row], gone: Iterable[str]) -> None:
    """Add events behind those that are there, and forget others; at once, on the disk.

    Raises:
        sqlite3.Error: the disk does not take it, even if there is nothing; nothing has changed.
    """
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        connection.executemany(INSERT, chain([("", "", "", 0.0)], events))
        connection.executemany("DELETE FROM events WHERE id = ?", ((one,) for one in ("", *gone)))


def kind(error: BaseException | None) -> int:
    """SQLite's primary result code; 0 of what it did not raise."""
    # The low byte is the kind of error, the others say more about it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect_file(path: Path) -> sqlite3.Connection:
    with suppress(FileExistsError):
        path.touch(0o600, exist_ok=False)  # SQLite's other files get the same mode
    return _connect(path)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2)
    try:
        # Two daemons on one outbox would publish everything twice.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        _check(connection)
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(str(verdict).splitlines()[0])
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _move_aside(path: Path, error: sqlite3.DatabaseError) -> None:
    aside = path.with_name(path.name + ".corrupt")
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    _log.warning("outbox %s is corrupt (%s): moved to %s", path, error, aside.name)
