"""Events that wait for the broker, in a database that outlives the process and the power."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serd.settings import Settings, state_dir

_log = logging.getLogger(__name__)

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

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class OutboxError(Exception):
    """The database cannot be opened, read or written; the message says why, in one line."""


class OutboxTakenError(OutboxError):
    """Another process has it open."""


@dataclass(frozen=True)
class Waiting:
    """An event that is not acknowledged yet."""

    seq: int
    """Its place in the order; later events have larger ones."""
    id: str
    topic: str
    payload: str


class Outbox:
    """Keeps events, in order, until they are deleted; any thread may use it.

    When there are too many or they are too old, the oldest are dropped and counted.
    """

    def __init__(
        self,
        path: Path | str | None,
        max_events: int,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
        not_on_disk: str | None = None,
    ) -> None:
        """Open or make the database.

        Args:
            path: its file, the folder is made; None or `:memory:` keeps it in memory. A
                file that is no sound database is moved aside, to `….corrupt`.
            max_events: at least 1.
            max_age_s: of an event, s.
            clock: the time, s; it decides only about age.
            not_on_disk: why it is in memory although it should not be.

        Raises:
            OutboxError: it cannot be opened, or another process has it open.
        """
        self._path = None if path in (None, ":memory:") else Path(str(path))
        self._max_events = max_events
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = threading.Lock()
        self.not_on_disk = not_on_disk
        self.dropped = 0
        """Events that were dropped as too many or too old, since it was opened."""
        self.found_corrupt = False
        """The file was unusable and was moved aside when it was opened."""
        with self._failing_plainly():
            if self._path:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._connect()
            except sqlite3.DatabaseError as error:
                if self._path is None or not _is_corrupt(error):
                    raise
                self._move_aside(self._path, error)
                self._connection = self._connect()
            (self._count,) = self._connection.execute("SELECT count(*) FROM events").fetchone()
            self._prune()

    def put(self, event_id: str, topic: str, payload: str) -> None:
        """Keep an event; when this returns, a power cut does not lose it.

        Args:
            event_id: an event with the same id, if there is one, is kept instead.
            topic: where to publish it.
            payload: what to publish.

        Raises:
            OutboxError: the disk is full, read-only or broken.
        """
        with self._lock, self._failing_plainly():
            # FULL, not NORMAL: small boxes are unplugged rather than shut down, and an
            # utterance takes seconds, so one fsync for each costs nothing that matters.
            self._connection.execute("PRAGMA synchronous=FULL")
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO events (id, topic, payload, put_at) VALUES (?, ?, ?, ?)",
                (event_id, topic, payload, self._clock()),
            )
            self._count += cursor.rowcount
            self._prune()

    def waiting(
        self, limit: int, after: int = 0, without: Collection[str] = ()
    ) -> tuple[list[Waiting], int]:
        """The oldest events, and up to which `seq` there are no others.

        Args:
            limit: at most so many.
            after: only those whose `seq` is larger.
            without: topics whose events are left out.

        Raises:
            OutboxError: the database cannot be read.
        """
        with self._lock, self._failing_plainly():
            self._prune()
            marks = ", ".join("?" * len(without))
            rows = self._connection.execute(
                "SELECT seq, id, topic, payload FROM events"  # noqa: S608 # marks alone
                f" WHERE seq > ? AND topic NOT IN ({marks}) ORDER BY seq LIMIT ?",
                (after, *without, limit),
            ).fetchall()
            if len(rows) < limit:
                (seen,) = self._connection.execute("SELECT max(seq) FROM events").fetchone()
            else:
                seen = rows[-1][0]
        return [Waiting(*row) for row in rows], max(after, seen or 0)

    def delete(self, event_id: str) -> None:
        """Forget an event that has arrived; one that is not there is no error.

        Raises:
            OutboxError: the database cannot be written.
        """
        with self._lock, self._failing_plainly():
            # A deletion lost in a power cut only delivers an event twice: no fsync for it.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            cursor = self._connection.execute("DELETE FROM events WHERE id = ?", (event_id,))
            self._count -= cursor.rowcount

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Close the database; what waits in a file stays."""
        with self._lock:
            self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False, timeout=2
        )
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

    def _move_aside(self, path: Path, error: sqlite3.DatabaseError) -> None:
        aside = path.with_name(path.name + ".corrupt")
        path.replace(aside)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        self.found_corrupt = True
        _log.warning("outbox %s is corrupt (%s): moved to %s", path, error, aside.name)

    def _prune(self) -> None:
        too_old = self._connection.execute(
            "DELETE FROM events WHERE put_at < ?", (self._clock() - self._max_age_s,)
        ).rowcount
        self._count -= too_old
        too_many = 0
        if self._count > self._max_events:
            too_many = self._connection.execute(
                "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?)",
                (self._count - self._max_events,),
            ).rowcount
            self._count -= too_many
        self.dropped += too_old + too_many

    @contextmanager
    def _failing_plainly(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            where = self._path or "in memory"
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise OutboxTakenError(f"outbox {where}: locked by another process") from error
            raise OutboxError(f"outbox {where}: {(reason or str(error)).lower()}") from error


def open_outbox(settings: Settings) -> Outbox:
    """The one of a configuration: in a file, or where that cannot be, in memory.

    Events matter more than their keeping.

    Raises:
        OutboxTakenError: two daemons would answer to one name.
    """
    limits = settings.outbox.max_events, settings.outbox.max_age_h * 3600
    try:
        return Outbox(settings.outbox.path or state_dir(settings) / "outbox.db", *limits)
    except OutboxTakenError:
        raise
    except OutboxError as error:
        _log.error("%s; events wait in memory only", error)
        return Outbox(None, *limits, not_on_disk=f"{error}; events wait in memory only")


def _check(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(str(verdict).splitlines()[0])
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    # The low byte is the kind of error, the others say more about it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT
