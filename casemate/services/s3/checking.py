"""Whether all objects are as they were written: rows, bodies, blobs; and what of it can be put right.

No key of KMS's or of a customer's is needed: rows are bound under the accounts' keys, and bodies have a digest of
what is stored of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.gate.keyring import Keyring
from casemate.services.s3 import archives, inventory_rows, replicating, restoring
from casemate.services.s3.bodies import Bodies, digest_of
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.ciphers import stored_size
from casemate.services.s3.collecting import referenced
from casemate.services.s3.object_rows import PARTS_OF, ObjectRow, Objects, discard_bodies
from casemate.services.s3.resources import Bucket
from casemate.services.s3.sealing import TWO_LAYERS
from casemate.services.s3.upload_rows import Uploads
from casemate.store.blobs import BlobNotFound, sweep_orphans
from casemate.store.database import Store, Tx

_BATCH = 200
_PIECE = 4 * 1024 * 1024
_YOUNG = 3600.0
_COLUMNS = "key, version, null_version, latest, marker, modified, size, body, sealed"


class Found(NamedTuple):
    """Something that is not as it should be. repaired: it was put right; else it can only be told of."""

    what: str
    repaired: bool = False


class Checked(NamedTuple):
    """How much was looked at."""

    buckets: int
    versions: int
    bytes: int


class Check:
    """One run over everything. ``counted`` is current while ``run`` is iterated over."""

    def __init__(
        self, store: Store, keyring: Keyring, bodies: Bodies, *, contents: bool, repair: bool
    ) -> None:
        """contents: whether to read what blobs hold, too; repair: put right what can be."""
        self._store = store
        self._buckets = Buckets(store, keyring)
        self._objects = Objects(keyring)
        self._uploads = Uploads(keyring)
        self._bodies = bodies
        self._contents = contents
        self._repair = repair
        self.counted = Checked(0, 0, 0)

    def run(self) -> Iterator[Found]:
        """What is wrong."""
        known: list[str] = []
        after = ""
        while names := self._store.read(lambda tx, start=after: _names(tx, start)):  # type: ignore[misc]  # of this round
            for name in names:
                yield from self._bucket(name)
                known.append(name)
            after = names[-1]
        yield from self._strays()
        yield from self._orphans()

    def _bucket(self, name: str) -> Iterator[Found]:
        try:
            bucket = self._store.read(lambda tx: self._buckets.load(tx, name))
        except Tampered as error:
            yield Found(f"bucket {name}: {error}")
            return
        if bucket is None:
            return
        self.counted = self.counted._replace(buckets=self.counted.buckets + 1)
        yield from self._inventories(bucket)
        place: tuple[bytes, str] = (b"", "")
        newest = b""
        while rows := self._store.read(lambda tx, at=place: _versions(tx, bucket, at)):  # type: ignore[misc]  # as above
            for columns in rows:
                key = bytes(columns[0])
                yield from self._version(bucket, columns, first=key != newest)
                newest = key
            place = (bytes(rows[-1][0]), rows[-1][1])
        for columns in self._store.read(lambda tx: _uploads_of(tx, bucket)):
            yield from self._upload(bucket, columns)

    def _inventories(self, bucket: Bucket) -> Iterator[Found]:
        try:
            planless = self._store.read(lambda tx: list(inventory_rows.planless(tx, self._buckets, bucket)))
        except Tampered as error:
            yield Found(f"an inventory configuration of {bucket.name}: {error}")
            return
        for configuration in planless:
            if self._repair:
                at: dict[str, Any] = {"bucket": bucket, "configuration": configuration, "now": time.time()}
                self._store.write(partial(inventory_rows.plan, **at))
            yield Found(
                f"inventory {configuration['Id']} of {bucket.name}: is to be made, and nothing does it",
                self._repair,
            )

    def _version(self, bucket: Bucket, columns: tuple[Any, ...], *, first: bool) -> Iterator[Found]:
        name = f"{bucket.name}/{bytes(columns[0]).decode()} version {columns[1]}"
        try:
            row = self._store.read(lambda tx: self._objects.opened(tx, bucket, columns))
        except Tampered as error:
            yield Found(f"{name}: {error}")
            return
        self.counted = self.counted._replace(versions=self.counted.versions + 1)
        if row.latest != first:
            if self._repair:
                self._store.write(lambda tx: _mark_newest(tx, bucket, row.key.encode()))
            yield Found(f"{name}: is {'not ' if first else ''}marked as the newest one", self._repair)
        if replicating.STATE in row.about and self._store.read(
            lambda tx: self._waits_in_vain(tx, bucket, row, repair=False)
        ):
            if self._repair:
                self._store.write(lambda tx: self._waits_in_vain(tx, bucket, row, repair=True))
            yield Found(f"{name}: waits to be replicated, and nothing does it", self._repair)
        if archives.STATE in row.about and self._store.read(
            lambda tx: self._never_over(tx, bucket, row, repair=False)
        ):
            if self._repair:
                self._store.write(lambda tx: self._never_over(tx, bucket, row, repair=True))
            yield Found(f"{name}: is restored, and nothing ends that", self._repair)
        if not row.marker:
            rows = self._store.read(lambda tx: _bodies(tx, "" if row.in_parts else row.body, row.holder))
            count = row.about.get("Parts") if row.in_parts else 1
            if len(rows) != count or sum(size for _, size, _, _ in rows) != row.size:
                yield Found(f"{name}: its content is not whole")
            yield from self._stored(name, rows, row.about["Encryption"])

    def _waits_in_vain(self, tx: Tx, bucket: Bucket, row: ObjectRow, *, repair: bool) -> bool:
        """As it is now: the server may run."""
        found = self._objects.at(tx, bucket, row.key, row.version)
        if found is None or not replicating.waits_in_vain(tx, bucket, found):
            return False
        if repair:
            replicating.resume(tx, self._objects, bucket, found, time.time())
        return True

    def _never_over(self, tx: Tx, bucket: Bucket, row: ObjectRow, *, repair: bool) -> bool:
        found = self._objects.at(tx, bucket, row.key, row.version)
        if found is None or not restoring.waits_in_vain(tx, bucket, found):
            return False
        if repair:
            restoring.plan(tx, bucket, found)
        return True

    def _upload(self, bucket: Bucket, columns: tuple[Any, ...]) -> Iterator[Found]:
        name = f"upload {columns[1]} to {bucket.name}/{bytes(columns[0]).decode()}"
        try:
            upload = self._store.read(lambda tx: self._uploads.opened(tx, bucket, columns))
        except Tampered as error:
            yield Found(f"{name}: {error}")
            return
        rows = self._store.read(lambda tx: _bodies(tx, "", upload.id))
        yield from self._stored(name, rows, upload.about["Encryption"])

    def _stored(
        self, name: str, rows: list[tuple[Any, ...]], encryption: Mapping[str, Any]
    ) -> Iterator[Found]:
        """Whether bodies are stored as they were written. rows: id, size, digest, whether it is in the database."""
        layers = 2 if encryption["A"] == TWO_LAYERS else 1
        for body, size, digest, inline in rows:
            wanted = digest is not None and (self._contents or inline)
            try:
                found, actual = self._read(body, bool(inline), wanted)
            except BlobNotFound:
                yield Found(f"{name}: blob {body} is missing")
                continue
            self.counted = self.counted._replace(bytes=self.counted.bytes + found)
            expected = stored_size(size, layers)
            if found != expected:
                yield Found(f"{name}: body {body} has {found} bytes, not {expected}")
            elif wanted and digest is not None and actual != bytes(digest):
                yield Found(f"{name}: body {body} is not as it was written")

    def _read(self, body: str, inline: bool, wanted: bool) -> tuple[int, bytes]:
        """The sealed bytes' number and, if wanted, their digest. Raises BlobNotFound."""
        if inline:
            row = self._store.read(lambda tx: tx.one("SELECT data FROM s3_bodies WHERE id = ?", (body,)))
            data = b"" if row is None else bytes(row[0])
            return len(data), digest_of((data,))
        with self._bodies.blobs.open(body) as reader:
            return reader.size, digest_of(iter(lambda: reader.read(_PIECE), b"")) if wanted else b""

    def _strays(self) -> Iterator[Found]:
        """Rows of bodies that belong to nothing, of which there should be none, whatever happens."""
        strays = self._store.read(
            lambda tx: tx.all(
                "SELECT holder FROM s3_bodies EXCEPT SELECT version FROM s3_objects EXCEPT SELECT id FROM s3_uploads "
                "EXCEPT SELECT substr(body, 2) FROM s3_objects WHERE substr(body, 1, 1) = ? "
                "EXCEPT SELECT holder FROM s3_discarded",
                (PARTS_OF,),
            )
        )
        for (holder,) in strays:
            if self._repair:
                self._store.write(lambda tx, of=holder: discard_bodies(tx, "holder = ?", (of,), time.time()))  # type: ignore[misc]  # as above
            yield Found(f"a body belongs to {holder}, which is neither an object nor an upload", self._repair)

    def _orphans(self) -> Iterator[Found]:
        """Blobs without a row, which a crash may leave."""
        blobs, before = self._bodies.blobs, time.time() - _YOUNG

        def kept(ids: list[str]) -> list[str]:
            return self._store.read(lambda tx: referenced(tx, ids))

        if self._repair:
            for blob in sweep_orphans(blobs, kept, before=before):
                yield Found(f"blob {blob} belongs to nothing", True)
            return
        old = [blob.id for blob in blobs.list() if blob.modified < before]
        for start in range(0, len(old), _BATCH):
            batch = old[start : start + _BATCH]
            for blob_id in sorted(set(batch) - set(kept(batch))):
                yield Found(f"blob {blob_id} belongs to nothing")


