"""Multipart uploads: begun, continued part by part, given up.

Each part is sealed under a key of its own, derived from the upload's, and becomes a body of the object as it is.
Source: "Uploading and copying objects using multipart upload", "UploadPart", "UploadPartCopy".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import s3
from casemate.engine.checksums import CYCLIC, Checksum, checksum
from casemate.engine.envelope.derivation import SALT_BYTES
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.s3 import about as told
from casemate.services.s3 import locks, sealing
from casemate.services.s3.acls import settle
from casemate.services.s3.bodies import INLINE, Bodies, Stored, insert
from casemate.services.s3.ciphers import ObjectKeys
from casemate.services.s3.conditional import check_copied
from casemate.services.s3.copying import named_source, open_source, readable_source
from casemate.services.s3.integrity import DEFAULT, Integrity, shown_digest
from casemate.services.s3.object_rows import ObjectRow, Objects, PartRow, discard_part, discard_parts
from casemate.services.s3.object_targets import NEEDS_OF_NEW, NamedObject, NewObject, upload_begun
from casemate.services.s3.putting import check_served, check_size
from casemate.services.s3.refusals import invalid_argument, invalid_request, log_tampered
from casemate.services.s3.resources import Object
from casemate.services.s3.upload_rows import NamedUpload, UploadRow, Uploads, named_upload

if TYPE_CHECKING:
    from casemate.services.s3.resources import Bucket

MOST_PARTS = 10_000

_RANGE = re.compile(r"bytes=([0-9]{1,20})-([0-9]{1,20})\Z")
_SMALLEST_RANGED = 5 * 1024 * 1024
_PUT = Need("s3:PutObject")


@s3.CreateMultipartUpload.writes(upload_begun, *NEEDS_OF_NEW, near=True)
def create_multipart_upload(
    call: Call, req: s3.CreateMultipartUploadRequest, target: NewObject
) -> s3.CreateMultipartUploadOutput:
    """Begin an upload in parts: what the object will be like is told here."""
    bucket, key = target.bucket, target.key
    about = told.told(req)
    check_served(req)
    about |= settle(call, bucket, req)
    locks.lock_new(call, bucket, req, about)
    encryption = sealing.begin(call, bucket, key, sealing.wanted(call, req, bucket))
    upload: dict[str, Any] = {
        "Object": about,
        "Encryption": encryption.kept,
        "Initiator": call.identity.principal.arn,
    }
    algorithm = req.get("ChecksumAlgorithm")
    answer: dict[str, Any] = {"Bucket": bucket.name, "Key": key, **sealing.shown(encryption.kept)}
    if algorithm is not None:
        kind = _checksum_type(algorithm, req.get("ChecksumType"))
        upload |= {"Algorithm": algorithm, "Type": kind}
        answer |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    elif "ChecksumType" in req:
        raise invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        )
    answer["UploadId"] = call.part(Uploads).begin(call.tx, bucket, key, call.now, upload).id
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


def _checksum_type(algorithm: str, given: str | None) -> str:
    """How the whole's checksum comes to be. Source: "Full object and composite checksum types"."""
    possible = ["COMPOSITE", "FULL_OBJECT"] if algorithm in CYCLIC else ["COMPOSITE"]
    if algorithm == "CRC64NVME":
        possible = ["FULL_OBJECT"]
    if given is not None and given not in possible:
        raise invalid_request(
            f"The {given} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        )
    return given or possible[0]


class _Part(NamedTuple):
    """A part that has come. checksums: by algorithm, base64."""

    stored: Stored
    salt: bytes
    etag: str
    checksums: Mapping[str, str]


@s3.UploadPart.streams(named_upload, _PUT, near=True)
def upload_part(call: Call, req: s3.UploadPartRequest, target: NamedUpload) -> s3.UploadPartOutput:
    """Add a part to an upload, in place of one of the same number."""
    number = _part_number(req)
    upload = target.upload
    part: _Part = call.moved or _receive(call, req, target, number)
    _keep(call, target, number, part)
    answer: dict[str, Any] = {
        "ETag": f'"{part.etag}"',
        **{f"Checksum{name}": value for name, value in part.checksums.items()},
        **sealing.shown(upload.about["Encryption"]),
    }
    return answer  # type: ignore[return-value]  # as above


def _receive(call: Call, req: Mapping[str, Any], target: NamedUpload, number: int) -> _Part:
    upload = target.upload
    body = call.body()
    check_size(body.size)
    keys = _upload_keys(call, req, target.bucket, upload)
    is_md5 = sealing.etag_is_md5(upload.about["Encryption"])
    expected = upload.about.get("Algorithm", "")
    integrity = Integrity(req, call.headers, body, algorithm=expected, needs_md5=is_md5)
    if expected and integrity.algorithm != expected:
        raise invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {expected.lower()}, actual checksum Type: "
            f"{integrity.algorithm.lower()}"
        )
    # What the whole's checksum follows from, where the upload names no other.
    own = checksum(DEFAULT) if not expected and integrity.algorithm != DEFAULT else None
    hashes = integrity.hashes if own is None else (*integrity.hashes, own)
    bodies, salt = call.part(Bodies), urandom(SALT_BYTES)

    def receive() -> _Part:
        stored = bodies.store(body, body.size, keys.body(number, salt), hashes, integrity.check)
        checksums = {integrity.algorithm: integrity.shown()}
        if own is not None:
            checksums[DEFAULT] = shown_digest(own.digest())
        etag = integrity.md5 if is_md5 else urandom(16)
        return _Part(stored, salt, etag.hex(), checksums)

    quick = call.body_is_held and body.size <= INLINE
    return call.transfer(receive, quick=quick, undo=lambda done: bodies.discard(done.stored))


