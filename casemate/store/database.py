"""The database, whichever it is: ``read`` and ``write`` with a function of a transaction.

    account = store.read(lambda tx: tx.one("SELECT name FROM account WHERE id = ?", (id,)))

What such a function must know:

- It may run more than once (a conflict with another transaction, a lost primary), so it has no effect outside
  its transaction. ``write`` returns what the run that was committed returned.
- The SQL is the common subset that casemate/store/dialect.py describes, with ``?`` for parameters.
- A failed statement ends the transaction, on both databases (PostgreSQL knows no other way): what follows in
  it is refused, and ``write`` raises the first error even if the function caught it. Where a failure is an
  expected outcome, use ``INSERT ... ON CONFLICT DO NOTHING`` and look at the row count, or
  ``tx.savepoint()``.
- It calls no ``store.read`` and no ``store.write``: it has its transaction.

A store is used in the process that opened it: fork first, open after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from casemate.store.errors import (
    Conflict,
    Incompatible,
    Invalid,
    OutcomeUnknown,
    ReadOnly,
    StoreError,
    Unavailable,
)
from casemate.store.generations import Generations
from casemate.store.migrate import Migrations

__all__ = [
    "Conflict",
    "Generations",
    "Incompatible",
    "Invalid",
    "Migrations",
    "OutcomeUnknown",
    "ReadOnly",
    "Row",
    "Store",
    "StoreError",
    "Tx",
    "Unavailable",
    "open_store",
]

T = TypeVar("T")
Row = tuple[Any, ...]


class Tx(Protocol):
    """A transaction, for the time of the function it was given to and in that function's thread."""

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row, or None."""
        ...

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """All rows."""
        ...

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Insert, update or delete; the number of rows it changed. Raises Conflict, Invalid, ReadOnly."""
        ...

    def bump(self, domain: str) -> None:
        """Say that this transaction changes what caches of that domain hold."""
        ...

    def is_current(self) -> bool:
        """Whether what this transaction reads is the latest committed state as far as generations tell: it
        has changed nothing itself, and no write has bumped a domain since its snapshot. Only then may a
        cache keep what it read under the generation it knows."""
        ...

    def settled(self, domain: str) -> bool:
        """Whether this write's transaction sees of a domain just what was committed last, so that what caches hold of
        it under the present generation is what it would read: neither it nor what commits with it has bumped the
        domain. False where that cannot be told."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """``with tx.savepoint():`` undoes what was done inside when an exception leaves it; the transaction
        goes on. Costs two round trips on PostgreSQL."""
        ...


class Store(Protocol):
    """Thread-safe, blocking except for ``submit``. See the module's text for the rules."""

    @property
    def generations(self) -> Generations:
        """The numbers by which caches notice changes."""
        ...

    @property
    def near(self) -> bool:
        """Whether a read of a few rows is a look into files of this machine, which waits for nobody: so quick that an
        event loop may do it."""
        ...

    def read(self, fn: Callable[[Tx], T]) -> T:
        """What fn returns, run in a read-only transaction that sees one consistent snapshot."""
        ...

    def write(self, fn: Callable[[Tx], T], request_id: str | None = None) -> T:
        """What fn returns, once its changes are durable. An exception of fn undoes them and is raised here.

        request_id: kept for an hour beside the mark by which a lost commit is recognised, for diagnosis."""
        ...

    def submit(
        self,
        fn: Callable[[Tx], T],
        done: Callable[[T | None, BaseException | None], None],
        request_id: str | None = None,
        *,
        near: bool = False,
    ) -> None:
        """As write, without waiting. done(result, None) or done(None, error) is called in one of the store's
        threads, once the changes are durable or undone; it must be quick, others wait behind it. near: fn takes a
        few rows only, so that both had better run in the event loop that has joined, where the store is near."""
        ...

    def join(self, in_loop: Callable[..., object]) -> None:
        """Called in the thread of an event loop: what is submitted as near runs there, and nothing in that thread may
        wait for ``write``. in_loop: runs a function there, called from any thread."""
        ...

    def leave(self) -> None:
        """The loop has ended: called in its thread, before anything waits for the store in it."""
        ...

    def bump_all(self) -> None:
        """Make all caches of all workers start afresh: for a supervisor, when a worker has died."""
        ...

    def backup(self, path: Path) -> None:
        """Write a consistent copy to path, which must not exist, while the store is in use. PostgreSQL has
        tools of its own for this: there it raises StoreError, which names pg_dump."""
        ...

    def close(self) -> None:
        """Wait for the writes under way, then close. Later calls raise StoreError."""
        ...


def open_store(url: str, *, migrations: Sequence[Migrations], patience: float = 10.0) -> Store:
    """Open ``sqlite:///absolute/path/casemate.db`` or ``postgresql://...`` and bring its tables up to date.

    migrations: those of all owners of tables in this database; the store's own are added. patience: for how
    many seconds a locked or unreachable database is tried again before Unavailable is raised. Raises
    Incompatible for a database that a newer version made, StoreError for a URL that is neither.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        parts = urlsplit(url)
        if parts.netloc or not parts.path.startswith("/") or parts.path.endswith("/") or parts.query:
            raise StoreError("a SQLite database is named as sqlite:///absolute/path/casemate.db")
        from casemate.store.sqlite import SqliteStore

        return SqliteStore(Path(unquote(parts.path)), migrations, patience)
    if scheme in ("postgresql", "postgres"):
        from casemate.store.postgresql import PostgresStore

        return PostgresStore(url, migrations, patience)
    # Without the URL: what is meant to be one may hold a password.
    raise StoreError("a database is named by sqlite:///absolute/path or postgresql://user@host/name")
