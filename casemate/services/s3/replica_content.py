"""The content of a replica: decrypted and encrypted anew or, where only the customer has the key, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.derivation import KEY_BYTES, SALT_BYTES
from casemate.engine.envelope.errors import Tampered
from casemate.services.s3 import sealing
from casemate.services.s3.bodies import Bodies, Piece, Stored, insert
from casemate.services.s3.ciphers import ObjectKeys, Part
from casemate.services.s3.getting import parts_of
from casemate.services.s3.object_rows import PARTS_OF, ObjectRow, Objects, PartRow
from casemate.services.s3.replication_rules import Rule
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Tx


class Source(NamedTuple):
    """What is to be copied, of which all is known that the database and KMS have to tell.

    parts: its bodies; told: what is told of them, of an object in parts; digests: of the sealed bytes, of one that is
    copied as it is; keys: the replica's, None of such; kept: what is kept of them.
    """

    parts: Sequence[Part]
    told: Sequence[PartRow]
    digests: Sequence[bytes]
    keys: ObjectKeys | None
    kept: Mapping[str, Any]


class Content(NamedTuple):
    """A replica's bodies, stored. salts: of parts."""

    stored: Sequence[Stored]
    salts: Sequence[bytes]


def source_of(call: Call, bucket: Bucket, row: ObjectRow, to: Bucket, rule: Rule) -> Source:
    """The call is the role's. Raises AwsError where it may not use a key, Tampered."""
    kept, tx = row.about["Encryption"], call.tx
    told = call.part(Objects).parts(tx, bucket, row.key, row.holder) if row.in_parts else []
    if kept["A"] == sealing.CUSTOMER_KEYS:
        place = kept.get("P", bucket.id)
        none = ObjectKeys((bytes(KEY_BYTES),), place, row.key)
        parts = parts_of(tx, row, none)
        digests = [_digest(tx, part.id) for part in parts]
        return Source(parts, told, digests, None, {**kept, "P": place})
    parts = parts_of(tx, row, sealing.opened(call, bucket, row.key, kept, {}))
    new = sealing.begin(call, to, row.key, _wanted(kept, to, rule))
    return Source(parts, told, (), new.keys, new.kept)


def _wanted(kept: Mapping[str, Any], to: Bucket, rule: Rule) -> sealing.Wanted:
    """A replica is encrypted as its source is, by the key that the rule names. Source: "Replicating encrypted
    objects"."""
    algorithm = kept["A"]
    if algorithm == sealing.S3_KEYS:
        return sealing.Wanted(algorithm)
    key_id = rule["Destination"]["EncryptionConfiguration"]["ReplicaKmsKeyID"]
    bucket_key = bool(to.encryption.get("BucketKeyEnabled")) and algorithm == sealing.KMS_KEYS
    return sealing.Wanted(algorithm, key_id, kept.get("C", {}), bucket_key, replica=True)


def _digest(tx: Tx, body: str) -> bytes:
    found = tx.one("SELECT digest FROM s3_bodies WHERE id = ?", (body,))
    return b"" if found is None or found[0] is None else bytes(found[0])


def copy(bodies: Bodies, source: Source, watched: Callable[[Iterable[Piece]], Iterator[Piece]]) -> Content:
    """Store it. It blocks, and leaves nothing behind where it raises: Tampered, Unavailable, what watched raises."""
    stored: list[Stored] = []
    salts: list[bytes] = []
    try:
        for index, part in enumerate(source.parts):
            number = source.told[index].number if source.told else 0
            if source.keys is None:
                one = bodies.copy(watched(bodies.sealed(part.id)), part.size, part.data)
                stored.append(one)
                salts.append(source.told[index].salt if source.told else b"")
                if source.digests[index] not in (b"", one.digest):
                    raise Tampered("an object's body is not as it was written")
                continue
            salt = urandom(SALT_BYTES) if number else b""
            reading = bodies.read((part,), 0, part.size)
            try:
                stored.append(bodies.store(watched(reading), part.size, source.keys.body(number, salt), ()))
            finally:
                reading.close()
            salts.append(salt)
    except BaseException:
        discard(bodies, Content(stored, salts))
        raise
    return Content(stored, salts)


def discard(bodies: Bodies, content: Content) -> None:
    """It is not wanted after all."""
    for one in content.stored:
        bodies.discard(one)


def keep(objects: Objects, tx: Tx, to: Bucket, row: ObjectRow, source: Source, content: Content) -> ObjectRow:
    """Make the rows of the replica and its bodies, in a transaction. row: as it is to be, but for its body."""
    if not source.told:
        made = objects.replicate(tx, to, row._replace(body=content.stored[0].id))
        insert(tx, content.stored[0], row.version)
        return made
    holder = new_id()
    for told, one, salt in zip(source.told, content.stored, content.salts, strict=True):
        part = PartRow(one.id, told.number, told.size, salt, told.about)
        sealed = objects.seal_part(tx, to, row.key, part)
        insert(tx, one, holder, part=told.number, salt=salt, sealed=sealed)
    return objects.replicate(tx, to, row._replace(body=PARTS_OF + holder))
