"""Events that wait for the broker, in a database that outlives the process and the power."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serd import database
from serd.settings import Settings, state_dir

_log = logging.getLogger(__name__)


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
            not_on_disk: why it begins in memory and not in its file; `mend` tries that again.

        Raises:
            OutboxError: it cannot be opened, or another process has it open.
        """
        self._path = None if path in (None, ":memory:") else Path(str(path))
        self._max_events = max_events
        self._max_age_s = max_age_s
        self._clock = clock
        self._lock = threading.Lock()
        self.not_on_disk = not_on_disk
        """Why it is in memory although it should not be."""
        self.dropped = 0
        """Events that were dropped as too many or too old, since it was opened."""
        with self._failing_plainly():
            connection = database.connect(None if not_on_disk else self._path)
            try:
                self._use(connection)
                self._prune()
            except BaseException:
                connection.close()
                raise

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
                database.INSERT, (event_id, topic, payload, self._clock())
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

    def mend(self) -> str | None:
        """Use the disk again after a failure; what waited in memory waits behind what is there.

        Places are given anew, also when this fails. One thread at a time.

        Returns:
            why the disk still takes nothing; None when all is well.
        """
        if self._path is None:
            return None
        try:
            with self._lock, self._failing_plainly():
                if self.not_on_disk is None:
                    database.write(self._connection)
                    return None
        except OutboxError as error:
            if database.kind(error.__cause__) == sqlite3.SQLITE_FULL:
                return str(error)  # what is there can still be read
            self._give_up_file(error)
        try:
            with self._failing_plainly():
                connection = database.connect(self._path)
                try:
                    with self._lock:
                        memory = self._connection
                        wanted = "SELECT id, topic, payload, put_at FROM events ORDER BY seq"
                        database.write(connection, memory.execute(wanted))
                        self._use(connection)
                        self.not_on_disk = None
                        memory.close()
                except BaseException:
                    connection.close()
                    raise
        except OutboxError as error:
            self.not_on_disk = _in_memory(error)
        return self.not_on_disk

    def _give_up_file(self, error: OutboxError) -> None:
        """A disk that went away does not come back to a file that was open on it."""
        with self._lock:
            self._connection.close()
            self.not_on_disk = _in_memory(error)
            self._use(database.connect(None))

    def _use(self, connection: sqlite3.Connection) -> None:
        (self._count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        self._connection = connection

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
            if database.kind(error) == sqlite3.SQLITE_BUSY:
                raise OutboxTakenError(f"outbox {where}: locked by another process") from error
            raise OutboxError(f"outbox {where}: {(reason or str(error)).lower()}") from error


def open_outbox(settings: Settings) -> Outbox:
    """The one of a configuration: in a file, or where that cannot be, in memory.

    Events matter more than their keeping.

    Raises:
        OutboxTakenError: two daemons would answer to one name.
    """
    path = settings.outbox.path or state_dir(settings) / "outbox.db"
    limits = settings.outbox.max_events, settings.outbox.max_age_h * 3600
    try:
        return Outbox(path, *limits)
    except OutboxTakenError:
        raise
    except OutboxError as error:
        _log.error("%s", _in_memory(error))
        return Outbox(path, *limits, not_on_disk=_in_memory(error))


def _in_memory(error: OutboxError) -> str:
    return f"{error}; events wait in memory only"
