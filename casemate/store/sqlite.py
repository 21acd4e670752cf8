"""SQLite: one file in WAL mode, shared by the workers of one machine.

Every process has one writer thread. It takes all the functions that wait, runs each in a savepoint of one
transaction (BEGIN IMMEDIATE: one writer among all processes) and commits once for all of them, so that one
fdatasync (synchronous=FULL) serves many. Readers have a read-only connection per thread.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import apsw

from casemate.errors import origin
from casemate.store.errors import Conflict, Invalid, ReadOnly, StoreError, Unavailable
from casemate.store.generations import SharedGenerations
from casemate.store.migrate import APPLIED, LEDGER, RECORD, Migrations, outstanding, with_own
from casemate.store.near import NearWrites
from casemate.store.waiting import wait_for

T = TypeVar("T")
Row = tuple[Any, ...]

_log = logging.getLogger(__name__)

_GROUP = 512  # functions in one commit at most
_WRITER_CACHE_KIB = 8192
_READER_CACHE_KIB = 1024
_UNIQUE = (apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY, apsw.SQLITE_CONSTRAINT_ROWID)


def _translated(error: Exception) -> StoreError:
    """apsw's error as the store's. SQLite's texts name tables and columns, never values."""
    if isinstance(error, apsw.ConstraintError):
        # An attribute of the base class that apsw's stubs do not declare.
        unique = getattr(error, "extendedresult", 0) in _UNIQUE
        return (Conflict if unique else Invalid)(str(error))
    if isinstance(error, apsw.ReadOnlyError):
        return ReadOnly(str(error))
    if isinstance(error, (apsw.NotADBError, apsw.CorruptError)):
        return StoreError(str(error))
    if isinstance(
        error, (apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.IOError, apsw.CantOpenError)
    ):
        return Unavailable(str(error))
    return Invalid(str(error))


def _over() -> StoreError:
    return StoreError("the transaction is over")


def _each_its_own(error: BaseException) -> BaseException:
    """A copy for each waiter of a group: raised in several threads, one exception's traceback would mix."""
    failure = _translated(error) if isinstance(error, apsw.Error) else error
    return type(failure)(*failure.args) if isinstance(failure, StoreError) else failure


class SqliteTx:
    """A transaction, on one cursor for all its statements: the next statement resets the one before."""

    __slots__ = ("_conn", "_execute", "_generations", "bumps", "changes", "earlier", "failure", "stamp")

    def __init__(self, conn: apsw.Connection, generations: SharedGenerations) -> None:
        self._conn = conn
        self._execute = conn.cursor().execute
        self._generations = generations
        self.bumps: set[str] | None = None
        self.earlier: set[str] = set()
        """The domains that the functions before this one in its group have bumped."""
        # Between transactions too: a function that keeps its transaction for later is refused.
        self.failure: BaseException | None = _over()
        self.stamp = -1
        self.changes = 0

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        if self.failure is not None:
            raise self.failure
        try:
            return self._execute(sql, params).fetchone()
        except (apsw.Error, TypeError, UnicodeError, OverflowError) as error:
            raise self._fail(error) from error

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        if self.failure is not None:
            raise self.failure
        try:
            return self._execute(sql, params).fetchall()
        except (apsw.Error, TypeError, UnicodeError, OverflowError) as error:
            raise self._fail(error) from error

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        if self.failure is not None:
            raise self.failure
        try:
            self._execute(sql, params).fetchall()
            return self._conn.changes()
        except (apsw.Error, TypeError, UnicodeError, OverflowError) as error:
            raise self._fail(error) from error

    def bump(self, domain: str) -> None:
        if self.bumps is None:
            raise self._fail(ReadOnly("a transaction that only reads bumps no generation"))
        self.bumps.add(domain)

    def is_current(self) -> bool:
        return (
            self.stamp >= 0
            and self.stamp == self._generations.stamp()
            and (self.bumps is None or self._conn.total_changes() == self.changes)
        )

    def settled(self, domain: str) -> bool:
        # Whoever holds the write lock need not fear others: no commit begins, and none is under way.
        return (
            self.bumps is not None
            and domain not in self.bumps
            and domain not in self.earlier
            and 0 <= self.stamp == self._generations.stamp()
        )

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self.run("SAVEPOINT nested")
        try:
            yield
            if self.failure is not None:
                raise self.failure
        except BaseException:
            # Nothing is left to undo when SQLite gave up the whole transaction (disk full).
            if self._conn.in_transaction:
                self._execute("ROLLBACK TO nested")
                self._execute("RELEASE nested")
                self.failure = None
            raise
        self.run("RELEASE nested")

    def command(self, sql: str) -> None:
        """BEGIN, COMMIT and the like, for the store itself."""
        self._execute(sql)

    def _fail(self, error: Exception) -> StoreError:
        self.failure = failure = error if isinstance(error, StoreError) else _translated(error)
        return failure


class _Write(NamedTuple):
    fn: Callable[[Any], Any]
    done: Callable[[Any, BaseException | None], None]


