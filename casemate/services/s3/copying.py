"""CopyObject: another object out of one that is there, decrypted and encrypted anew on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from casemate.api import s3
from casemate.engine.checksums import Checksum, checksum
from casemate.engine.envelope.errors import Tampered
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.s3 import about as told
from casemate.services.s3 import archives, expiring, locks, sealing
from casemate.services.s3.acls import settle
from casemate.services.s3.bodies import INLINE, Bodies
from casemate.services.s3.conditional import check_copied
from casemate.services.s3.getting import parts_of
from casemate.services.s3.integrity import DEFAULT, shown_digest
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.object_targets import (
    NEEDS_OF_NEW,
    NamedObject,
    NewObject,
    find_object,
    new_object,
    readable,
)
from casemate.services.s3.putting import LARGEST, Received, check_served, write
from casemate.services.s3.refusals import invalid_argument, invalid_request, log_tampered
from casemate.services.s3.resources import Object
from casemate.services.s3.targets import bucket_named, must_be_owned_by, watch

if TYPE_CHECKING:
    from casemate.services.s3.bodies import Reading

_SOURCE = re.compile(r"/?([^/?]+)/([^?]+)(?:\?versionId=(.*))?\Z", re.DOTALL)
_NOT_COPIED = (
    "Owner",
    "Acl",
    "ETag",
    "Checksums",
    "ChecksumType",
    "Encryption",
    "Lock",
    "Parts",
    "Replica",
    "Replication",
    "Restore",
    "StorageClass",
    "WebsiteRedirectLocation",
    "Tags",
    "Upload",
)
_CHANGES = (
    "StorageClass",
    "WebsiteRedirectLocation",
    "ServerSideEncryption",
    "SSECustomerAlgorithm",
    "BucketKeyEnabled",
    "SSEKMSKeyId",
)


class Copy(NewObject):
    """The object that a copy would make, and the one that is copied."""

    __slots__ = ("source", "with_tags")

    source: NamedObject
    with_tags: bool
    """Whether the source's tags are copied, of which there are some."""


def _plain(target: Copy) -> Object | None:
    return target.source.owned_unversioned()


def _version(target: Copy) -> Object | None:
    return target.source.owned_version()


def _tags(target: Copy) -> NamedObject | None:
    return target.source.unversioned() if target.with_tags else None


def _version_tags(target: Copy) -> NamedObject | None:
    return target.source.versioned() if target.with_tags else None


NEEDS_OF_SOURCE = (Need("s3:GetObject", _plain), Need("s3:GetObjectVersion", _version))
_NEEDS = (
    *NEEDS_OF_SOURCE,
    Need("s3:GetObjectTagging", _tags),
    Need("s3:GetObjectVersionTagging", _version_tags),
    *NEEDS_OF_NEW,
)


def named_source(call: Call, request: Mapping[str, Any]) -> NamedObject:
    """CopySource: /bucket/key?versionId=id, encoded as in a URL. Raises AwsError."""
    header: str = request["CopySource"]
    # The key may be encoded or not; what divides it from the version id never is.
    found = _SOURCE.match(header) or _SOURCE.match(unquote(header))
    if found is None:
        raise invalid_argument(
            "Invalid copy source object key" if header.strip("/") else "Invalid copy source bucket name",
            "x-amz-copy-source",
            header,
        )
    name, key, version = found.groups()
    bucket = bucket_named(call, unquote(name))
    if bucket.watched:
        watch(call, bucket, request, copied=True)
    must_be_owned_by(bucket, request.get("ExpectedSourceBucketOwner"))
    try:
        decoded = unquote_to_bytes(key).decode()
    except UnicodeDecodeError:
        raise invalid_argument("Invalid copy source encoding.", "x-amz-copy-source", header) from None
    return find_object(call, bucket, decoded, version)


def copy_of(call: Call, request: Mapping[str, Any]) -> Copy:
    """What is to be made, with its source."""
    new = new_object(call, request)
    source = named_source(call, request)
    with_tags = bool(
        source.row is not None and source.row.tags and request.get("TaggingDirective", "COPY") == "COPY"
    )
    asks = new.asks - {"PutObjectTagging"}
    if with_tags or (request.get("TaggingDirective") == "REPLACE" and "Tagging" in request):
        asks |= {"PutObjectTagging"}
    target = Copy(new.bucket, new.key, asks)
    target.source = source
    target.with_tags = with_tags
    return target


class Copied(NamedTuple):
    """A copy that is stored, and what is told of it, which is of the version that was read."""

    received: Received
    about: dict[str, Any]


