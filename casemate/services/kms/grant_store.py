"""The grants of all keys: their rows, and what of them is in memory.

They are never loaded with their key, which may have fifty thousand. Asked for are a grantee's, only when no policy
allows a call, and of those only what the call may meet: see ``Shape``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Grant,
    Shape,
    Wanted,
    loaded_grant,
    places_of,
    stored_grant,
    wanted_by,
)
from casemate.services.kms.naming import key_arn
from casemate.services.kms.refusals import unusable
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

SHARDS = 16
"""Grants are cached in so many domains of generations, by key and grantee."""

_KEPT_IN_SHARD = 10_000

KeyPlace = tuple[str, str, str]
"""Account, Region, key id."""

_Grantee = tuple[str, str, str, str]
"""A key, and who has grants on it."""

_Bucket = tuple[str, str, str, str, str, str]
"""A grantee, a shape as it is stored, and a bucket."""

_Question = tuple[str, frozenset[tuple[str, str]] | None, str]
"""An operation, the request's encryption context, its source."""

_KEPT_ANSWERS, _LONGEST_KEPT = 50_000, 512
"""So many answers are remembered, of questions whose encryption context has at most so many characters: what a client
may send is larger, and is not to fill the memory."""


class _Known:
    """What is kept of a grantee's grants on a key. examples: one of each shape and list of operations, with the shape
    and as that is stored; unbound: the operations that one of them allows whatever the request says. Made anew when
    any of the grants changes."""

    __slots__ = ("examples", "unbound")

    def __init__(self, examples: tuple[tuple[Shape, str, Grant], ...]) -> None:
        self.examples = examples
        free = [set(grant.operations) for _, stored, grant in examples if not stored]
        # Whether another grant may be made hangs on that one.
        self.unbound = frozenset().union(*free) - {"CreateGrant"}


_SAME = 100
"""With so many grants in a bucket, it does not matter that another has more."""

_OF_KEY = " WHERE account = ? AND region = ? AND key_id = ?"
_OF_GRANTEE = _OF_KEY + " AND grantee = ?"
_IN_BUCKET = _OF_GRANTEE + " AND shape = ? AND bucket = ?"
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM kms_grants"
_EXAMPLES = (
    f"SELECT {', '.join(COLUMNS)}, shape FROM kms_grants{_OF_KEY} AND id IN "
    f"(SELECT MIN(id) FROM kms_grants{_OF_GRANTEE} GROUP BY shape, operations)"
)
_MET = f"{_SELECT}{_OF_KEY} AND id IN (SELECT MIN(id) FROM kms_grants{_IN_BUCKET} GROUP BY operations, constraints)"
_COUNT_SAME = f"SELECT COUNT(*) FROM (SELECT 1 FROM kms_grants{_IN_BUCKET} LIMIT {_SAME}) AS same"
_STORED = (*COLUMNS, "shape", "bucket")
_INSERT = f"INSERT INTO kms_grants ({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))})"
_COUNT_ONE_MORE = (
    "INSERT INTO kms_grant_counts (account, region, key_id, grants) VALUES (?, ?, ?, 1) "
    "ON CONFLICT (account, region, key_id) DO UPDATE SET grants = kms_grant_counts.grants + 1"
)
_COUNT_ONE_LESS = "UPDATE kms_grant_counts SET grants = grants - 1" + _OF_KEY


