"""The grants of all keys: their rows, and what of them is in memory.

They are never loaded with their key, which may have fifty thousand, but for a grantee, and only when no policy allows
a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from zlib import crc32

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Grade, Principal, names_of
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.gate.regions import partition_of
from casemate.services.kms.grant import (
    COLUMNS,
    GRANTABLE,
    NO_GRANTS,
    Grant,
    GrantSet,
    constraints_of,
    loaded_grant,
    stored_grant,
)
from casemate.services.kms.naming import key_arn
from casemate.services.kms.refusals import unusable
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

SHARDS = 16
"""Grants are cached in so many domains of generations, by key and grantee."""

_SETS_IN_SHARD = 10_000

KeyPlace = tuple[str, str, str]
"""Account, Region, key id."""

_OF_KEY = " WHERE account = ? AND region = ? AND key_id = ?"
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM kms_grants"
_INSERT = f"INSERT INTO kms_grants ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_COUNT_ONE_MORE = (
    "INSERT INTO kms_grant_counts (account, region, key_id, grants) VALUES (?, ?, ?, 1) "
    "ON CONFLICT (account, region, key_id) DO UPDATE SET grants = kms_grant_counts.grants + 1"
)
_COUNT_ONE_LESS = "UPDATE kms_grant_counts SET grants = grants - 1" + _OF_KEY


class Grants:
    """One per worker: ``call.part(Keys).grants``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._shards: list[Cache[tuple[str, str, str, str], GrantSet]] = [
            Cache(store, domain(number), self._load, _SETS_IN_SHARD) for number in range(SHARDS)
        ]

    def __repr__(self) -> str:
        return "<Grants>"

    # What grants allow, from memory where that is possible.

    def reach(
        self, call: Call, key: KeyPlace, action: str, matches: Callable[[GrantSet, str], bool]
    ) -> Grade:
        """How far the grants on a key that allow an action reach the caller. matches: whether a grantee's grants
        allow this very call of the operation. Raises KMSInternalException for grants that were altered, and Miss."""
        operation = action.removeprefix("kms:")
        if operation not in GRANTABLE:
            return Grade.NONE
        for grade, grantee in _grantees(call.identity.principal, partition_of(call.region)):
            place = (*key, grantee)
            try:
                found = call.fetch(self._shards[_shard(place)], place)
            except Tampered as error:
                raise unusable(f"grants of {grantee} on {key_arn(*key)}", error) from error
            if found is not None and matches(found, operation):
                return grade
        return Grade.NONE

    # Finding, in a transaction.

    def find(self, tx: Tx, key: KeyPlace, grant_id: str) -> Grant | None:
        """The grant, None when there is none. Raises KMSInternalException."""
        found = self._list(tx, _SELECT + _OF_KEY + " AND id = ?", (*key, grant_id))
        return found[0] if found else None

    def named(self, tx: Tx, key: KeyPlace, name: str) -> list[Grant]:
        """The key's grants of a name. Raises KMSInternalException."""
        return self._list(tx, _SELECT + _OF_KEY + " AND name = ? AND name <> ''", (*key, name))

    def of_key(self, tx: Tx, key: KeyPlace, grantee: str, after: str, count: int) -> list[Grant]:
        """The key's grants by id, those after an id, of one grantee or, with '', of all. Raises
        KMSInternalException."""
        of_grantee, grantees = (" AND grantee = ?", (grantee,)) if grantee else ("", ())
        sql = _SELECT + _OF_KEY + of_grantee + " AND id > ? ORDER BY id LIMIT ?"
        return self._list(tx, sql, (*key, *grantees, after, count))

    def of_retiree(
        self, tx: Tx, region: str, retiree: str, after: tuple[str, str, str], count: int
    ) -> list[Grant]:
        """The grants in a Region, of all accounts' keys, that a principal may retire as their retiring principal; by
        account, key and id, those after such a place. Raises KMSInternalException."""
        sql = (
            f"{_SELECT} WHERE retiree = ? AND retiree <> '' AND region = ? "
            "AND (account, key_id, id) > (?, ?, ?) ORDER BY account, key_id, id LIMIT ?"
        )
        return self._list(tx, sql, (retiree, region, *after, count))

    def count(self, tx: Tx, key: KeyPlace) -> int:
        """How many grants a key has."""
        found = tx.one("SELECT grants FROM kms_grant_counts" + _OF_KEY, key)
        return 0 if found is None else int(found[0])

    # Changing, in a write's transaction.

    def put(self, tx: Tx, grant: Grant) -> None:
        """Store a new grant."""
        tx.run(_INSERT, stored_grant(self._keyring.account_key(grant.account, tx), grant))
        tx.run(_COUNT_ONE_MORE, grant[:3])
        self._bump(tx, grant)

    def delete(self, tx: Tx, grant: Grant) -> None:
        """Remove a grant."""
        tx.run("DELETE FROM kms_grants" + _OF_KEY + " AND id = ?", grant[:4])
        tx.run(_COUNT_ONE_LESS, grant[:3])
        self._bump(tx, grant)

    def delete_all(self, tx: Tx, key: KeyPlace) -> None:
        """Remove a key's grants, which go with it."""
        if tx.run("DELETE FROM kms_grants" + _OF_KEY, key):
            for number in range(SHARDS):
                tx.bump(domain(number))
        tx.run("DELETE FROM kms_grant_counts" + _OF_KEY, key)

    def _bump(self, tx: Tx, grant: Grant) -> None:
        tx.bump(domain(_shard((*grant[:3], grant.grantee))))

    # Loading.

    def _load(self, tx: Tx, place: tuple[str, str, str, str]) -> GrantSet:
        rows = tx.all(_SELECT + _OF_KEY + " AND grantee = ?", place)
        return GrantSet(self._checked(tx, row) for row in rows) if rows else NO_GRANTS

    def _list(self, tx: Tx, sql: str, parameters: tuple[Any, ...]) -> list[Grant]:
        try:
            return [self._checked(tx, row) for row in tx.all(sql, parameters)]
        except Tampered as error:
            raise unusable("grants", error) from error

    def _checked(self, tx: Tx, columns: tuple[Any, ...]) -> Grant:
        return loaded_grant(self._keyring.account_key(columns[0], tx), columns)


def domain(shard: int) -> str:
    return f"kms.grants.{shard:x}"


def _shard(place: tuple[str, str, str, str]) -> int:
    return crc32(f"{place[2]} {place[3]}".encode()) % SHARDS


@lru_cache(maxsize=4096)
def _grantees(principal: Principal, partition: str) -> tuple[tuple[Grade, str], ...]:
    """Whom a grant may name to mean the principal, as it is stored, and how far that reaches."""
    direct, entity, account = names_of(principal)
    return tuple(
        (grade, f"arn:{partition}:iam::{name}:root" if name.isdigit() else name)
        for grade, names in ((Grade.DIRECT, direct), (Grade.ENTITY, entity), (Grade.ACCOUNT, account))
        for kind, name in names
        if kind in ("AWS", "Service") and (kind == "Service" or name.isdigit() or name.startswith("arn:"))
    )


def matching(
    call: Call, request: Mapping[str, Any], context: Mapping[str, str] | None
) -> Callable[[GrantSet, str], bool]:
    """For ``Grants.reach``: whether a grantee's grants allow this request, with this encryption context."""

    def matches(grants: GrantSet, operation: str) -> bool:
        if operation != "CreateGrant":
            return grants.allows(operation, context, call.source_arn)
        constraints = constraints_of(request)
        return any(
            grant.allows_child(request["Operations"], constraints, call.source_arn) for grant in grants.grants
        )

    return matches
