"""CompleteMultipartUpload: the parts that it names become the object.

Source: "CompleteMultipartUpload", "Full object and composite checksum types", "Multipart upload limits".
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import md5
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.engine.checksums import checksum, combined
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.s3 import about as told
from casemate.services.s3 import expiring, locks, replicating, sealing
from casemate.services.s3.conditional import check_write
from casemate.services.s3.happenings import created
from casemate.services.s3.integrity import DEFAULT, shown_digest
from casemate.services.s3.object_rows import PARTS_OF, ObjectRow, Objects, PartRow, discard_part
from casemate.services.s3.putting import check_size
from casemate.services.s3.refusals import invalid_request, malformed_xml
from casemate.services.s3.upload_rows import NamedUpload, Uploads, find_upload, no_such_upload

if TYPE_CHECKING:
    from casemate.services.s3.resources import Bucket

SMALLEST = 5 * 1024 * 1024
"""Bytes that every part but the last must have."""

LARGEST = 50 * 1024**4


def _on_overwriting(target: NamedUpload) -> NamedUpload | None:
    return target if "GetObject" in target.asks else None


@s3.CompleteMultipartUpload.writes(find_upload, Need("s3:PutObject"), Need("s3:GetObject", _on_overwriting))
def complete_multipart_upload(
    call: Call, req: s3.CompleteMultipartUploadRequest, target: NamedUpload
) -> s3.CompleteMultipartUploadOutput:
    """Make the object of an upload's parts, in the order of their numbers; those that are not named go."""
    bucket, key, upload = target.bucket, target.key, target.row
    objects, tx = call.part(Objects), call.tx
    if upload is None:
        done = objects.current(tx, bucket, key)
        if done is not None and done.about.get("Upload") == req["UploadId"]:
            # It was completed already, by a request whose answer did not arrive.
            return _answer(call, bucket, done)  # type: ignore[return-value]  # mypy knows no TypedDict that is put together
        raise no_such_upload(req["UploadId"])
    if "IfMatch" in req or "IfNoneMatch" in req:
        check_write(objects.current(tx, bucket, key), req, key)
    named: Sequence[Mapping[str, Any]] = req.get("MultipartUpload", {}).get("Parts", ())
    if not named or any("PartNumber" not in one or "ETag" not in one for one in named):
        raise malformed_xml()
    there = {part.number: part for part in objects.parts(tx, bucket, key, upload.id)}
    parts = [_part(one, there) for one in named]
    _check_order(parts)
    size = sum(part.size for part in parts)
    _check_sizes(req, parts, size)
    algorithm, kind = upload.about.get("Algorithm", DEFAULT), upload.about.get("Type", "FULL_OBJECT")
    if kind == "COMPOSITE":
        _check_named(algorithm, named)
    about: dict[str, Any] = {
        **upload.about["Object"],
        "ETag": _etag(parts),
        "Encryption": upload.about["Encryption"],
        "Checksums": {algorithm: _checksum(algorithm, kind, parts)},
        "ChecksumType": kind,
        "Parts": len(parts),
        "Upload": upload.id,
    }
    _check_whole(req, about, algorithm, kind)
    if "Lock" not in about:
        locks.lock_new(call, bucket, {}, about)
    row = replicating.add(call, bucket, key, about, size=size, body=PARTS_OF + upload.id)
    for number in there.keys() - {part.number for part in parts}:
        discard_part(tx, upload.id, number, call.now)
    call.part(Uploads).forget(tx, bucket, upload)
    created(call, bucket, row)
    return _answer(call, bucket, row)  # type: ignore[return-value]  # as above


def _answer(call: Call, bucket: Bucket, row: ObjectRow) -> dict[str, Any]:
    scheme = "http" if call.tls is None else "https"
    path = call.exchange.path.decode("latin-1")
    encryption = sealing.shown(row.about["Encryption"])
    return {
        "Location": f"{scheme}://{call.host}{path}",
        "Bucket": bucket.name,
        "Key": row.key,
        "ETag": f'"{row.etag}"',
        **told.shown_checksums(row.about),
        **told.shown_version(bucket, row),
        **expiring.shown(bucket, row),
        **{name: value for name, value in encryption.items() if not name.startswith("SSECustomer")},
    }


def _part(named: Mapping[str, Any], there: Mapping[int, PartRow]) -> PartRow:
    """The part that is meant, if it is as the request says."""
    part = there.get(named["PartNumber"])
    if part is None or named["ETag"].strip('"') != part.about["ETag"]:
        raise _invalid_part(named)
    for name, value in part.about["Checksums"].items():
        if named.get(f"Checksum{name}", value) != value:
            raise _invalid_part(named)
    return part


def _invalid_part(named: Mapping[str, Any]) -> AwsError:
    return AwsError(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag.",
        400,
        ETag=named["ETag"].strip('"'),
        PartNumber=str(named["PartNumber"]),
    )


def _check_order(parts: Sequence[PartRow]) -> None:
    for before, after in pairwise(parts):
        if before.number >= after.number:
            raise AwsError(
                "InvalidPartOrder",
                "The list of parts was not in ascending order. The parts list must be specified in order by part "
                "number.",
                400,
            )


def _check_sizes(request: Mapping[str, Any], parts: Sequence[PartRow], size: int) -> None:
    for part in parts[:-1]:
        if part.size < SMALLEST:
            raise AwsError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                400,
                ProposedSize=str(part.size),
                MinSizeAllowed=str(SMALLEST),
                PartNumber=str(part.number),
                ETag=part.about["ETag"],
            )
    expected = request.get("MpuObjectSize", size)
    if expected != size:
        raise invalid_request(
            f"The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {size}"
        )
    check_size(size, LARGEST)


def _check_named(algorithm: str, named: Sequence[Mapping[str, Any]]) -> None:
    for one in named:
        if f"Checksum{algorithm}" not in one:
            raise invalid_request(
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {one['PartNumber']} in the request."
            )


def _etag(parts: Sequence[PartRow]) -> str:
    """Of the parts' own, with their number."""
    digest = md5(b"".join([bytes.fromhex(part.about["ETag"]) for part in parts]), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(parts)}"


def _checksum(algorithm: str, kind: str, parts: Sequence[PartRow]) -> str:
    values = [b64decode(part.about["Checksums"][algorithm]) for part in parts]
    if kind == "FULL_OBJECT":
        sized = zip(values, [part.size for part in parts], strict=True)
        return shown_digest(combined(algorithm, sized))
    whole = checksum(algorithm)
    whole.update(b"".join(values))
    return f"{shown_digest(whole.digest())}-{len(parts)}"


def _check_whole(request: Mapping[str, Any], about: Mapping[str, Any], algorithm: str, kind: str) -> None:
    """What the request says of the whole's checksum."""
    given_kind = request.get("ChecksumType", kind)
    if given_kind != kind:
        raise invalid_request(
            f"The upload was created with the {kind} checksum type. The complete request must not name another."
        )
    for name in (one.removeprefix("Checksum") for one in request if one.startswith("Checksum")):
        if name == "Type":
            continue
        given = request[f"Checksum{name}"]
        computed = about["Checksums"].get(name)
        if computed is None or given not in (computed, computed.partition("-")[0]):
            raise AwsError(
                "BadDigest", f"The {name.lower()} you specified did not match the calculated checksum.", 400
            )