class Grants:
    """One per worker: ``call.part(Keys).grants``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        domains = [domain(number) for number in range(SHARDS)]
        self._known: list[Cache[_Grantee, _Known]] = [
            Cache(store, each, self._load_known, _KEPT_IN_SHARD) for each in domains
        ]
        self._buckets: list[Cache[_Bucket, tuple[Grant, ...]]] = [
            Cache(store, each, self._load_bucket, _KEPT_IN_SHARD) for each in domains
        ]
        # What was found for requests, of what is known: good for as long as that is.
        self._answers: dict[tuple[_Known, _Question], bool] = {}

    def __repr__(self) -> str:
        return "<Grants>"

    # What grants allow, from memory where that is possible.

    def reach(
        self,
        call: Call,
        key: KeyPlace,
        action: str,
        request: Mapping[str, Any],
        context: Mapping[str, str] | None,
    ) -> Grade:
        """How far the grants on a key that allow the request reach the caller. context: its encryption context.
        Raises KMSInternalException for grants that were altered, and Miss."""
        operation = action.removeprefix("kms:")
        if operation not in GRANTABLE:
            return Grade.NONE
        for grade, grantee in _grantees(call.identity.principal, partition_of(call.region)):
            place = (*key, grantee)
            shard = _shard(place)
            try:
                known = call.fetch(self._known[shard], place)
                if known is None or not known.examples:
                    continue
                if operation in known.unbound or self._allows(
                    call, place, known, operation, request, context
                ):
                    return grade
            except Tampered as error:
                raise unusable(f"grants of {grantee} on {key_arn(*key)}", error) from error
        return Grade.NONE

    def _allows(
        self,
        call: Call,
        place: _Grantee,
        known: _Known,
        operation: str,
        request: Mapping[str, Any],
        context: Mapping[str, str] | None,
    ) -> bool:
        asked = (operation, frozenset(context.items()) if context else None, call.source_arn)
        answer = self._answers.get((known, asked))
        if answer is None:
            wanted = wanted_by(operation, request, context, call.source_arn)
            answer = self._meets(call, place, known, wanted)
            # A transaction may see an older state than the one that is known.
            if call.transaction is None and operation != "CreateGrant" and _is_short(context):
                if len(self._answers) >= _KEPT_ANSWERS:
                    self._answers.clear()
                self._answers[known, asked] = answer
        return answer

    def _meets(self, call: Call, place: _Grantee, known: _Known, wanted: Wanted) -> bool:
        for _, _, example in known.examples:
            if wanted.met_by(example):
                return True
        shard = _shard(place)
        asked = set()
        for shape, stored, example in known.examples:
            if not stored or stored in asked or wanted.operation not in example.operations:
                continue
            asked.add(stored)
            for bucket in shape.buckets(wanted.context, wanted.source_arn):
                found = call.fetch(self._buckets[shard], (*place, stored, bucket))
                if found and any(map(wanted.met_by, found)):
                    return True
        return False

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
        places = [(shape.stored(), bucket) for shape, bucket in places_of(grant.constraints)]
        if len(places) > 1:
            # Where the fewest others are, so that a pair that all have in common does not make one large bucket.
            places.sort(key=lambda place: _count(tx, (*grant[:3], grant.grantee, *place)))
        columns = stored_grant(self._keyring.account_key(grant.account, tx), grant)
        tx.run(_INSERT, (*columns, *places[0]))
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

    def _load_known(self, tx: Tx, place: _Grantee) -> _Known:
        examples = []
        for *columns, stored in tx.all(_EXAMPLES, (*place[:3], *place)):
            grant = self._checked(tx, columns)
            # No seal covers the shape, and what is said to have none is not compared with a request any more.
            shape = next((each for each, _ in places_of(grant.constraints) if each.stored() == stored), None)
            if shape is None:
                raise Tampered(f"grant {grant.id} is not stored where its constraints belong")
            examples.append((shape, stored, grant))
        return _Known(tuple(examples))

    def _load_bucket(self, tx: Tx, place: _Bucket) -> tuple[Grant, ...]:
        return tuple(self._checked(tx, columns) for columns in tx.all(_MET, (*place[:3], *place)))

    def _list(self, tx: Tx, sql: str, parameters: tuple[Any, ...]) -> list[Grant]:
        try:
            return [self._checked(tx, row) for row in tx.all(sql, parameters)]
        except Tampered as error:
            raise unusable("grants", error) from error

    def _checked(self, tx: Tx, columns: Sequence[Any]) -> Grant:
        return loaded_grant(self._keyring.account_key(columns[0], tx), columns)


def _is_short(context: Mapping[str, str] | None) -> bool:
    return not context or sum(len(name) + len(value) for name, value in context.items()) <= _LONGEST_KEPT


def _count(tx: Tx, place: _Bucket) -> int:
    found = tx.one(_COUNT_SAME, place)
    return 0 if found is None else int(found[0])


def domain(shard: int) -> str:
    return f"kms.grants.{shard:x}"


def _shard(place: _Grantee) -> int:
    return crc32(f"{place[2]} {place[3]}".encode()) % SHARDS


@lru_cache(maxsize=4096)
def _grantees(principal: Principal, partition: str) -> tuple[tuple[Grade, str], ...]:
    """Whom a grant may name to mean the principal, as it is stored, and how far that reaches."""
    found = []
    for grade, names in zip((Grade.DIRECT, Grade.ENTITY, Grade.ACCOUNT), names_of(principal), strict=True):
        # Unique ids first: that is how most grants are stored.
        for kind, name in sorted(names, key=lambda each: each[1].startswith("arn:")):
            if kind == "AWS" and name.isdigit():
                found += [(grade, f"arn:{each}:iam::{name}:root") for each in sorted({partition, "aws"})]
            elif kind in ("AWS", "Service"):
                found.append((grade, name))
    return tuple(found)