_NEAR_WAIT = object()
"""In the queue: somebody waits for a turn in the event loop."""


class SqliteStore:
    """See casemate.store.database.Store; the file and its directory are made, readable by the owner only."""

    near = True

    def __init__(self, path: Path, migrations: Sequence[Migrations], patience: float) -> None:
        self._path = path
        self._patience = patience
        self._closed = False
        self._local = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Any] = SimpleQueue()
        """_Write, _NEAR_WAIT; None at the end."""
        self._near: NearWrites[_Write] = NearWrites()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm files the mode of the database's.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            os.chmod(path, 0o600)
            self.generations = SharedGenerations(path.with_name("generations"))
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from error
        try:
            with _starting(path):
                self._writer = self._connect(read_only=False)
                self._tx = SqliteTx(self._writer, self.generations)
                self._migrate(with_own(migrations))
        except apsw.Error as error:
            self.generations.close()
            raise _translated(error) from error
        except BaseException:
            self.generations.close()
            raise
        self._thread = threading.Thread(target=self._write_groups, name="store-writer", daemon=True)
        self._thread.start()
        _open.add(self)

    def _connect(self, *, read_only: bool) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        conn = apsw.Connection(str(self._path), flags=flags)
        conn.set_busy_handler(_Patience(self._patience))
        if not read_only:
            conn.execute("PRAGMA journal_mode = WAL")
            conn.execute("PRAGMA synchronous = FULL")
            conn.execute("PRAGMA journal_size_limit = 16777216")
        conn.execute("PRAGMA foreign_keys = ON")
        conn.execute("PRAGMA trusted_schema = OFF")
        conn.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB if read_only else _WRITER_CACHE_KIB}")
        conn.execute("PRAGMA temp_store = MEMORY")
        return conn

    def _migrate(self, wanted: Sequence[Migrations]) -> None:
        conn = self._writer
        conn.execute("BEGIN IMMEDIATE")
        try:
            conn.execute(LEDGER)
            applied: list[Any] = conn.execute(APPLIED).fetchall()
            for owner, migration in outstanding(applied, wanted):
                conn.execute(migration.sql)
                conn.execute(RECORD, (owner, migration.number, migration.name, migration.checksum))
            # Whatever a killed process left behind: under the write lock no other commit is under way.
            self.generations.bump_all()
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            conn.close()
            raise

    # Reading, in the caller's thread.

    def read(self, fn: Callable[[SqliteTx], T]) -> T:
        try:
            tx: SqliteTx = self._local.tx
        except AttributeError:
            tx = self._reader()
        if self._closed:
            raise StoreError("the store is closed")
        if tx.failure is None:
            raise StoreError("a read inside a read of the same thread")
        # Before the snapshot: a commit in between makes it stale, never the other way round.
        tx.stamp = self.generations.stamp()
        tx.failure = None
        try:
            tx.command("BEGIN")
            try:
                result = fn(tx)
                if tx.failure is not None:
                    raise tx.failure
                return result
            finally:
                tx.command("COMMIT")
        except apsw.Error as error:
            raise _translated(error) from error
        finally:
            tx.failure = _over()

    def _reader(self) -> SqliteTx:
        try:
            conn = self._connect(read_only=True)
        except apsw.Error as error:
            raise _translated(error) from error
        with self._lock:
            self._readers.add(conn)
        tx = self._local.tx = SqliteTx(conn, self.generations)
        return tx

    # Writing, in the store's thread.

    def write(self, fn: Callable[[SqliteTx], T], request_id: str | None = None) -> T:  # noqa: ARG002
        if threading.current_thread() is self._thread or self._near.here:
            raise StoreError("a write inside a write, or in the event loop, would wait for itself")
        result: T = wait_for(lambda done: self.submit(fn, done))
        return result

    def submit(
        self,
        fn: Callable[[SqliteTx], T],
        done: Callable[[T | None, BaseException | None], None],
        request_id: str | None = None,  # noqa: ARG002 - a commit's outcome is never in doubt here
        *,
        near: bool = False,
    ) -> None:
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            if not near or not self._near.joined:
                self._queue.put(_Write(fn, done))
            elif self._near.add(_Write(fn, done)):
                self._queue.put(_NEAR_WAIT)

    def join(self, in_loop: Callable[..., object]) -> None:
        self._near.join(in_loop)

    def leave(self) -> None:
        self._near.leave()

    def _write_groups(self) -> None:
        queue = self._queue
        last = False
        while not last:
            group: list[_Write] = []
            near = False
            item = queue.get()
            try:
                while item is not None:
                    if item is _NEAR_WAIT:
                        near = True
                    else:
                        group.append(item)
                    if len(group) >= _GROUP:
                        break
                    item = queue.get_nowait()
            except Empty:
                pass
            last = item is None
            while group or near:
                near = self._write_group(group, near)
                group = []

    def _write_group(self, group: list[_Write], near: bool) -> bool:
        """near: with those that wait for a turn in the loop. Whether others still wait for one."""
        outcomes: list[tuple[Any, BaseException | None]] = []
        turn: list[_Write] = []
        more = False

        def take_turn() -> None:
            nonlocal more
            taken, more = self._near.take()
            turn.extend(taken)
            self._run_each(turn, outcomes)

        try:
            self._begin()
            self._run_each(group, outcomes)
            if near:
                self._near.run(take_turn)
            self._commit()
        except BaseException as failure:
            if near and not turn:
                turn, more = self._near.take()
            outcomes = [(None, _each_its_own(failure)) for _ in (*group, *turn)]
            try:
                if self._writer.in_transaction:
                    self._tx.command("ROLLBACK")
            except apsw.Error as stuck:
                # The next group cannot begin then, hears so, and this is tried again. Nobody waits for ever.
                _log.error("a transaction could not be rolled back: %s", stuck)
        self._tx.failure = _over()
        if turn:
            self._near.post(partial(_hand_back, turn, outcomes[len(group) :]))
        _hand_back(group, outcomes[: len(group)])
        return more

    def _begin(self) -> None:
        tx = self._tx
        tx.failure = None
        tx.command("BEGIN IMMEDIATE")
        tx.stamp = self.generations.stamp()
        tx.changes = self._writer.total_changes()
        tx.earlier = set()

    def _run_each(self, group: list[_Write], outcomes: list[tuple[Any, BaseException | None]]) -> None:
        tx = self._tx
        for fn, _ in group:
            tx.bumps = set()
            tx.command("SAVEPOINT one")
            try:
                result = fn(tx)
                if tx.failure is not None:
                    raise tx.failure
            except BaseException as error:
                if not self._writer.in_transaction:
                    # SQLite gave up the whole transaction, the others' changes with it.
                    raise
                tx.command("ROLLBACK TO one")
                tx.command("RELEASE one")
                tx.failure = None
                outcomes.append((None, error))
            else:
                tx.command("RELEASE one")
                outcomes.append((result, None))
                tx.earlier |= tx.bumps

    def _commit(self) -> None:
        tx = self._tx
        bumps = tx.earlier
        if bumps:
            mark = self.generations.before_commit(bumps)
            try:
                tx.command("COMMIT")
            finally:
                self.generations.after_commit(bumps, mark)
        else:
            tx.command("COMMIT")

    def bump_all(self) -> None:
        self.write(lambda _: self.generations.bump_all())

    def backup(self, path: Path) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        if path.exists():
            raise StoreError(f"{path} exists already")
        partial = path.with_name(f"{path.name}.partial")
        try:
            fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{partial}: {error.strerror}") from error
        try:
            source = self._connect(read_only=True)
            target = apsw.Connection(str(partial), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                # All pages in one step are one snapshot; writers go on meanwhile, in the WAL.
                with target.backup("main", source, "main") as copy:
                    copy.step(-1)
                # One file without companions, and whole.
                target.execute("PRAGMA journal_mode = DELETE")
                if target.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                    raise StoreError(f"the copy of {self._path} is damaged")
            finally:
                target.close()
                source.close()
            os.fsync(fd)
            # Not rename, which would replace what came to be there meanwhile.
            os.link(partial, path)
        except apsw.Error as error:
            raise _translated(error) from error
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        finally:
            os.close(fd)
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        _open.discard(self)
        self._thread.join()
        for conn in list(self._readers):
            # One that a thread reads with at this moment is closed when that thread drops it.
            with suppress(apsw.ThreadingViolationError, apsw.BusyError):
                conn.close()
        # Last: it may write, so it can empty the log and delete it.
        self._writer.close()
        self.generations.close()

    def _forked(self) -> None:
        # SQLite's locks and handles do not survive a fork: the child must open its own.
        self._closed = True


def _hand_back(group: list[_Write], outcomes: list[tuple[Any, BaseException | None]]) -> None:
    for (_, done), (result, error) in zip(group, outcomes, strict=True):
        try:
            done(result, error)
        except Exception as failure:
            _log.error("a store callback failed: %s", origin(failure))


class _Patience:
    """SQLite's busy handler: looks again after 0.1 to 1 ms, until the time is over. (SQLite's own backs off
    to 100 ms, too long between workers that commit in milliseconds.)"""

    __slots__ = ("_since", "_span")

    def __init__(self, span: float) -> None:
        self._span = span
        self._since = 0.0

    def __call__(self, tries: int) -> bool:
        if tries == 0:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > self._span:
            return False
        time.sleep(min(0.0001 * (tries + 1), 0.001))
        return True


@contextmanager
def _starting(path: Path) -> Iterator[None]:
    """One starter at a time: turning on the WAL answers "locked" at once, whatever the busy handler says."""
    fd = os.open(path.with_name(f"{path.name}-start"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_open: weakref.WeakSet[SqliteStore] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_open):
        store._forked()


os.register_at_fork(after_in_child=_after_fork)