def _keep(call: Call, target: NamedUpload, number: int, part: _Part) -> None:
    tx, upload = call.tx, target.upload
    discard_part(tx, upload.id, number, call.now)
    about = {"ETag": part.etag, "Checksums": dict(part.checksums), "Modified": call.now}
    row = PartRow(part.stored.id, number, part.stored.size, part.salt, about)
    sealed = call.part(Objects).seal_part(tx, target.bucket, target.key, row)
    insert(tx, part.stored, upload.id, part=number, salt=part.salt, sealed=sealed)


def _part_number(request: Mapping[str, Any]) -> int:
    number: int = request["PartNumber"]
    if not 1 <= number <= MOST_PARTS:
        raise invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive", "partNumber", str(number)
        )
    return number


def _upload_keys(call: Call, request: Mapping[str, Any], bucket: Bucket, upload: UploadRow) -> ObjectKeys:
    kept = upload.about["Encryption"]
    given = sealing.customers_key(call, request) is not None
    if kept["A"] == sealing.CUSTOMER_KEYS:
        if not given:
            raise invalid_request(
                "The multipart upload initiate requested encryption. Subsequent part requests must include the "
                "appropriate encryption parameters."
            )
        try:
            return sealing.opened(call, bucket, upload.key, kept, request)
        except AwsError as refusal:
            if refusal.code != "AccessDenied":
                raise
    elif not given:
        return sealing.opened(call, bucket, upload.key, kept, request)
    raise invalid_request("The provided encryption parameters did not match the ones used originally.")


# --- parts that are copied


class CopiedPart(NamedUpload):
    """The upload that a part is added to, and the object that it is copied from."""

    __slots__ = ("source",)

    source: NamedObject


def _plain(target: CopiedPart) -> Object | None:
    return target.source.owned_unversioned()


def _version(target: CopiedPart) -> Object | None:
    return target.source.owned_version()


def copied_part(call: Call, request: Mapping[str, Any]) -> CopiedPart:
    """Bucket, Key, UploadId and CopySource."""
    upload = named_upload(call, request)
    target = CopiedPart(upload.bucket, upload.key, upload.asks, creates=False)
    target.row = upload.row
    target.missing = upload.missing
    target.source = named_source(call, request)
    return target


@s3.UploadPartCopy.streams(
    copied_part, _PUT, Need("s3:GetObject", _plain), Need("s3:GetObjectVersion", _version)
)
def upload_part_copy(
    call: Call, req: s3.UploadPartCopyRequest, target: CopiedPart
) -> s3.UploadPartCopyOutput:
    """Add a part to an upload that is a copy of an object or of a range of one."""
    number = _part_number(req)
    part: _Part = call.moved or _copy(call, req, target, number)
    _keep(call, target, number, part)
    answer: dict[str, Any] = {
        "CopyPartResult": {
            "ETag": f'"{part.etag}"',
            "LastModified": told.moment(call.now),
            **{f"Checksum{name}": value for name, value in part.checksums.items()},
        },
        **sealing.shown(target.upload.about["Encryption"]),
    }
    if target.source.row is not None:
        version = told.shown_version(target.source.bucket, target.source.row).get("VersionId")
        if version is not None:
            answer["CopySourceVersionId"] = version
    return answer  # type: ignore[return-value]  # as above


def _copy(call: Call, req: Mapping[str, Any], target: CopiedPart, number: int) -> _Part:
    upload, source = target.upload, target.source
    row = readable_source(call, source)
    check_copied(row, req)
    start, length = _copied_range(req.get("CopySourceRange"), row)
    check_size(length)
    reading = open_source(call, req, source, row, start, length)
    keys = _upload_keys(call, req, target.bucket, upload)
    algorithm = upload.about.get("Algorithm", DEFAULT)
    is_md5 = sealing.etag_is_md5(upload.about["Encryption"])
    counted, md5 = checksum(algorithm), checksum("MD5")
    hashes: tuple[Checksum, ...] = (counted, md5) if is_md5 else (counted,)
    bodies, salt = call.part(Bodies), urandom(SALT_BYTES)

    def copy() -> _Part:
        try:
            stored = bodies.store(reading, length, keys.body(number, salt), hashes)
        except Tampered as error:
            raise log_tampered(f"object {source.arn}", error) from error
        finally:
            reading.close()
        etag = (md5.digest() if is_md5 else urandom(16)).hex()
        return _Part(stored, salt, etag, {algorithm: shown_digest(counted.digest())})

    return call.transfer(copy, quick=length <= INLINE, undo=lambda done: bodies.discard(done.stored))


def _copied_range(header: str | None, row: ObjectRow) -> tuple[int, int]:
    """Start and length. Raises AwsError."""
    if header is None:
        return 0, row.size
    found = _RANGE.match(header)
    if found is None or int(found[1]) > int(found[2]):
        raise invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            header,
        )
    first, last = int(found[1]), int(found[2])
    if last >= row.size:
        raise invalid_argument(
            f"Range specified is not valid for source object of size: {row.size}",
            "x-amz-copy-source-range",
            header,
        )
    if row.size <= _SMALLEST_RANGED:
        raise invalid_request("The specified copy source is not supported as a byte-range copy source")
    return first, last - first + 1


@s3.AbortMultipartUpload.writes(named_upload)
def abort_multipart_upload(
    call: Call, req: s3.AbortMultipartUploadRequest, target: NamedUpload
) -> s3.AbortMultipartUploadOutput:
    """Give up an upload, and what came of it."""
    initiated = req.get("IfMatchInitiatedTime")
    if initiated is not None and told.moment(target.upload.started) != initiated:
        raise AwsError(
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            412,
            Condition="x-amz-if-match-initiated-time",
        )
    give_up(call.part(Uploads), call.tx, target.bucket, target.upload, call.now)
    return {}


def give_up(uploads: Uploads, tx: Any, bucket: Bucket, upload: UploadRow, now: float) -> None:
    """Remove an upload with its parts, in a transaction."""
    discard_parts(tx, upload.id, now)
    uploads.forget(tx, bucket, upload)
