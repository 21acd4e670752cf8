"""Access points: further names of buckets, each with a policy of its own. Their rows, and what of them is in memory.
Source: "Managing access to shared datasets with access points".
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import PolicyError
from casemate.errors import AwsError
from casemate.gate.keyring import Keyring
from casemate.services.s3.bucket_policies import effective
from casemate.services.s3.buckets import ACCESS_POINTS, Buckets
from casemate.services.s3.naming import ALIAS
from casemate.services.s3.resources import AccessPoint, PointRow
from casemate.services.s3.settings import BLOCKS
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

if TYPE_CHECKING:
    from casemate.gate.call import Call

log = logging.getLogger("casemate.s3")

_PURPOSE = "s3-access-point"
_SELECT = "SELECT account, region, name, bucket, alias, created, settings, seal FROM s3_access_points "
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_alias(name: str) -> str:
    """What no bucket can be called, 63 characters at most."""
    return f"{name[:19].rstrip('-')}-{''.join(secrets.choice(_ALPHABET) for _ in range(34))}{ALIAS}"


class AccessPoints:
    """The access points of all accounts, one per worker: ``call.part(AccessPoints)``."""

    def __init__(self, store: Store, keyring: Keyring, buckets: Buckets) -> None:
        self._keyring = keyring
        self._buckets = buckets
        self._named: Cache[tuple[str, str, str], AccessPoint | None] = Cache(
            store, ACCESS_POINTS, self._load, 10_000
        )
        self._aliased: Cache[str, AccessPoint | None] = Cache(store, ACCESS_POINTS, self._load_alias, 10_000)

    def __repr__(self) -> str:
        return "<AccessPoints>"

    def find(self, call: Call, account: str, region: str, name: str) -> AccessPoint | None:
        """The access point, from memory where that is possible. Raises Miss, and InternalError for an altered row."""
        try:
            return call.fetch(self._named, (account, region, name))
        except (Tampered, PolicyError) as error:
            raise _unusable(f"access point {name} of account {account}", error) from error

    def aliased(self, call: Call, alias: str) -> AccessPoint | None:
        """The access point of an alias. Raises as find."""
        try:
            return call.fetch(self._aliased, alias)
        except (Tampered, PolicyError) as error:
            raise _unusable(f"access point {alias}", error) from error

    def page(
        self, tx: Tx, account: str, region: str, *, after: str, bucket: str, limit: int
    ) -> list[PointRow]:
        """By name, those after a name; bucket: of that bucket alone unless ''. Raises Tampered."""
        rows = tx.all(
            _SELECT
            + "WHERE account = ? AND region = ? AND name > ? AND (? = '' OR bucket = ?) ORDER BY name LIMIT ?",
            (account, region, after, bucket, bucket, limit),
        )
        return [self._opened(tx, row) for row in rows]

    def of_bucket(self, tx: Tx, bucket: str, account: str) -> bool:
        """Whether a bucket of that account has an access point of the same one. Raises Tampered."""
        rows = tx.all(_SELECT + "WHERE bucket = ? AND account = ?", (bucket, account))
        # One that was made for another account's bucket of that name is not this one's.
        return any(self._opened(tx, row).settings.get("BucketAccount", account) == account for row in rows)

    # Changing, in a write's transaction.

    def create(self, tx: Tx, row: PointRow) -> bool:
        """Make a row; False when there is one of that name."""
        made = tx.run(
            "INSERT INTO s3_access_points (account, region, name, bucket, alias, created, settings, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            self._sealed(tx, row),
        )
        tx.bump(ACCESS_POINTS)
        return made == 1

    def configure(self, tx: Tx, row: PointRow, **settings: Any) -> None:
        """Change what is configured; None takes a setting away."""
        merged = {key: value for key, value in {**row.settings, **settings}.items() if value is not None}
        *_, text, seal = self._sealed(tx, row._replace(settings=merged))
        tx.run(
            "UPDATE s3_access_points SET settings = ?, seal = ? WHERE account = ? AND region = ? AND name = ?",
            (text, seal, row.account, row.region, row.name),
        )
        tx.bump(ACCESS_POINTS)

    def delete(self, tx: Tx, row: PointRow) -> None:
        tx.run(
            "DELETE FROM s3_access_points WHERE account = ? AND region = ? AND name = ?",
            (row.account, row.region, row.name),
        )
        tx.bump(ACCESS_POINTS)

    def blocked(self, tx: Tx, row: PointRow) -> Mapping[str, bool]:
        """What the public access blocks of the access point, of its account and of its bucket block together. Raises
        Tampered."""
        blocks = [row.settings.get("PublicAccessBlock", {})]
        blocks.append(self._buckets.of_account(tx, row.account).get("PublicAccessBlock", {}))
        bucket = self._buckets.load(tx, row.bucket)
        if bucket is not None:
            blocks.append(self._buckets.blocked(tx, bucket.row))
        return {name: any(each.get(name) for each in blocks) for name in BLOCKS}

    # Loading.

    def _load(self, tx: Tx, place: tuple[str, str, str]) -> AccessPoint | None:
        return self._made(tx, tx.one(_SELECT + "WHERE account = ? AND region = ? AND name = ?", place))

    def _load_alias(self, tx: Tx, alias: str) -> AccessPoint | None:
        return self._made(tx, tx.one(_SELECT + "WHERE alias = ?", (alias,)))

    def _made(self, tx: Tx, columns: tuple[Any, ...] | None) -> AccessPoint | None:
        if columns is None:
            return None
        row = self._opened(tx, columns)
        # What a network alone reaches is never public, whatever its policy says.
        blocks = {} if "Vpc" in row.settings else self.blocked(tx, row)
        return AccessPoint(row, effective(row.settings, blocks, row.account))

    def _sealed(self, tx: Tx, row: PointRow) -> tuple[Any, ...]:
        text = json.dumps(row.settings)
        seal = self._keyring.account_key(row.account, tx).wrap(b"", _PURPOSE, *_bound(row, text))
        return (*row[:6], text, seal)

    def _opened(self, tx: Tx, columns: tuple[Any, ...]) -> PointRow:
        account, region, name, bucket, alias, created, text, seal = columns
        row = PointRow(account, region, name, bucket, alias, created, {})
        self._keyring.account_key(account, tx).unwrap(seal, _PURPOSE, *_bound(row, text))
        return row._replace(settings=json.loads(text))


def _bound(row: PointRow, text: str) -> tuple[str, ...]:
    return (row.region, row.name, row.bucket, row.alias, repr(float(row.created)), text)


def _unusable(what: str, error: Exception) -> AwsError:
    log.error("%s is not used: %s", what, error)
    return AwsError("InternalError", "We encountered an internal error. Please try again.", 500)
