"""PostgreSQL: for several machines, or for operators who have one.

Writes are serializable and run in a few threads, each with a connection of its own. A transaction that
fails for a conflict (40001, 40P01) or a lost connection runs again until the store's patience is over. Each
leaves a mark, ``store_requests``, with its commit: when the answer to COMMIT is lost, the mark says what
became of it. Reads are repeatable-read, on a small pool of connections.

Connections are sessions: a pooler between must work in session mode. Several hosts in the URL are fine, the
one that takes writes is used. Caches on other nodes see a change at most 250 ms after its commit
(casemate/store/news.py).
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, LiteralString, NoReturn, TypeVar

import psycopg
from psycopg import sql as literal
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import IntDumper
from psycopg.types.string import BytesBinaryDumper, StrDumper

from casemate.errors import origin
from casemate.store.dialect import for_psycopg, postgres_script
from casemate.store.errors import Conflict, Invalid, OutcomeUnknown, ReadOnly, StoreError, Unavailable
from casemate.store.generations import LocalGenerations
from casemate.store.ids import new_id
from casemate.store.migrate import APPLIED, LEDGER, RECORD, Migrations, discover, outstanding, with_own
from casemate.store.news import EVERYTHING, News
from casemate.store.waiting import wait_for

T = TypeVar("T")
Row = tuple[Any, ...]
Connection = psycopg.Connection[Row]

_log = logging.getLogger(__name__)

_WRITERS = 8
_READERS = 16
_KEPT = 3600  # seconds for which marks are kept, far above any patience
_MIGRATION_LOCK = 0x63617365_6D617465  # "casemate"

_BEGIN_READ: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_WRITE: LiteralString = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE"


class _Again(StoreError):
    """The transaction met another one: run it again."""


class _Lost(StoreError):
    """The connection is gone, or no longer to a server that takes writes."""


class _IntDumper(IntDumper):
    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


def _translated(error: psycopg.Error, conn: Connection, *, writing: bool) -> StoreError:
    """psycopg's error as the store's. PostgreSQL's texts may quote values: only harmless ones are kept."""
    state = error.sqlstate or ""
    if state in ("40001", "40P01"):
        return _Again(state)
    if conn.closed or conn.broken or state[:2] == "08" or state in ("57P01", "57P02", "57P03"):
        return _Lost("the connection to PostgreSQL was lost")
    if state == "25006":
        return _Lost("this PostgreSQL takes no writes now") if writing else ReadOnly("a change inside a read")
    text = f"PostgreSQL: {type(error).__name__} ({state})"
    if state[:2] in ("23", "42") and error.diag.message_primary:
        text = error.diag.message_primary
    if state == "23505":
        return Conflict(text)
    if state[:2] == "53" or state in ("55P03", "57014", "58030"):
        return Unavailable(text)
    return Invalid(text)


class PgTx:
    """A transaction on a connection, begun with its first statement."""

    __slots__ = ("_begin", "_conn", "_cursor", "_generations", "begun", "bumps", "failure", "stamp", "wrote")

    def __init__(self, conn: Connection, generations: LocalGenerations, begin: LiteralString) -> None:
        self._conn = conn
        self._cursor = conn.cursor()
        self._generations = generations
        self._begin: LiteralString = begin
        self.begun = False
        self.bumps: set[str] = set()
        self.failure: StoreError | None = None
        self.stamp = generations.stamp()
        self.wrote = False

    def end(self) -> None:
        """A function that keeps its transaction for later is refused."""
        self.failure = StoreError("the transaction is over")

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        self._execute(sql, params)
        return self._cursor.fetchone() if self._cursor.description else None

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self._execute(sql, params)
        return self._cursor.fetchall() if self._cursor.description else []

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        self._execute(sql, params)
        return max(self._cursor.rowcount, 0)

    def _execute(self, sql: str, params: Sequence[Any]) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            if not self.begun:
                self._cursor.execute(self._begin)
                self.begun = True
            self._cursor.execute(for_psycopg(sql), params)
        except psycopg.Error as error:
            self._fail(_translated(error, self._conn, writing=self.writing))
        except UnicodeError:
            self._fail(Invalid("text that is not Unicode"))
        if not (self._cursor.statusmessage or "").startswith("SELECT"):
            self.wrote = True

    @property
    def writing(self) -> bool:
        return self._begin is _BEGIN_WRITE

    def bump(self, domain: str) -> None:
        if not self.writing:
            self._fail(ReadOnly("a transaction that only reads bumps no generation"))
        self.bumps.add(domain)

    def is_current(self) -> bool:
        return not self.wrote and 0 <= self.stamp == self._generations.stamp()

    def settled(self, domain: str) -> bool:  # noqa: ARG002
        # Another machine's commit may be on its way.
        return False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self.run("SAVEPOINT nested")
        try:
            yield
            if self.failure is not None:
                raise self.failure
        except BaseException:
            # Nothing can be saved of a transaction that must run again.
            if not isinstance(self.failure, (_Again, _Lost)):
                self.failure = None
                self.run("ROLLBACK TO nested")
                self.run("RELEASE nested")
            raise
        self.run("RELEASE nested")

    def _fail(self, failure: StoreError) -> NoReturn:
        self.failure = failure
        # Not "from" the driver's error: its DETAIL quotes rows, and tracebacks are logged.
        raise failure from None


