"""The buckets of all accounts: their rows, and what of them is in memory.

A row is bound as a whole, with its place, under the account's key. What was altered or moved in the database is not
used: the request that needs it fails, and the log says why.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.engine.policy import PolicyError
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.s3.bucket_policies import effective
from casemate.services.s3.resources import Bucket, BucketRow
from casemate.services.s3.settings import BLOCKS
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx
from casemate.store.ids import new_id

log = logging.getLogger("casemate.s3")

SHARDS = 16
"""Buckets are cached in so many domains of generations, so that a change of one bucket leaves most others in
memory."""

ACCESS_POINTS = "s3.access_points"
"""The domain of access points, whose policies come to something else when a bucket's public access is blocked."""

_IN_SHARD = 1_000
_PURPOSE, _ACCOUNT_PURPOSE = "s3-bucket", "s3-account"
_SELECT = "SELECT name, id, account, region, created, settings, seal FROM s3_buckets "


def domain(shard: int) -> str:
    """The name of a shard's domain of generations."""
    return f"s3.{shard:02x}"


def _shard(name: str) -> int:
    return crc32(name.encode()) % SHARDS


class Buckets:
    """S3's buckets, one per worker: ``call.part(Buckets)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._known: dict[str, tuple[tuple[Any, Any], Bucket]] = {}
        self._shards: list[Cache[str, Bucket | None]] = [
            Cache(store, domain(number), self.load, _IN_SHARD) for number in range(SHARDS)
        ]

    def __repr__(self) -> str:
        return "<Buckets>"

    def account_key(self, tx: Tx, account: str) -> AccountKey:
        """The account's key, under which what is S3's own is sealed."""
        return self._keyring.account_key(account, tx)

    # Finding.

    def find(self, call: Call, name: str) -> Bucket | None:
        """The bucket, from memory where that is possible; None when there is none. Raises Miss, and InternalError
        for a bucket whose row was altered."""
        try:
            shard = self._shards[_shard(name)]
            # Most writes ask for a bucket that they leave as it is.
            return shard.settled(name, call.tx) if call.mutable else call.fetch(shard, name)
        except (Tampered, PolicyError) as error:
            log.error("bucket %s is not used: %s", name, error)
            raise AwsError(
                "InternalError", "We encountered an internal error. Please try again.", 500
            ) from error

    def known(self, name: str, tx: Tx | None) -> Bucket | None:
        """The bucket, outside of any call. Raises Miss, Tampered, PolicyError."""
        return self._shards[_shard(name)].get(name, tx)

    def load(self, tx: Tx, name: str) -> Bucket | None:
        """The bucket as this transaction sees it. Raises Tampered, PolicyError."""
        stored = tx.one(_SELECT + "WHERE name = ?", (name,))
        if stored is None:
            return None
        of_account = tx.one("SELECT settings, seal FROM s3_accounts WHERE account = ?", (stored[2],))
        known = self._known.get(name)
        if known is not None and known[0] == (stored, of_account):
            # The very rows that were opened before: transactions ask for them with each object that is written.
            return known[1]
        row = self._opened(tx, stored)
        blocks = self.blocked(tx, row)
        bucket = Bucket(row, effective(row.settings, blocks, row.account), blocks)
        if len(self._known) >= _IN_SHARD:
            self._known.clear()
        self._known[name] = ((stored, of_account), bucket)
        return bucket

    def blocked(self, tx: Tx, row: BucketRow) -> Mapping[str, bool]:
        """What the bucket's public access block and its account's block together. Raises Tampered."""
        own = row.settings.get("PublicAccessBlock", {})
        of_account = self.of_account(tx, row.account).get("PublicAccessBlock", {})
        return {name: bool(own.get(name) or of_account.get(name)) for name in BLOCKS}

    def of_account(self, tx: Tx, account: str) -> Mapping[str, Any]:
        """What an account has configured for all its buckets. Raises Tampered."""
        stored = tx.one("SELECT settings, seal FROM s3_accounts WHERE account = ?", (account,))
        if stored is None:
            return {}
        self._keyring.account_key(account, tx).unwrap(stored[1], _ACCOUNT_PURPOSE, stored[0])
        settings: Mapping[str, Any] = json.loads(stored[0])
        return settings

    def page(
        self, tx: Tx, account: str, *, after: str, prefix: str, region: str, limit: int
    ) -> list[BucketRow]:
        """Buckets of an account by name, those after a name that begin with the prefix; region: in that Region alone
        unless ''. Raises Tampered."""
        rows = tx.all(
            _SELECT
            + "WHERE account = ? AND name > ? AND substr(name, 1, ?) = ? AND (? = '' OR region = ?) "
            + "ORDER BY name LIMIT ?",
            (account, after, len(prefix), prefix, region, region, limit),
        )
        return [self._opened(tx, row) for row in rows]

    def count(self, tx: Tx, account: str) -> int:
        """How many buckets an account has."""
        row = tx.one("SELECT COUNT(*) FROM s3_buckets WHERE account = ?", (account,))
        assert row is not None
        return int(row[0])

    # Changing, in a write's transaction.

    def create(
        self, tx: Tx, name: str, account: str, region: str, now: float, settings: Mapping[str, Any]
    ) -> BucketRow | None:
        """Make a bucket; None when the name is taken."""
        row = BucketRow(name, new_id(), account, region, float(now), settings)
        made = tx.run(
            "INSERT INTO s3_buckets (name, id, account, region, created, settings, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            self._sealed(tx, row),
        )
        tx.bump(domain(_shard(name)))
        return row if made == 1 else None

    def configure(self, tx: Tx, bucket: Bucket, **settings: Any) -> BucketRow:
        """Change what is configured of a bucket; None takes a setting away."""
        merged = {key: value for key, value in {**bucket.settings, **settings}.items() if value is not None}
        row = bucket.row._replace(settings=merged)
        *_, text, seal = self._sealed(tx, row)
        tx.run(
            "UPDATE s3_buckets SET settings = ?, seal = ? WHERE id = ? AND name = ?",
            (text, seal, row.id, row.name),
        )
        tx.bump(domain(_shard(row.name)))
        if "PublicAccessBlock" in settings:
            tx.bump(ACCESS_POINTS)
        return row

    def configure_account(self, tx: Tx, account: str, **settings: Any) -> None:
        """Change what is configured of an account; None takes a setting away."""
        merged = {**self.of_account(tx, account), **settings}
        text = json.dumps({key: value for key, value in merged.items() if value is not None})
        seal = self._keyring.account_key(account, tx).wrap(b"", _ACCOUNT_PURPOSE, text)
        tx.run("DELETE FROM s3_accounts WHERE account = ?", (account,))
        tx.run("INSERT INTO s3_accounts (account, settings, seal) VALUES (?, ?, ?)", (account, text, seal))
        # What decides of each of its buckets may be another policy now.
        for number in range(SHARDS):
            tx.bump(domain(number))
        tx.bump(ACCESS_POINTS)

    def delete(self, tx: Tx, bucket: Bucket) -> None:
        """Remove a bucket, which is empty."""
        tx.run("DELETE FROM s3_buckets WHERE name = ? AND id = ?", (bucket.name, bucket.id))
        tx.bump(domain(_shard(bucket.name)))

    # What rows are bound to.

    def _sealed(self, tx: Tx, row: BucketRow) -> tuple[Any, ...]:
        text = json.dumps(row.settings)
        seal = self._keyring.account_key(row.account, tx).wrap(b"", _PURPOSE, *_bound(row, text))
        return (*row[:5], text, seal)

    def _opened(self, tx: Tx, columns: tuple[Any, ...]) -> BucketRow:
        name, unique_id, account, region, created, text, seal = columns
        row = BucketRow(name, unique_id, account, region, created, {})
        self._keyring.account_key(row.account, tx).unwrap(seal, _PURPOSE, *_bound(row, text))
        return row._replace(settings=json.loads(text))


def _bound(row: BucketRow, text: str) -> tuple[str, ...]:
    return (row.name, row.id, row.region, repr(float(row.created)), text)
