"""The functions of all accounts: their rows, and what of them is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.lambda_ import packages
from casemate.services.lambda_.function import Entry
from casemate.services.lambda_.naming import Place
from casemate.services.lambda_.rows import (
    Row,
    Version,
    opened_row,
    opened_version,
    sealed_row,
    sealed_version,
)
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

SHARDS = 4
"""Functions are cached in so many domains of generations, so that a change of one leaves most of the others in
memory."""

_IN_SHARD = 1_000

_OF_ONE = " WHERE account = ? AND region = ? AND name = ?"


class Functions:
    """Lambda's state, one per worker: ``call.part(Functions)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._shards: list[Cache[Place, Entry | None]] = [
            Cache(store, domain(number), self._load, _IN_SHARD) for number in range(SHARDS)
        ]
        self._versions: list[Cache[tuple[Place, int], Version | None]] = [
            Cache(store, domain(number), self._load_version, _IN_SHARD) for number in range(SHARDS)
        ]

    def __repr__(self) -> str:
        return "<Functions>"

    # Finding. All of it raises Tampered for rows that were altered.

    def find(self, call: Call, place: Place) -> Entry | None:
        """The function with its $LATEST, None when there is none. Raises Miss."""
        return call.fetch(self._shards[_shard(place.name)], place)

    def find_version(self, call: Call, entry: Entry, number: int) -> Version | None:
        """A version of it, None when there is none of that number. Raises Miss."""
        if number == 0:
            return entry.latest
        place = entry.row.place
        return call.fetch(self._versions[_shard(place.name)], (place, number))

    def load(self, tx: Tx, place: Place) -> Entry | None:
        """The function as this transaction sees it."""
        return self._load(tx, place)

    def page(self, tx: Tx, account: str, region: str, after: str, count: int) -> list[Entry]:
        """Functions by name, so many after a name."""
        rows = tx.all(
            "SELECT name FROM lambda_functions WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
            (account, region, after, count),
        )
        found = [self._load(tx, Place(account, region, name)) for (name,) in rows]
        return [entry for entry in found if entry is not None]

    def versions(self, tx: Tx, place: Place, after: int, count: int) -> list[Version]:
        """Versions by number, $LATEST first, so many after a number (-1: from the beginning)."""
        key = self._keyring.account_key(place.account, tx)
        rows = tx.all(
            f"SELECT version, sealed FROM lambda_versions{_OF_ONE} AND version > ? ORDER BY version LIMIT ?",
            (*place, after, count),
        )
        return [opened_version(key, place, number, sealed) for number, sealed in rows]

    def all_versions(
        self, tx: Tx, account: str, region: str, after: tuple[str, int], count: int
    ) -> Iterator[tuple[Place, Version]]:
        """Versions of all functions, by name and number, so many after one."""
        key = self._keyring.account_key(account, tx)
        rows = tx.all(
            "SELECT name, version, sealed FROM lambda_versions WHERE account = ? AND region = ? "
            "AND (name > ? OR (name = ? AND version > ?)) ORDER BY name, version LIMIT ?",
            (account, region, after[0], *after, count),
        )
        for name, number, sealed in rows:
            place = Place(account, region, name)
            yield place, opened_version(key, place, number, sealed)

    def reserved(self, tx: Tx, account: str, region: str, but: str) -> int:
        """The concurrency that is reserved for the functions of an account, but one."""
        key = self._keyring.account_key(account, tx)
        total = 0
        for name, sealed in tx.all(
            "SELECT name, sealed FROM lambda_functions WHERE account = ? AND region = ? AND name <> ?",
            (account, region, but),
        ):
            total += opened_row(key, Place(account, region, name), sealed).reserved or 0
        return total

    def are_all_of(self, tx: Tx, account: str) -> bool:
        """Whether no other account has any."""
        return tx.one("SELECT 1 FROM lambda_functions WHERE account <> ? LIMIT 1", (account,)) is None

    # Changing, in a write's transaction.

    def create(self, tx: Tx, row: Row, latest: Version) -> None:
        key = self._keyring.account_key(row.place.account, tx)
        tx.run(
            "INSERT INTO lambda_functions (account, region, name, sealed) VALUES (?, ?, ?, ?)",
            (*row.place, sealed_row(key, row)),
        )
        self.add(tx, row.place, latest)

    def save(self, tx: Tx, row: Row) -> None:
        """Store what is true of a function whatever its version."""
        key = self._keyring.account_key(row.place.account, tx)
        tx.run(f"UPDATE lambda_functions SET sealed = ?{_OF_ONE}", (sealed_row(key, row), *row.place))
        _bump(tx, row.place)

    def add(self, tx: Tx, place: Place, version: Version) -> None:
        """Store a new version."""
        key = self._keyring.account_key(place.account, tx)
        tx.run(
            "INSERT INTO lambda_versions (account, region, name, version, code, sealed) VALUES (?, ?, ?, ?, ?, ?)",
            (*place, version.number, version.code.id, sealed_version(key, place, version)),
        )
        _bump(tx, place)

    def replace(self, tx: Tx, place: Place, before: Version, version: Version) -> None:
        """Store another $LATEST."""
        key = self._keyring.account_key(place.account, tx)
        tx.run(
            f"UPDATE lambda_versions SET code = ?, sealed = ?{_OF_ONE} AND version = ?",
            (version.code.id, sealed_version(key, place, version), *place, version.number),
        )
        if before.code.id != version.code.id:
            packages.drop_unused(tx, before.code.id)
        _bump(tx, place)

    def drop_version(self, tx: Tx, place: Place, version: Version) -> None:
        tx.run(f"DELETE FROM lambda_versions{_OF_ONE} AND version = ?", (*place, version.number))
        packages.drop_unused(tx, version.code.id)
        _bump(tx, place)

    def delete(self, tx: Tx, place: Place) -> None:
        """Remove a function with all its versions."""
        codes = tx.all(f"SELECT DISTINCT code FROM lambda_versions{_OF_ONE}", place)
        tx.run(f"DELETE FROM lambda_versions{_OF_ONE}", place)
        tx.run(f"DELETE FROM lambda_functions{_OF_ONE}", place)
        packages.drop_unused(tx, *(code for (code,) in codes))
        _bump(tx, place)

    # Loading.

    def _load(self, tx: Tx, place: Place) -> Entry | None:
        row = tx.one(
            "SELECT f.sealed, v.sealed FROM lambda_functions f JOIN lambda_versions v ON v.account = f.account "
            "AND v.region = f.region AND v.name = f.name AND v.version = 0 "
            "WHERE f.account = ? AND f.region = ? AND f.name = ?",
            place,
        )
        if row is None:
            return None
        key = self._keyring.account_key(place.account, tx)
        return Entry(opened_row(key, place, row[0]), opened_version(key, place, 0, row[1]))

    def _load_version(self, tx: Tx, of: tuple[Place, int]) -> Version | None:
        place, number = of
        row = tx.one(f"SELECT sealed FROM lambda_versions{_OF_ONE} AND version = ?", (*place, number))
        if row is None:
            return None
        return opened_version(self._keyring.account_key(place.account, tx), place, number, row[0])


def domain(shard: int) -> str:
    """The domain of generations of a shard."""
    return f"lambda.{shard}"


def _shard(name: str) -> int:
    return crc32(name.encode()) % SHARDS


def _bump(tx: Tx, place: Place) -> None:
    tx.bump(domain(_shard(place.name)))
