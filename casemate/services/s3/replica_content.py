"""The content of a replica: decrypted and encrypted anew or, where only the customer has the key, as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.derivation import KEY_BYTES, SALT_BYTES
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
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
    from casemate.store.database import Store, Tx


_AT_ONCE = 500
"""Parts whose rows are made in one transaction."""

_LAID_FOR = 86_400.0


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
    """A replica's bodies, stored. salts: of parts; holder: what holds their rows, '' while there are none."""

    stored: Sequence[Stored]
    salts: Sequence[bytes]
    holder: str = ""


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
        for each in stored:
            bodies.discard(each)
        raise
    return Content(stored, salts)


def discard(store: Store, bodies: Bodies, content: Content) -> None:
    """It is not wanted after all."""
    if content.holder:
        store.write(lambda tx: _give_up(tx, content.holder))
        return
    for one in content.stored:
        bodies.discard(one)


def _give_up(tx: Tx, holder: str) -> None:
    tx.run("UPDATE s3_discarded SET due = 0 WHERE holder = ?", (holder,))


def lay_out(
    store: Store, objects: Objects, to: Bucket, key: str, source: Source, content: Content, now: float
) -> Content:
    """Make the rows of parts, of which there may be ten thousand, some in each transaction. They are discarded in a
    day unless a replica takes them over."""
    if not source.told:
        return content
    holder = new_id()

    def begin(tx: Tx) -> None:
        tx.run("INSERT INTO s3_discarded (holder, due) VALUES (?, ?)", (holder, now + _LAID_FOR))

    def lay(tx: Tx, start: int) -> None:
        end = start + _AT_ONCE
        parts = zip(source.told[start:end], content.stored[start:end], content.salts[start:end], strict=True)
        for told, one, salt in parts:
            part = PartRow(one.id, told.number, told.size, salt, told.about)
            sealed = objects.seal_part(tx, to, key, part)
            insert(tx, one, holder, part=told.number, salt=salt, sealed=sealed)

    store.write(begin)
    try:
        for start in range(0, len(source.told), _AT_ONCE):
            store.write(partial(lay, start=start))
    except BaseException:
        # Blobs that have no row yet are swept up.
        store.write(lambda tx: _give_up(tx, holder))
        raise
    return content._replace(holder=holder)


def keep(objects: Objects, tx: Tx, to: Bucket, row: ObjectRow, source: Source, content: Content) -> ObjectRow:
    """Make the rows of the replica and its body, in a transaction. row: as it is to be, but for its body. Raises
    AwsError when its parts were discarded meanwhile."""
    if not source.told:
        made = objects.replicate(tx, to, row._replace(body=content.stored[0].id))
        insert(tx, content.stored[0], row.version)
        return made
    taken = tx.run("DELETE FROM s3_discarded WHERE holder = ?", (content.holder,))
    laid = tx.one("SELECT COUNT(*) FROM s3_bodies WHERE holder = ?", (content.holder,))
    if not taken or laid is None or laid[0] != len(source.told):
        raise AwsError("ServiceUnavailable", "The replica took too long to be made.", 503)
    return objects.replicate(tx, to, row._replace(body=PARTS_OF + content.holder))
