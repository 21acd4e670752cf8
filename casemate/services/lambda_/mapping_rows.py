"""Event source mappings: their rows, as they are stored, and who polls for each."""

from __future__ import annotations

from typing import Any, NamedTuple

from orjson import dumps, loads

from casemate.engine.envelope.errors import Tampered
from casemate.gate.keyring import Keyring
from casemate.gate.regions import partition_of
from casemate.services.lambda_.naming import Named, Place
from casemate.store.database import Tx

DOMAIN = "lambda.mappings"
"""The generation that a change of a mapping bumps."""

LEASE = 15.0
"""Seconds for which a worker polls for a mapping, unless it says that it still does."""

NOTHING, OK = "No records processed", "OK"

_PURPOSE = "lambda-mapping"
_OF_ONE = " WHERE account = ? AND region = ? AND id = ?"


class Mapping(NamedTuple):
    """source: the queue's ARN; function, qualifier: what is invoked; window: seconds for which a batch is gathered;
    concurrency: the most batches at a time, 0 where that is not said; reports: the function tells which messages of
    a batch failed; filters: patterns, of which a message must match one; modified: seconds since the epoch."""

    account: str
    region: str
    id: str
    source: str
    function: str
    qualifier: str
    enabled: bool
    batch: int
    window: int
    concurrency: int
    reports: bool
    filters: tuple[str, ...]
    modified: float

    @property
    def arn(self) -> str:
        partition = partition_of(self.region)
        return f"arn:{partition}:lambda:{self.region}:{self.account}:event-source-mapping:{self.id}"

    @property
    def named(self) -> Named:
        """The function."""
        return Named(Place(self.account, self.region, self.function), self.qualifier)


class Mappings:
    """``call.part(Mappings)``. All that reads raises Tampered for rows that were altered."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return "<Mappings>"

    def find(self, tx: Tx, account: str, region: str, mapping_id: str) -> tuple[Mapping, str] | None:
        """A mapping, and what came of the last messages."""
        row = tx.one(f"SELECT sealed, result FROM lambda_mappings{_OF_ONE}", (account, region, mapping_id))
        return None if row is None else (self._opened(tx, account, region, mapping_id, row[0]), row[1])

    def page(self, tx: Tx, account: str, region: str, after: str, count: int) -> list[tuple[Mapping, str]]:
        """Mappings by id, so many after one."""
        rows = tx.all(
            "SELECT id, sealed, result FROM lambda_mappings WHERE account = ? AND region = ? AND id > ? "
            "ORDER BY id LIMIT ?",
            (account, region, after, count),
        )
        return [(self._opened(tx, account, region, name, sealed), result) for name, sealed, result in rows]

    def every(self, tx: Tx) -> list[Mapping]:
        """Those of all accounts; one that was altered is left out."""
        found = []
        for account, region, mapping_id, sealed in tx.all(
            "SELECT account, region, id, sealed FROM lambda_mappings"
        ):
            try:
                found.append(self._opened(tx, account, region, mapping_id, sealed))
            except Tampered:
                continue
        return found

    # Changing, in a write's transaction.

    def put(self, tx: Tx, mapping: Mapping) -> None:
        """Store a mapping, new or changed."""
        tx.run(
            "INSERT INTO lambda_mappings (account, region, id, sealed, holder, lease_until, result) "
            "VALUES (?, ?, ?, ?, '', 0, ?) "
            "ON CONFLICT (account, region, id) DO UPDATE SET sealed = excluded.sealed",
            (*mapping[:3], self._sealed(tx, mapping), NOTHING),
        )
        tx.bump(DOMAIN)

    def delete(self, tx: Tx, mapping: Mapping) -> None:
        tx.run(f"DELETE FROM lambda_mappings{_OF_ONE}", mapping[:3])
        tx.bump(DOMAIN)

    def tell(self, tx: Tx, mapping: Mapping, result: str) -> None:
        """Say what came of messages."""
        tx.run(f"UPDATE lambda_mappings SET result = ?{_OF_ONE}", (result, *mapping[:3]))

    def hold(self, tx: Tx, mapping: Mapping, holder: str, now: float) -> bool:
        """Be the one that polls for it, from now on or still. False when another worker does."""
        return (
            tx.run(
                f"UPDATE lambda_mappings SET holder = ?, lease_until = ?{_OF_ONE} "
                "AND (holder = ? OR lease_until <= ? OR lease_until > ?)",
                # A lease that ends much later was taken by a clock that was moved back since.
                (holder, now + LEASE, *mapping[:3], holder, now, now + 2 * LEASE),
            )
            > 0
        )

    def release(self, tx: Tx, holder: str) -> None:
        """Let others poll."""
        tx.run("UPDATE lambda_mappings SET lease_until = 0 WHERE holder = ?", (holder,))
        tx.bump(DOMAIN)

    def _sealed(self, tx: Tx, mapping: Mapping) -> bytes:
        key = self._keyring.account_key(mapping.account, tx)
        return key.wrap(dumps(list(mapping[3:])), _PURPOSE, mapping.region, mapping.id)

    def _opened(self, tx: Tx, account: str, region: str, mapping_id: str, sealed: bytes) -> Mapping:
        key = self._keyring.account_key(account, tx)
        content: list[Any] = loads(key.unwrap(sealed, _PURPOSE, region, mapping_id))
        if len(content) != len(Mapping._fields) - 3:
            raise Tampered("the stored row is of another form")
        found = Mapping(account, region, mapping_id, *content)
        return found._replace(filters=tuple(found.filters))
