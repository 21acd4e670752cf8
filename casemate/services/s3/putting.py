"""PutObject: a body is sealed as it comes, then becomes a version of its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.body import Body
from casemate.gate.call import Call
from casemate.services.s3 import about as told
from casemate.services.s3 import expiring, locks, replicating, sealing
from casemate.services.s3.acls import settle
from casemate.services.s3.bodies import INLINE, Bodies, Stored, insert
from casemate.services.s3.conditional import check_write
from casemate.services.s3.happenings import created
from casemate.services.s3.integrity import Integrity
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import NEEDS_OF_NEW, NewObject, new_object
from casemate.services.s3.refusals import not_supported
from casemate.services.s3.sealing import Encryption

if TYPE_CHECKING:
    from casemate.services.s3.resources import Bucket

LARGEST = 5 * 1024**3
"""Bytes of what comes in one piece."""

NOT_SERVED = ("ObjectLockEventHold", "ObjectLockEventHoldDurationDays", "ObjectLockEventHoldDurationYears")


class Received(NamedTuple):
    """A body that has come: stored, sealed, and what was counted of it. about: what the request tells of it."""

    stored: Stored
    encryption: Encryption
    algorithm: str
    checksum: str
    etag: str
    about: Mapping[str, Any] = {}


def check_size(size: int, largest: int = LARGEST) -> None:
    """Raise for more than may come: in one piece, unless another bound is given."""
    if size > largest:
        raise AwsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            ProposedSize=str(size),
            MaxSizeAllowed=str(largest),
        )


def check_served(request: Mapping[str, Any]) -> None:
    """Raise for what S3 has and is not served."""
    for name in NOT_SERVED:
        if name in request:
            raise not_supported(f"The parameter {name}")
    if "WriteOffsetBytes" in request:
        raise not_supported("Appending to an object")


@s3.PutObject.streams(new_object, *NEEDS_OF_NEW, near=True)
def put_object(call: Call, req: s3.PutObjectRequest, target: NewObject) -> s3.PutObjectOutput:
    """Make an object, or another version of it, of the body, which is encrypted as it comes."""
    return put(call, req, target, call.body)


def put(
    call: Call, req: s3.PutObjectRequest, target: NewObject, body: Callable[[], Body]
) -> s3.PutObjectOutput:
    """The same of a body that comes in whatever way. body: is asked for it once, before it has come."""
    bucket, key = target.bucket, target.key
    received: Received = call.moved or _receive(call, req, bucket, key, body)
    about = {**received.about, **settle(call, bucket, req)}
    about["ETag"] = received.etag
    about["Encryption"] = received.encryption.kept
    locks.lock_new(call, bucket, req, about)
    about["Checksums"] = {received.algorithm: received.checksum}
    row = write(call, bucket, key, req, about, received.stored)
    answer: dict[str, Any] = {
        "ETag": f'"{received.etag}"',
        **told.shown_checksums(about),
        **told.shown_version(bucket, row),
        **sealing.shown(received.encryption.kept),
        **expiring.shown(bucket, row),
    }
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


def _receive(
    call: Call, request: Mapping[str, Any], bucket: Bucket, key: str, asked: Callable[[], Body]
) -> Received:
    """Have the body come, once, of a request that asks for nothing that there is not. asked: gives it."""
    about = told.told(request)
    check_served(request)
    settle(call, bucket, request)
    body = asked()
    check_size(body.size)
    encryption = sealing.begin(call, bucket, key, sealing.wanted(call, request, bucket))
    is_md5 = sealing.etag_is_md5(encryption.kept)
    integrity = Integrity(request, call.headers, body, needs_md5=is_md5)
    locks.check_guarded(request, integrity.guarded)
    bodies = call.part(Bodies)

    def receive() -> Received:
        stored = bodies.store(body, body.size, encryption.keys.body(), integrity.hashes, integrity.check)
        etag = integrity.md5 if is_md5 else urandom(16)
        # Of a form it is known only now.
        stored = stored._replace(size=body.size)
        return Received(stored, encryption, integrity.algorithm, integrity.shown(), etag.hex(), about)

    quick = call.body_is_held and body.size <= INLINE
    return call.transfer(receive, quick=quick, undo=lambda done: bodies.discard(done.stored))


def write(
    call: Call, bucket: Bucket, key: str, request: Mapping[str, Any], about: dict[str, Any], stored: Stored
) -> ObjectRow:
    """A new version whose body is stored, in the transaction. Raises AwsError where a condition does not hold."""
    objects, tx = call.part(Objects), call.tx
    if "IfMatch" in request or "IfNoneMatch" in request:
        check_write(objects.current(tx, bucket, key), request, key)
    row = replicating.add(call, bucket, key, about, size=stored.size, body=stored.id)
    insert(tx, stored, row.version)
    created(call, bucket, row)
    return row