def _names(tx: Tx, after: str) -> list[str]:
    rows = tx.all("SELECT name FROM s3_buckets WHERE name > ? ORDER BY name LIMIT ?", (after, _BATCH))
    return [name for (name,) in rows]


def _versions(tx: Tx, bucket: Bucket, after: tuple[bytes, str]) -> list[tuple[Any, ...]]:
    return tx.all(
        f"SELECT {_COLUMNS} FROM s3_objects WHERE bucket = ? AND (key, version) > (?, ?) "
        "ORDER BY key, version LIMIT ?",
        (bucket.id, *after, _BATCH),
    )


def _uploads_of(tx: Tx, bucket: Bucket) -> list[tuple[Any, ...]]:
    return tx.all("SELECT key, id, started, sealed FROM s3_uploads WHERE bucket = ?", (bucket.id,))


def _bodies(tx: Tx, body: str, holder: str) -> list[tuple[Any, ...]]:
    columns = "SELECT id, size, digest, CASE WHEN data IS NULL THEN 0 ELSE 1 END FROM s3_bodies "
    if body:
        return tx.all(columns + "WHERE id = ?", (body,))
    return tx.all(columns + "WHERE holder = ? AND part > 0 ORDER BY part", (holder,))


def _mark_newest(tx: Tx, bucket: Bucket, key: bytes) -> None:
    tx.run("UPDATE s3_objects SET latest = 0 WHERE bucket = ? AND key = ?", (bucket.id, key))
    tx.run(
        "UPDATE s3_objects SET latest = 1 WHERE bucket = ? AND key = ? AND version = "
        "(SELECT version FROM s3_objects WHERE bucket = ? AND key = ? ORDER BY version LIMIT 1)",
        (bucket.id, key, bucket.id, key),
    )
