"""The parameters of all accounts: their rows, and what of them is in memory.

A parameter is in memory with its current version, so that it is read in the event loop; a SecureString's value is
its ciphertext there as well as in the database. What is read of Parameter Store from the database is one row, or a
page of them by an index, however many parameters there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Policy as ResourcePolicy
from casemate.engine.policy import parse, with_names
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.ssm.naming import Place
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.rows import (
    Row,
    Setting,
    Version,
    opened_row,
    opened_setting,
    opened_version,
    sealed_row,
    sealed_setting,
    sealed_version,
)
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx
from casemate.store.opened import Opened

SHARDS = 16
"""Parameters are cached in so many domains of generations, so that a change of one leaves most of the others in
memory."""

_IN_SHARD = 1_000
"""So that what is in memory takes at most some 200 MB, of the largest values there are."""

SETTINGS, PAGES = "ssm.settings", "ssm.pages"

_PAGES_KEPT = 500
"""Pages of hierarchies in memory: at most some 40 MB, of the largest values there are."""

_OPENED = 2_000

_OF_ONE = " WHERE account = ? AND region = ? AND path = ?"
_CURRENT = (
    "SELECT p.path, p.version, p.sealed, v.sealed FROM ssm_parameters p JOIN ssm_versions v ON v.account = p.account "
    "AND v.region = p.region AND v.path = p.path AND v.version = p.version "
    "WHERE p.account = ? AND p.region = ?"
)
_UPDATE = f"UPDATE ssm_parameters SET version = ?, sealed = ?{_OF_ONE}"


class Under(NamedTuple):
    """Which part of an account's parameters a list is of: those in a hierarchy ("/" for all), directly in it or
    anywhere below; prefix: whose paths begin so."""

    parent: str = "/"
    recursive: bool = True
    prefix: str = ""


_Page = tuple[str, str, Under, str, int]


class Parameters:
    """Parameter Store's state, one per worker: ``call.part(Parameters)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._opened: Opened[Parameter] = Opened(_OPENED)
        self._shards: list[Cache[Place, Parameter | None]] = [
            Cache(store, domain(number), self._load, _IN_SHARD) for number in range(SHARDS)
        ]
        self._versions: list[Cache[tuple[Place, int], Version | None]] = [
            Cache(store, domain(number), self._load_version, _IN_SHARD) for number in range(SHARDS)
        ]
        self._pages: Cache[_Page, Sequence[Parameter]] = Cache(store, PAGES, self._load_page, _PAGES_KEPT)
        self._settings: Cache[tuple[str, str], Mapping[str, Setting]] = Cache(
            store, SETTINGS, self._load_settings, 5_000
        )

    def __repr__(self) -> str:
        return "<Parameters>"

    # Finding. All of it raises Tampered for rows that were altered.

    def find(self, call: Call, place: Place) -> Parameter | None:
        """The parameter, None when there is none. Raises Miss."""
        return call.fetch(self._shards[_shard(place.path)], place)

    def find_version(self, call: Call, parameter: Parameter, number: int) -> Version | None:
        """A version of it, None when there is none of that number. Raises Miss."""
        if number == parameter.current.number:
            return parameter.current
        place = parameter.row.place
        return call.fetch(self._versions[_shard(place.path)], (place, number))

    def load(self, tx: Tx, place: Place) -> Parameter | None:
        """The parameter as this transaction sees it."""
        return self._load(tx, place)

    def page(
        self, tx: Tx, account: str, region: str, under: Under, after: str, count: int
    ) -> list[Parameter]:
        """Parameters by path, so many after a path."""
        sql, params = _CURRENT, [account, region]
        if under.recursive:
            begin = under.prefix or ("/" if under.parent == "/" else f"{under.parent}/")
            sql += " AND p.path > ? AND p.path >= ? AND p.path < ?"
            params += [after, begin, begin[:-1] + chr(ord(begin[-1]) + 1)]
        else:
            sql += " AND p.parent = ? AND p.path > ?"
            params += [under.parent, after]
        rows = tx.all(sql + " ORDER BY p.path LIMIT ?", (*params, count))
        return [self._made(tx, Place(account, region, path), *columns) for path, *columns in rows]

    def known_page(self, call: Call, under: Under, after: str, count: int) -> Sequence[Parameter]:
        """The same for a call, of its account and Region, and from memory where that is possible: for small pages,
        which many ask for. Raises Miss."""
        return call.fetch(self._pages, (call.account, call.region, under, after, count)) or ()

    def versions(self, tx: Tx, place: Place, after: int, count: int) -> list[Version]:
        """Versions, first to last, so many after a number."""
        key = self._keyring.account_key(place.account, tx)
        rows = tx.all(
            f"SELECT version, sealed FROM ssm_versions{_OF_ONE} AND version > ? ORDER BY version LIMIT ?",
            (*place, after, count),
        )
        return [opened_version(key, place, number, sealed) for number, sealed in rows]

    def oldest(self, tx: Tx, place: Place) -> int:
        """The number of the first version that is kept."""
        row = tx.one(f"SELECT version FROM ssm_versions{_OF_ONE} ORDER BY version LIMIT 1", place)
        return 0 if row is None else int(row[0])

    def count(self, tx: Tx, account: str, region: str, tier: str) -> int:
        """How many parameters of a tier there are."""
        row = tx.one(
            "SELECT parameters FROM ssm_counts WHERE account = ? AND region = ? AND tier = ?",
            (account, region, tier),
        )
        return 0 if row is None else int(row[0])

    # Changing, in a write's transaction.

    def put(self, tx: Tx, row: Row, version: Version, before: Version | None) -> bool:
        """Store a new version, which becomes the current one. before: the one that was, None of a new parameter.
        False when somebody else has stored one of that number meanwhile."""
        place = row.place
        key = self._keyring.account_key(place.account, tx)
        sealed, of_version = sealed_row(key, row), sealed_version(key, place, version)
        if not tx.run(
            "INSERT INTO ssm_versions (account, region, path, version, sealed) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (*place, version.number, of_version),
        ):
            return False
        if before is None:
            tx.run(
                "INSERT INTO ssm_parameters (account, region, path, parent, version, sealed) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (*place, place.parent, row.version, sealed),
            )
        else:
            tx.run(_UPDATE, (row.version, sealed, *place))
        self._opened.put((place, row.version, sealed, of_version), Parameter(row, version, _shared_by(row)))
        if before is None or before.tier != version.tier:
            self._counted(tx, place, version.tier, 1)
            if before is not None:
                self._counted(tx, place, before.tier, -1)
        _bump(tx, place)
        return True

    def save(self, tx: Tx, row: Row) -> None:
        """Store what is true of a parameter whatever its version, which stays."""
        key = self._keyring.account_key(row.place.account, tx)
        tx.run(_UPDATE, (row.version, sealed_row(key, row), *row.place))
        _bump(tx, row.place)

    def drop_version(self, tx: Tx, place: Place, number: int) -> None:
        tx.run(f"DELETE FROM ssm_versions{_OF_ONE} AND version = ?", (*place, number))
        _bump(tx, place)

    def delete(self, tx: Tx, parameter: Parameter) -> None:
        """Remove a parameter with all its versions."""
        place = parameter.row.place
        tx.run(f"DELETE FROM ssm_versions{_OF_ONE}", place)
        tx.run(f"DELETE FROM ssm_parameters{_OF_ONE}", place)
        self._counted(tx, place, parameter.current.tier, -1)
        _bump(tx, place)

    def _counted(self, tx: Tx, place: Place, tier: str, by: int) -> None:
        tx.run(
            "INSERT INTO ssm_counts (account, region, tier, parameters) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (account, region, tier) "
            "DO UPDATE SET parameters = ssm_counts.parameters + excluded.parameters",
            (place.account, place.region, tier, by),
        )

    # Service settings.

    def settings(self, call: Call) -> Mapping[str, Setting]:
        """Those of the call's account and Region that were changed, by id. Raises Miss."""
        place = (call.account, call.region)
        if call.mutable:
            return self._settings.settled(place, call.tx)
        return call.fetch(self._settings, place) or {}

    def put_setting(self, tx: Tx, account: str, region: str, name: str, setting: Setting) -> None:
        key = self._keyring.account_key(account, tx)
        tx.run(
            "INSERT INTO ssm_settings (account, region, id, sealed) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (account, region, id) DO UPDATE SET sealed = excluded.sealed",
            (account, region, name, sealed_setting(key, region, name, setting)),
        )
        tx.bump(SETTINGS)

    def drop_setting(self, tx: Tx, account: str, region: str, name: str) -> None:
        """Let the default apply again."""
        tx.run(
            "DELETE FROM ssm_settings WHERE account = ? AND region = ? AND id = ?", (account, region, name)
        )
        tx.bump(SETTINGS)

    # Loading.

    def _load(self, tx: Tx, place: Place) -> Parameter | None:
        row = tx.one(f"{_CURRENT} AND p.path = ?", place)
        return None if row is None else self._made(tx, place, *row[1:])

    def _made(self, tx: Tx, place: Place, number: int, row: bytes, version: bytes) -> Parameter:
        def opened() -> Parameter:
            key = self._keyring.account_key(place.account, tx)
            found = opened_row(key, place, number, row)
            return Parameter(found, opened_version(key, place, number, version), _shared_by(found))

        return self._opened.get((place, number, row, version), opened)

    def _load_page(self, tx: Tx, page: _Page) -> Sequence[Parameter]:
        return self.page(tx, *page)

    def _load_version(self, tx: Tx, of: tuple[Place, int]) -> Version | None:
        place, number = of
        row = tx.one(f"SELECT sealed FROM ssm_versions{_OF_ONE} AND version = ?", (*place, number))
        if row is None:
            return None
        return opened_version(self._keyring.account_key(place.account, tx), place, number, row[0])

    def _load_settings(self, tx: Tx, of: tuple[str, str]) -> Mapping[str, Setting]:
        account, region = of
        rows = tx.all("SELECT id, sealed FROM ssm_settings WHERE account = ? AND region = ?", of)
        if not rows:
            return {}
        key = self._keyring.account_key(account, tx)
        return {name: opened_setting(key, region, name, sealed) for name, sealed in rows}


def domain(shard: int) -> str:
    """The domain of generations of a shard."""
    return f"ssm.{shard:02x}"


def _shard(path: str) -> int:
    return crc32(path.encode()) % SHARDS


def _bump(tx: Tx, place: Place) -> None:
    tx.bump(domain(_shard(place.path)))
    tx.bump(PAGES)


def _shared_by(row: Row) -> ResourcePolicy | None:
    """All of a parameter's resource policies as one."""
    if not row.shares:
        return None
    statements: list[Any] = []
    for share in row.shares:
        stated = json.loads(with_names(share.policy, share.principals))["Statement"]
        statements += stated if isinstance(stated, list) else [stated]
    for statement in statements:
        # Of two policies each may have a statement of the same Sid, which one policy may not.
        statement.pop("Sid", None)
    try:
        return parse(json.dumps({"Version": "2012-10-17", "Statement": statements}), "resource")
    except ValueError as error:
        raise Tampered(f"the stored policies of parameter {row.place.path} are unreadable") from error
