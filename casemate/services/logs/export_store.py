"""Export tasks as they are stored: what goes where is sealed under the account's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from casemate.gate.keyring import Keyring

if TYPE_CHECKING:
    from casemate.store.database import Row, Tx

ACTIVE = ("PENDING", "RUNNING")
_PURPOSE = "logs export"
_SELECT = "SELECT account, region, id, created, status, finished, message, data FROM logs_exports "
_ONE = "WHERE account = ? AND region = ? AND id = ?"


class Export(NamedTuple):
    """created, finished: milliseconds since the epoch; asked: group (its id), name (the group's), task, streams (a
    prefix), start and end (milliseconds), bucket, prefix."""

    account: str
    region: str
    id: str
    created: int
    status: str
    finished: int | None
    message: str
    asked: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        return self[:3]


class Exports:
    """Export tasks, one per worker: ``call.part(Exports)``."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return "<Exports>"

    def add(self, tx: Tx, export: Export) -> None:
        key = self._keyring.account_key(export.account, tx)
        data = key.wrap(orjson.dumps(export.asked), _PURPOSE, export.region, export.id, export.created)
        tx.run(
            "INSERT INTO logs_exports (account, region, id, created, status, message, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*export.key, export.created, export.status, export.message, data),
        )

    def find(self, tx: Tx, key: tuple[str, str, str]) -> Export | None:
        """Raises Tampered."""
        row = tx.one(_SELECT + _ONE, key)
        return None if row is None else self._opened(tx, row)

    def all(self, tx: Tx, account: str, region: str) -> list[Export]:
        """The latest first. Raises Tampered."""
        rows = tx.all(
            _SELECT + "WHERE account = ? AND region = ? ORDER BY created DESC, id DESC", (account, region)
        )
        return [self._opened(tx, row) for row in rows]

    def active(self, tx: Tx, account: str, region: str) -> bool:
        """Whether a task is not over."""
        row = tx.one(
            "SELECT 1 FROM logs_exports WHERE account = ? AND region = ? AND status IN (?, ?)",
            (account, region, *ACTIVE),
        )
        return row is not None

    def change(
        self, tx: Tx, key: tuple[str, str, str], status: str, finished: int | None = None, message: str = ""
    ) -> bool:
        """Give a task that is not over another status; False for one that is."""
        changed = tx.run(
            f"UPDATE logs_exports SET status = ?, finished = ?, message = ? {_ONE} AND status IN (?, ?)",
            (status, finished, message, *key, *ACTIVE),
        )
        return changed == 1

    def _opened(self, tx: Tx, row: Row) -> Export:
        account, region, task, created, status, finished, message, data = row
        key = self._keyring.account_key(account, tx)
        asked = orjson.loads(key.unwrap(data, _PURPOSE, region, task, created))
        return Export(account, region, task, created, status, finished, message, asked)