class _Write:
    """A write under way. results: those of the attempts whose COMMIT had no answer, by attempt."""

    __slots__ = ("attempt", "done", "fn", "mark", "results")

    def __init__(
        self, fn: Callable[[PgTx], Any], done: Callable[[Any, BaseException | None], None], mark: str
    ) -> None:
        self.fn = fn
        self.done = done
        self.mark = mark
        self.attempt = 0
        self.results: dict[int, Any] = {}


class _Writer:
    """A thread and its connection."""

    def __init__(self) -> None:
        self.conn: Connection | None = None
        self.id = new_id()
        self.domains: dict[str, int] = {}


class PostgresStore:
    """See casemate.store.database.Store. Opening waits for the server as long as patience allows."""

    near = False

    def __init__(self, url: str, migrations: Sequence[Migrations], patience: float) -> None:
        self._conninfo, self._name = _settings(url, patience)
        self._patience = patience
        self._closed = False
        self.generations = LocalGenerations()
        self._lock = threading.Lock()
        self._local = threading.local()
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._waiting = 0
        self._writers: list[threading.Thread] = []
        self._free: list[Connection] = []
        self._sessions: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._reading = threading.BoundedSemaphore(_READERS)
        self._migrate(
            [*with_own(migrations), discover("casemate.store", "store-postgresql", "migrations_postgresql")]
        )
        self._news = News(
            self.generations, lambda: self._connect(time.monotonic()), self._tidy, patience, self._hang_up
        )
        _open.add(self)

    # Connections.

    def _connect(self, deadline: float) -> Connection:
        """A new session; tries until the deadline. Raises Unavailable."""
        pause = 0.05
        while True:
            try:
                conn: Connection = psycopg.connect(self._conninfo, autocommit=True)
                try:
                    self._sessions.add(conn)
                    conn.adapters.register_dumper(bool, _IntDumper)
                    # Typed, so that text and bytes do not turn into one another or into numbers.
                    conn.adapters.register_dumper(str, StrDumper)
                    conn.adapters.register_dumper(bytes, BytesBinaryDumper)
                    # An acknowledged write is durable, whatever the server's default says. The timeouts free
                    # what a vanished client or a stuck lock would hold.
                    conn.execute(
                        "SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = '60s'; "
                        "SELECT set_config('synchronous_commit', 'on', false) "
                        "WHERE current_setting('synchronous_commit') = 'off'"
                    )
                except BaseException:
                    conn.close()
                    raise
                return conn
            except psycopg.Error as error:
                if time.monotonic() + pause > deadline:
                    raise Unavailable(f"{self._name} cannot be reached: {error}") from None
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _migrate(self, wanted: Sequence[Migrations]) -> None:
        conn = self._connect(time.monotonic() + self._patience)
        try:
            conn.execute("SET statement_timeout = 0")
            with conn.transaction():
                conn.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
                conn.execute(postgres_script(LEDGER))
                applied: list[Any] = conn.execute(APPLIED).fetchall()
                for owner, migration in outstanding(applied, wanted):
                    conn.execute(postgres_script(migration.sql))
                    record = (owner, migration.number, migration.name, migration.checksum)
                    conn.execute(for_psycopg(RECORD), record)
            self._tidy(conn)
        except psycopg.Error as error:
            raise _translated(error, conn, writing=True) from error
        finally:
            conn.close()

    def _tidy(self, conn: Connection) -> None:
        """Delete what writes left behind an hour ago and more. Ids begin with their time."""
        before = time.time() - _KEPT
        conn.execute("DELETE FROM store_requests WHERE request_id < %s", (f"{int(before * 1000):012x}",))
        conn.execute("DELETE FROM store_generations WHERE at < %s", (int(before),))

    # Reading, in the caller's thread.

    def read(self, fn: Callable[[PgTx], T]) -> T:
        if getattr(self._local, "reading", False):
            raise StoreError("a read inside a read of the same thread")
        deadline = time.monotonic() + self._patience
        with self._reading:
            self._local.reading = True
            try:
                while True:
                    try:
                        return self._read_once(fn, deadline)
                    except (_Again, _Lost) as error:
                        if time.monotonic() > deadline:
                            raise Unavailable(f"{self._name}: {error}") from None
            finally:
                self._local.reading = False

    def _read_once(self, fn: Callable[[PgTx], T], deadline: float) -> T:
        conn = self._borrow(deadline)
        tx = PgTx(conn, self.generations, _BEGIN_READ)
        try:
            result = fn(tx)
            if tx.failure is not None:
                raise tx.failure
            return result
        except Exception:
            # Whatever fn made of it: a transaction that must run again runs again.
            if isinstance(tx.failure, (_Again, _Lost)):
                raise tx.failure from None
            raise
        finally:
            tx.end()
            self._give_back(conn, tx)

    def _borrow(self, deadline: float) -> Connection:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            if self._free:
                return self._free.pop()
        return self._connect(deadline)

    def _give_back(self, conn: Connection, tx: PgTx) -> None:
        with suppress(psycopg.Error):
            if tx.begun:
                conn.execute("ROLLBACK")
            if not conn.closed:
                with self._lock:
                    if not self._closed:
                        self._free.append(conn)
                        return
        conn.close()

    # Writing, in the store's threads.

    def write(self, fn: Callable[[PgTx], T], request_id: str | None = None) -> T:
        if threading.current_thread() in self._writers:
            raise StoreError("a write inside a write could wait for itself")
        result: T = wait_for(lambda done: self.submit(fn, done, request_id))
        return result

    def submit(
        self,
        fn: Callable[[PgTx], T],
        done: Callable[[T | None, BaseException | None], None],
        request_id: str | None = None,
        *,
        near: bool = False,  # noqa: ARG002 - the database is another process
    ) -> None:
        # Unique per write, not per request, which may write twice; the time first, for _tidy and the index.
        item = _Write(fn, done, f"{new_id()} {request_id or ''}".rstrip())
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            self._waiting += 1
            if self._waiting > len(self._writers) and len(self._writers) < _WRITERS:
                thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
                self._writers.append(thread)
                thread.start()
            self._queue.put(item)

    def join(self, in_loop: Callable[..., object]) -> None:
        pass

    def leave(self) -> None:
        pass

    def _work(self) -> None:
        writer = _Writer()
        while (item := self._queue.get()) is not None:
            result, error = None, None
            try:
                result = self._perform(writer, item)
            except BaseException as caught:
                error = caught
            with self._lock:
                self._waiting -= 1
            try:
                item.done(result, error)
            except Exception as failure:
                _log.error("a store callback failed: %s", origin(failure))
        if writer.conn is not None:
            writer.conn.close()

    def _perform(self, writer: _Writer, item: _Write) -> Any:
        """Run a write until it is committed, refused by itself, or patience is over."""
        deadline = time.monotonic() + self._patience
        while True:
            item.attempt += 1
            try:
                if writer.conn is None:
                    writer.conn = self._connect(deadline)
                if item.results:
                    committed = self._committed(writer.conn, item.mark)
                    if committed is not None:
                        return item.results[committed]
                return self._attempt(writer, writer.conn, item)
            except (_Again, _Lost) as error:
                if isinstance(error, _Lost) and writer.conn is not None:
                    writer.conn.close()
                    writer.conn = None
                if time.monotonic() > deadline:
                    raise self._given_up(str(error), item) from None
            except Unavailable as error:
                if item.results:
                    raise self._given_up(str(error), item) from None
                raise
            time.sleep(random.uniform(0, 0.001 * 2 ** min(item.attempt, 6)))  # noqa: S311

    def _given_up(self, why: str, item: _Write) -> Unavailable:
        return (OutcomeUnknown if item.results else Unavailable)(f"{self._name}: {why}")

    def _committed(self, conn: Connection, mark: str) -> int | None:
        """The attempt that was committed, if one was."""
        try:
            row = conn.execute("SELECT attempt FROM store_requests WHERE request_id = %s", (mark,)).fetchone()
        except psycopg.Error as error:
            raise _translated(error, conn, writing=True) from None
        return row[0] if row else None

    def _attempt(self, writer: _Writer, conn: Connection, item: _Write) -> Any:
        tx = PgTx(conn, self.generations, _BEGIN_WRITE)
        try:
            result = item.fn(tx)
            if tx.failure is not None:
                raise tx.failure
            script = self._script(writer, item, tx)
        except BaseException:
            # Whatever fn made of it: a transaction that must run again runs again.
            if isinstance(tx.failure, _Lost):
                raise tx.failure from None
            self._roll_back(conn)
            if isinstance(tx.failure, _Again):
                raise tx.failure from None
            raise
        tx.end()
        if not tx.bumps:
            self._commit(conn, script, item, result)
            return result
        mark = self.generations.before_commit(tx.bumps)
        try:
            self._commit(conn, script, item, result)
        finally:
            self.generations.after_commit(tx.bumps, mark)
        self._news.own(writer.id, json.dumps(writer.domains))
        return result

    def _script(self, writer: _Writer, item: _Write, tx: PgTx) -> literal.Composed:
        """The mark, the bumps and the commit, for one round trip."""
        script: list[literal.Composable] = [] if tx.begun else [literal.SQL(_BEGIN_WRITE)]
        script.append(_INSERT_MARK.format(item.mark, item.attempt))
        if tx.bumps:
            for domain in tx.bumps:
                writer.domains[domain] = writer.domains.get(domain, 0) + 1
            script.append(_BUMP.format(writer.id, int(time.time()), json.dumps(writer.domains)))
        script.append(literal.SQL("COMMIT"))
        return literal.SQL("; ").join(script)

    def _commit(self, conn: Connection, script: literal.Composed, item: _Write, result: Any) -> None:
        item.results[item.attempt] = result
        try:
            cursor = conn.execute(script)
            while cursor.nextset():
                pass
        except psycopg.Error as error:
            failure = _translated(error, conn, writing=True)
            if not isinstance(failure, _Lost):
                # An answer: this attempt was not committed. Maybe an earlier one was, whose mark is met.
                del item.results[item.attempt]
                self._roll_back(conn)
                if isinstance(failure, Conflict) and item.results:
                    failure = _Again("an earlier attempt was committed")
            raise failure from None

    def _roll_back(self, conn: Connection) -> None:
        try:
            conn.execute("ROLLBACK")
        except psycopg.Error:
            # The server rolls back by itself when the connection ends; the next attempt makes a new one.
            conn.close()

    def _hang_up(self) -> None:
        """The server has not answered for as long as patience lasts: free those who wait for it."""
        for conn in list(self._sessions):
            # Another thread may close it at this moment.
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(conn.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)

    def bump_all(self) -> None:
        self.write(lambda tx: tx.bump(EVERYTHING))
        self.generations.bump_all()

    def backup(self, path: Path) -> None:
        raise StoreError(
            f"{path.name}: a PostgreSQL database is backed up with its own tools, while Casemate runs: "
            "pg_dump --format=custom --file=FILE, or pg_basebackup with WAL archiving"
        )

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in self._writers:
                self._queue.put(None)
        _open.discard(self)
        for thread in self._writers:
            thread.join()
        self._news.close()
        with self._lock:
            for conn in self._free:
                conn.close()
            self._free.clear()

    def _forked(self) -> None:
        # The child shares the sockets with its parent: it must open its own.
        self._closed = True


_INSERT_MARK = literal.SQL("INSERT INTO store_requests (request_id, attempt) VALUES ({}, {})")
_BUMP = literal.SQL(
    "INSERT INTO store_generations (writer, at, domains) VALUES ({}, {}, {}) ON CONFLICT (writer) "
    "DO UPDATE SET at = excluded.at, domains = excluded.domains; SELECT pg_notify('casemate_generations', '')"
)


def _settings(url: str, patience: float) -> tuple[str, str]:
    """The connection string with our defaults, and a name for messages, which holds no password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        # Its text quotes the URL.
        raise StoreError("the postgresql:// URL is malformed") from None
    settings: dict[str, Any] = {
        "application_name": "casemate",
        "connect_timeout": str(max(2, min(int(patience), 5))),
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "2",
        "tcp_user_timeout": "10000",
        "target_session_attrs": "read-write",
        "client_encoding": "UTF8",
        **given,
    }
    host = given.get("host") or given.get("hostaddr") or "the default host"
    return make_conninfo(**settings), f"PostgreSQL at {host}, database {given.get('dbname') or 'by default'}"


_open: weakref.WeakSet[PostgresStore] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_open):
        store._forked()


os.register_at_fork(after_in_child=_after_fork)