@s3.CopyObject.streams(copy_of, *_NEEDS, near=True)
def copy_object(call: Call, req: s3.CopyObjectRequest, target: Copy) -> s3.CopyObjectOutput:
    """Make an object out of another one, with its metadata and tags or others."""
    check_served(req)
    owned = settle(call, target.bucket, req)
    copied: Copied = call.moved or _copy(call, req, target)
    received, about = copied
    about |= owned
    locks.lock_new(call, target.bucket, req, about)
    row = write(call, target.bucket, target.key, req, about, received.stored)
    answer: dict[str, Any] = {
        "CopyObjectResult": {
            "ETag": f'"{received.etag}"',
            "LastModified": told.moment(row.modified),
            **told.shown_checksums(about),
        },
        **told.shown_version(target.bucket, row),
        **sealing.shown(received.encryption.kept),
        **expiring.shown(target.bucket, row),
    }
    if target.source.row is not None:
        version = told.shown_version(target.source.bucket, target.source.row).get("VersionId")
        if version is not None:
            answer["CopySourceVersionId"] = version
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


def _copy(call: Call, req: Mapping[str, Any], target: Copy) -> Copied:
    source, row = target.source, readable_source(call, target.source)
    check_copied(row, req)
    _must_change(req, target, row)
    if row.size > LARGEST:
        raise invalid_request(
            "The specified copy source is larger than the maximum allowable size for a copy source: "
            f"{LARGEST}"
        )
    about = _about(req, row)
    reading = open_source(call, req, source, row, 0, row.size)
    encryption = sealing.begin(call, target.bucket, target.key, sealing.wanted(call, req, target.bucket))
    algorithm = req.get("ChecksumAlgorithm") or next(iter(row.about.get("Checksums", ())), DEFAULT)
    is_md5 = sealing.etag_is_md5(encryption.kept)
    counted, md5 = checksum(algorithm), checksum("MD5")
    hashes: tuple[Checksum, ...] = (counted, md5) if is_md5 else (counted,)
    bodies = call.part(Bodies)

    def copy() -> Copied:
        try:
            stored = bodies.store(reading, row.size, encryption.keys.body(), hashes)
        except Tampered as error:
            raise log_tampered(f"object {source.arn}", error) from error
        finally:
            reading.close()
        etag = (md5.digest() if is_md5 else urandom(16)).hex()
        received = Received(stored, encryption, algorithm, shown_digest(counted.digest()), etag)
        about["ETag"] = etag
        about["Encryption"] = encryption.kept
        about["Checksums"] = {algorithm: received.checksum}
        return Copied(received, about)

    quick = row.size <= INLINE
    return call.transfer(copy, quick=quick, undo=lambda done: bodies.discard(done.received.stored))


def readable_source(call: Call, source: NamedObject) -> ObjectRow:
    """The version that is copied. Raises AwsError."""
    if source.row is not None and source.row.marker and source.named:
        raise invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )
    row = readable(call, source)
    archives.check_copied(row)
    return row


def open_source(
    call: Call, request: Mapping[str, Any], source: NamedObject, row: ObjectRow, start: int, length: int
) -> Reading:
    """A range of what is copied, to be read outside of the transaction. Raises AwsError."""
    keys = sealing.opened(call, source.bucket, source.key, row.about["Encryption"], request, "CopySource")
    try:
        return call.part(Bodies).read(parts_of(call.tx, row, keys), start, length)
    except Tampered as error:
        raise log_tampered(f"object {source.arn}", error) from error


def _about(request: Mapping[str, Any], row: ObjectRow) -> dict[str, Any]:
    """What is told of the copy, but for what its content tells."""
    given = told.told(request)
    given_tags = given.pop("Tags", {})
    if request.get("MetadataDirective", "COPY") == "REPLACE":
        about = given
    else:
        about = {name: value for name, value in row.about.items() if name not in _NOT_COPIED}
        for name in ("StorageClass", "WebsiteRedirectLocation"):
            if name in given:
                about[name] = given[name]
    tags = given_tags if request.get("TaggingDirective") == "REPLACE" else row.tags
    if tags:
        about["Tags"] = dict(tags)
    return about


def _must_change(request: Mapping[str, Any], target: Copy, row: ObjectRow) -> None:
    """Raise for a copy of an object onto itself that would change nothing."""
    same = target.source.arn == target.arn and row.latest
    if (
        same
        and request.get("MetadataDirective") != "REPLACE"
        and not any(name in request for name in _CHANGES)
    ):
        raise invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )
