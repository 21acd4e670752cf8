"""The rows of objects: found, written, removed; and what of them is sealed.

What a customer gave an object besides its key (metadata, tags, content type, ...) and what tells of its content
(ETag, checksums) are enciphered under the key of the bucket's account, together with what opens its body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from casemate.gate.keyring import Keyring
from casemate.services.s3.resources import Bucket
from casemate.store.database import Tx
from casemate.store.ids import new_id

NULL = "null"
"""The id of a version that was written while the bucket had no versioning."""

_PURPOSE, _PART = "s3-object", "s3-part"
_COLUMNS = "key, version, null_version, latest, marker, modified, size, body, sealed"
_SELECT = f"SELECT {_COLUMNS} FROM s3_objects WHERE bucket = ? AND key = ? "
_ALL_ONES = (1 << 128) - 1
_STEP = 1 << 64

PARTS_OF = "+"
"""Begins the body of an object in parts that are held by something else than the version: the upload it came of."""

DISCARDED_AT_ONCE = 500
"""Parts that the job removes in one transaction."""

DISCARDED_ALONG = 20
"""Parts that are removed along with what they are of, of which there may be a thousand in one transaction."""

GRACE = 600.0
"""Seconds for which a blob outlives the row that referred to it, for those who read it at that moment."""


class ObjectRow(NamedTuple):
    """A version of an object, or a delete marker.

    version: what orders the versions; null: its id is "null"; size: bytes; modified: seconds since the epoch; body:
    of s3_bodies, '' where there is none or several, PARTS_OF and what holds them of several; about: what is sealed
    of it (casemate.services.s3.about).
    """

    key: str
    version: str
    null: bool
    latest: bool
    marker: bool
    modified: float
    size: int
    body: str
    about: Mapping[str, Any]

    @property
    def version_id(self) -> str:
        """As clients know it."""
        return NULL if self.null else self.version

    @property
    def in_parts(self) -> bool:
        """Whether its content is in several bodies, or it has none."""
        return not self.body or self.body.startswith(PARTS_OF)

    @property
    def holder(self) -> str:
        """What holds its bodies, if it is in parts."""
        return self.body.removeprefix(PARTS_OF) or self.version

    @property
    def etag(self) -> str:
        """Without its quotation marks; '' of a delete marker."""
        etag: str = self.about.get("ETag", "")
        return etag

    @property
    def tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = self.about.get("Tags", {})
        return tags


class PartRow(NamedTuple):
    """A part of an upload or of an object. about: ETag, Checksums, Modified (seconds since the epoch)."""

    body: str
    number: int
    size: int
    salt: bytes
    about: Mapping[str, Any]


class Objects:
    """The objects of all buckets, one per worker: ``call.part(Objects)``. All of it in a transaction."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return "<Objects>"

    # Finding. What is found was sealed by us for just that place: raises Tampered otherwise.

    def current(self, tx: Tx, bucket: Bucket, key: str) -> ObjectRow | None:
        """The newest version, which may be a delete marker; None where there is no version of the key."""
        return self._found(
            tx, bucket, tx.one(_SELECT + "ORDER BY version LIMIT 1", (bucket.id, key.encode()))
        )

    def version(self, tx: Tx, bucket: Bucket, key: str, version_id: str) -> ObjectRow | None:
        """The version of that id, None where there is none."""
        where = (bucket.id, key.encode())
        if version_id == NULL:
            return self._found(tx, bucket, tx.one(_SELECT + "AND null_version = 1", where))
        return self._found(
            tx, bucket, tx.one(_SELECT + "AND version = ? AND null_version = 0", (*where, version_id))
        )

    def at(self, tx: Tx, bucket: Bucket, key: str, version: str) -> ObjectRow | None:
        """The version in that place, which need not be its id's (``null``); None where there is none."""
        where = (bucket.id, key.encode(), version)
        return self._found(tx, bucket, tx.one(_SELECT + "AND version = ?", where))

    def opened(self, tx: Tx, bucket: Bucket, columns: tuple[Any, ...]) -> ObjectRow:
        """The row of these columns of s3_objects: key, version, null_version, latest, marker, modified, size, body,
        sealed."""
        key, version, null, latest, marker, modified, size, body, sealed = columns
        row = ObjectRow(
            bytes(key).decode(), version, bool(null), bool(latest), bool(marker), modified, size, body, {}
        )
        about = self._keyring.account_key(bucket.account, tx).unwrap(sealed, _PURPOSE, *_bound(bucket, row))
        return row._replace(about=orjson.loads(about))

    def _found(self, tx: Tx, bucket: Bucket, columns: tuple[Any, ...] | None) -> ObjectRow | None:
        return None if columns is None else self.opened(tx, bucket, columns)

    def is_empty(self, tx: Tx, bucket: Bucket) -> bool:
        """Whether a bucket has no object, no version, no delete marker."""
        # In order, so that PostgreSQL uses the index, whatever it believes of how many there are.
        found = tx.one("SELECT 1 FROM s3_objects WHERE bucket = ? ORDER BY key LIMIT 1", (bucket.id,))
        return found is None

    def parts(
        self, tx: Tx, bucket: Bucket, key: str, holder: str, after: int = 0, most: int = 10_000
    ) -> list[PartRow]:
        """The parts of an upload or of an object, from the one after that number on, in their order. Raises
        Tampered."""
        rows = tx.all(
            "SELECT id, part, size, salt, sealed FROM s3_bodies WHERE holder = ? AND part > ? AND part > 0 "
            "ORDER BY part LIMIT ?",  # the index has parts alone
            (holder, after, most),
        )
        account_key = self._keyring.account_key(bucket.account, tx)
        found = []
        for body, number, size, salt, sealed in rows:
            about = account_key.unwrap(sealed, _PART, bucket.id, key, body, number, size, bytes(salt).hex())
            found.append(PartRow(body, number, size, bytes(salt), orjson.loads(about)))
        return found

    # Changing.

    def seal_part(self, tx: Tx, bucket: Bucket, key: str, part: PartRow) -> bytes:
        """What is told of a part, as its row keeps it."""
        account_key = self._keyring.account_key(bucket.account, tx)
        bound = (bucket.id, key, part.body, part.number, part.size, part.salt.hex())
        return account_key.wrap(orjson.dumps(part.about), _PART, *bound)

    def add(
        self,
        tx: Tx,
        bucket: Bucket,
        key: str,
        now: float,
        about: Mapping[str, Any],
        *,
        size: int = 0,
        body: str = "",
        marker: bool = False,
    ) -> ObjectRow:
        """A new version, the newest; in a bucket without versioning, or where that is suspended, in place of the null
        version. now: seconds since the epoch."""
        name = key.encode()
        newest = tx.one(
            "SELECT version, null_version, body FROM s3_objects WHERE bucket = ? AND key = ? "
            "ORDER BY version LIMIT 1",
            (bucket.id, name),
        )
        version = _following(None if newest is None else newest[0])
        null = bucket.versioning != "Enabled"
        if newest is not None and null and newest[1]:
            # As in every bucket that never had versioning.
            self._erase(tx, bucket, name, newest[0], newest[2], now)
        elif newest is not None:
            if null:
                self._remove_null(tx, bucket, name, now)
            tx.run(
                "UPDATE s3_objects SET latest = 0 WHERE bucket = ? AND key = ? AND version = ?",
                (bucket.id, name, newest[0]),
            )
        row = ObjectRow(key, version, null, True, marker, now, size, body, about)
        self._insert(tx, bucket, row)
        return row

    def replicate(self, tx: Tx, bucket: Bucket, row: ObjectRow) -> ObjectRow:
        """Another bucket's version, under its own id, at its place among the versions of the key."""
        name = row.key.encode()
        newest = tx.one(
            "SELECT version FROM s3_objects WHERE bucket = ? AND key = ? ORDER BY version LIMIT 1",
            (bucket.id, name),
        )
        row = row._replace(latest=newest is None or row.version < newest[0])
        if newest is not None and row.latest:
            tx.run(
                "UPDATE s3_objects SET latest = 0 WHERE bucket = ? AND key = ? AND version = ?",
                (bucket.id, name, newest[0]),
            )
        self._insert(tx, bucket, row)
        return row

    def _insert(self, tx: Tx, bucket: Bucket, row: ObjectRow) -> None:
        tx.run(
            f"INSERT INTO s3_objects (bucket, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                bucket.id,
                row.key.encode(),
                row.version,
                int(row.null),
                int(row.latest),
                int(row.marker),
                row.modified,
                row.size,
                row.body,
                self._sealed(tx, bucket, row),
            ),
        )

    def describe(self, tx: Tx, bucket: Bucket, row: ObjectRow, about: Mapping[str, Any]) -> ObjectRow:
        """Change what is told of a version (its tags, its retention)."""
        changed = row._replace(about=about)
        tx.run(
            "UPDATE s3_objects SET sealed = ? WHERE bucket = ? AND key = ? AND version = ?",
            (self._sealed(tx, bucket, changed), bucket.id, row.key.encode(), row.version),
        )
        return changed

    def remove(self, tx: Tx, bucket: Bucket, row: ObjectRow, now: float) -> None:
        """Remove a version for good; the next older one becomes the newest."""
        name = row.key.encode()
        self._erase(tx, bucket, name, row.version, row.body, now)
        if row.latest:
            tx.run(
                "UPDATE s3_objects SET latest = 1 WHERE bucket = ? AND key = ? AND version = "
                "(SELECT version FROM s3_objects WHERE bucket = ? AND key = ? ORDER BY version LIMIT 1)",
                (bucket.id, name, bucket.id, name),
            )

    def _remove_null(self, tx: Tx, bucket: Bucket, name: bytes, now: float) -> None:
        found = tx.one(
            "SELECT version, body FROM s3_objects WHERE bucket = ? AND key = ? AND null_version = 1",
            (bucket.id, name),
        )
        if found is not None:
            self._erase(tx, bucket, name, found[0], found[1], now)

    def _erase(self, tx: Tx, bucket: Bucket, name: bytes, version: str, body: str, now: float) -> None:
        tx.run(
            "DELETE FROM s3_objects WHERE bucket = ? AND key = ? AND version = ?", (bucket.id, name, version)
        )
        if not body or body.startswith(PARTS_OF):
            discard_parts(tx, body.removeprefix(PARTS_OF) or version, now)
            return
        gone = tx.all(
            "DELETE FROM s3_bodies WHERE id = ? RETURNING CASE WHEN data IS NULL THEN 1 ELSE 0 END", (body,)
        )
        if gone and gone[0][0]:
            tx.run("INSERT INTO s3_garbage (id, due) VALUES (?, ?)", (body, now + GRACE))

    def _sealed(self, tx: Tx, bucket: Bucket, row: ObjectRow) -> bytes:
        key = self._keyring.account_key(bucket.account, tx)
        return key.wrap(orjson.dumps(row.about), _PURPOSE, *_bound(bucket, row))


def discard_bodies(tx: Tx, which: str, parameters: Iterable[Any], now: float) -> None:
    """Remove bodies; their blobs go a little later. which: a condition on s3_bodies."""
    parameters = tuple(parameters)
    tx.run(
        f"INSERT INTO s3_garbage (id, due) SELECT id, CAST(? AS REAL) FROM s3_bodies WHERE {which} "
        "AND data IS NULL",
        (now + GRACE, *parameters),
    )
    tx.run(f"DELETE FROM s3_bodies WHERE {which}", parameters)


def discard_part(tx: Tx, holder: str, number: int, now: float) -> None:
    """Remove one part of an upload, if it is there."""
    discard_bodies(tx, "holder = ? AND part = ? AND part > 0", (holder, number), now)


def discard_parts(tx: Tx, holder: str, now: float) -> None:
    """Remove what holder holds; where that is much, it is only marked, and a job removes it bit by bit."""
    several = tx.all(
        "SELECT 1 FROM s3_bodies WHERE holder = ? AND part > 0 LIMIT ?", (holder, DISCARDED_ALONG + 1)
    )
    if len(several) > DISCARDED_ALONG:
        tx.run("INSERT INTO s3_discarded (holder) VALUES (?) ON CONFLICT DO NOTHING", (holder,))
    else:
        discard_bodies(tx, "holder = ? AND part > 0", (holder,), now)


