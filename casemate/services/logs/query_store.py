"""Queries of Logs Insights as they are stored: what is asked and what was found, sealed under the account's key."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from casemate.gate.keyring import Keyring

if TYPE_CHECKING:
    from casemate.engine.logs.insights import Running
    from casemate.store.database import Row, Tx

SHOWN_FOR = 7 * 86_400_000
"""Milliseconds for which a query and its result are there."""
GOING = ("Scheduled", "Running")

_ASKED, _RESULT = "logs query", "logs query result"
_COLUMNS = "account, region, id, created, status, finished, data"
_ONE = "WHERE account = ? AND region = ? AND id = ?"


class Query(NamedTuple):
    """created, finished: milliseconds since the epoch; asked: text, start and end (milliseconds), limit, groups
    (accounts, ids and names), user (ARN)."""

    account: str
    region: str
    id: str
    created: int
    status: str
    finished: int | None
    asked: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        return self[:3]

    @property
    def groups(self) -> Sequence[tuple[str, str, str]]:
        """Account, id and name of each."""
        return [(each[0], each[1], each[2]) for each in self.asked["groups"]]


class Queries:
    """Queries, one per worker: ``call.part(Queries)``; and those that this worker runs at this moment."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._lock = Lock()
        self._running: dict[str, Running] = {}
        self.closing = False

    def __repr__(self) -> str:
        return "<Queries>"

    # Those that run here.

    def begin(self, query_id: str, running: Running) -> None:
        with self._lock:
            self._running[query_id] = running
            if self.closing:
                running.stop()

    def end(self, query_id: str) -> None:
        with self._lock:
            self._running.pop(query_id, None)

    def interrupt(self, query_id: str) -> None:
        """Stop a query, should it run here; elsewhere it finds out by itself."""
        with self._lock:
            running = self._running.get(query_id)
        if running is not None:
            running.stop()

    def close(self) -> None:
        """Stop all; they begin again once the server is back."""
        with self._lock:
            self.closing = True
            for running in self._running.values():
                running.stop()

    # Rows.

    def add(self, tx: Tx, query: Query) -> None:
        key = self._keyring.account_key(query.account, tx)
        data = key.wrap(orjson.dumps(query.asked), _ASKED, query.region, query.id, query.created)
        tx.run(
            "INSERT INTO logs_queries (account, region, id, created, status, data) VALUES (?, ?, ?, ?, ?, ?)",
            (*query.key, query.created, query.status, data),
        )

    def find(self, tx: Tx, account: str, region: str, query_id: str, now: int) -> Query | None:
        """None for one that is over for too long. Raises Tampered."""
        row = tx.one(f"SELECT {_COLUMNS} FROM logs_queries {_ONE}", (account, region, query_id))
        if row is None or row[3] < now - SHOWN_FOR:
            return None
        return self._opened(tx, row)

    def all(self, tx: Tx, account: str, region: str, now: int) -> list[Query]:
        """The latest first. Raises Tampered."""
        rows = tx.all(
            f"SELECT {_COLUMNS} FROM logs_queries WHERE account = ? AND region = ? AND created >= ? "
            "ORDER BY created DESC, id DESC",
            (account, region, now - SHOWN_FOR),
        )
        return [self._opened(tx, row) for row in rows]

    def going(self, tx: Tx, account: str, region: str) -> int:
        """How many are not over."""
        row = tx.one(
            "SELECT COUNT(*) FROM logs_queries WHERE account = ? AND region = ? AND status IN (?, ?)",
            (account, region, *GOING),
        )
        assert row is not None
        return int(row[0])

    def change(self, tx: Tx, query: Query, status: str, finished: int | None = None) -> bool:
        """Give a query that is not over another status; False for one that is."""
        changed = tx.run(
            f"UPDATE logs_queries SET status = ?, finished = ? {_ONE} AND status IN (?, ?)",
            (status, finished, *query.key, *GOING),
        )
        return changed == 1

    def keep(self, tx: Tx, query: Query, rows: Sequence[Any], statistics: Mapping[str, float]) -> None:
        """Store what was found so far."""
        plain = zlib.compress(orjson.dumps([rows, statistics]), 1)
        key = self._keyring.account_key(query.account, tx)
        result = key.wrap(plain, _RESULT, query.region, query.id)
        tx.run(f"UPDATE logs_queries SET result = ? {_ONE}", (result, *query.key))

    def result(self, tx: Tx, query: Query) -> tuple[Sequence[Any], Mapping[str, float]]:
        """The rows that were found, and statistics. Raises Tampered."""
        row = tx.one(f"SELECT result FROM logs_queries {_ONE}", query.key)
        if row is None or row[0] is None:
            return [], {}
        key = self._keyring.account_key(query.account, tx)
        rows, statistics = orjson.loads(zlib.decompress(key.unwrap(row[0], _RESULT, query.region, query.id)))
        return rows, statistics

    def forget(self, tx: Tx, before: int) -> None:
        tx.run("DELETE FROM logs_queries WHERE created < ?", (before,))

    def _opened(self, tx: Tx, row: Row) -> Query:
        account, region, query_id, created, status, finished, data = row
        key = self._keyring.account_key(account, tx)
        asked = orjson.loads(key.unwrap(data, _ASKED, region, query_id, created))
        return Query(account, region, query_id, created, status, finished, asked)
