"""Events that wait for the broker, in a database that outlives the process and the power."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from serd import database
from serd.settings import Settings, state_dir

_log = logging.getLogger(__name__)

T = TypeVar("T")


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

    When there are too many or they are too old, the oldest are dropped and counted. When the disk
    fails, they wait in memory until `mend`, and the file's, as far as it can be read, with them.
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
        self._copied: set[str] = set()  # what its file has too, for as long as we do without
        self.changes = -1
        """How often all events have got other places."""
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
            OutboxError: there is no room in memory either.
        """

        def put() -> None:
            # FULL, not NORMAL: small boxes are unplugged rather than shut down, and an
            # utterance takes seconds, so one fsync for each costs nothing that matters.
            self._connection.execute("PRAGMA synchronous=FULL")
            event = event_id, topic, payload, self._clock()
            self._count += self._connection.execute(database.INSERT, event).rowcount
            self._prune()

        self._do(put)

    def waiting(
        self, limit: int, after: int = 0, without: Collection[str] = ()
    ) -> tuple[list[Waiting], int]:
        """The oldest events, and up to which `seq` there are no others.

        Args:
            limit: at most so many.
            after: only those whose `seq` is larger.
            without: topics whose events are left out.

        Returns:
            Nothing where the disk fails just then, for all places change.

        Raises:
            OutboxError: not even memory can be read.
        """
        changes = self.changes
        marks = ", ".join("?" * len(without))
        wanted = (
            "SELECT seq, id, topic, payload FROM events"  # noqa: S608 # marks alone
            f" WHERE seq > ? AND topic NOT IN ({marks}) ORDER BY seq LIMIT ?"
        )

        def read() -> tuple[list[Waiting], int]:
            self._prune()
            rows = self._connection.execute(wanted, (after, *without, limit)).fetchall()
            if len(rows) < limit:
                (seen,) = self._connection.execute("SELECT max(seq) FROM events").fetchone()
            else:
                seen = rows[-1][0]
            return [Waiting(*row) for row in rows], max(after, seen or 0)

        found = self._do(read)
        return found if self.changes == changes else ([], after)

    def delete(self, event_id: str) -> None:
        """Forget an event that has arrived; one that is not there is no error.

        Raises:
            OutboxError: not even in memory.
        """

        def delete() -> None:
            # A deletion lost in a power cut only delivers an event twice: no fsync for it.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            cursor = self._connection.execute("DELETE FROM events WHERE id = ?", (event_id,))
            self._count -= cursor.rowcount

        self._do(delete)

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Close the database; what waits in a file stays."""
        self.mend()
        with self._lock:
            if self.not_on_disk is not None:
                lost = {row[0] for row in database.rows(self._connection)} - self._copied
                if lost:
                    _log.error("events that neither disk nor broker took are lost: %d", len(lost))
            self._connection.close()

    def mend(self) -> None:
        """Use the disk again if it failed and is back; what waits stays behind what was there."""
        if self._path is None or self.not_on_disk is None:
            return
        try:
            with self._failing_plainly():
                connection = database.connect(self._path)
                try:
                    with self._lock:
                        waiting = list(database.rows(self._connection))
                        gone = self._copied - {row[0] for row in waiting}
                        database.merge(connection, waiting, gone)
                        self._connection.close()
                        self._use(connection)
                        self.not_on_disk = None
                except BaseException:
                    connection.close()
                    raise
        except OutboxError as error:
            self.not_on_disk = _in_memory(error)

    def _do(self, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                with self._failing_plainly():
                    return work()
            except OutboxError as error:
                if self._path is None or self.not_on_disk is not None:
                    raise
                self._give_up_file(error)
            with self._failing_plainly():
                return work()

    def _give_up_file(self, error: OutboxError) -> None:
        """A disk that went away does not come back to a file that was open on it."""
        memory = database.connect(None)
        with suppress(sqlite3.Error):
            memory.executemany(database.INSERT, database.rows(self._connection))
        with suppress(sqlite3.Error):
            self._connection.close()
        self._copied = {row[0] for row in database.rows(memory)}
        self.not_on_disk = _in_memory(error)
        self._use(memory)

    def _use(self, connection: sqlite3.Connection) -> None:
        (self._count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        self._connection = connection
        self.changes += 1

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