def discard_some(tx: Tx, now: float) -> bool:
    """Remove some of what was marked; whether there may be more."""
    found = tx.one("SELECT holder FROM s3_discarded WHERE due <= ? LIMIT 1", (now,))
    if found is None:
        return False
    parts = tx.all(
        "SELECT part FROM s3_bodies WHERE holder = ? AND part > 0 ORDER BY part LIMIT ?",
        (found[0], DISCARDED_AT_ONCE),
    )
    if parts:
        discard_bodies(tx, "holder = ? AND part > 0 AND part <= ?", (found[0], parts[-1][0]), now)
    else:
        tx.run("DELETE FROM s3_discarded WHERE holder = ?", found)
    return True


def _bound(bucket: Bucket, row: ObjectRow) -> tuple[str | int, ...]:
    """What of a row is in the clear: all but ``latest``, which other versions change."""
    return (
        bucket.id,
        row.key,
        row.version,
        int(row.null),
        int(row.marker),
        repr(float(row.modified)),
        row.size,
        row.body,
    )


def _following(newest: str | None) -> str:
    """A version newer than all of the key, whatever the clocks say."""
    version = _ALL_ONES - int(new_id(), 16)
    if newest is not None:
        version = min(version, int(newest, 16) - _STEP)
    return f"{version:032x}"
