"""ListParts and ListMultipartUploads: what uploads are under way, and what has come of one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import s3
from casemate.engine.envelope.errors import Tampered
from casemate.gate.operation import Need
from casemate.services.s3 import about as told
from casemate.services.s3.acl_rules import canonical
from casemate.services.s3.listing_objects import encoded
from casemate.services.s3.object_rows import Objects
from casemate.services.s3.object_targets import owner_of
from casemate.services.s3.refusals import invalid_argument, log_tampered
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import named_bucket
from casemate.services.s3.upload_rows import NamedUpload, UploadRow, Uploads, named_upload
from casemate.services.s3.walking import Place, behind, common_prefix, walk

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 1000


@s3.ListParts.reads(named_upload, Need("s3:ListMultipartUploadParts"))
def list_parts(call: Call, req: s3.ListPartsRequest, target: NamedUpload) -> s3.ListPartsOutput:
    """The parts that have come of an upload, by number."""
    upload, bucket = target.upload, target.bucket
    most = min(req.get("MaxParts", _MOST), _MOST)
    after = req.get("PartNumberMarker", 0)
    if most < 0 or after < 0:
        raise invalid_argument("Argument max-parts must be an integer between 0 and 2147483647", "max-parts")
    try:
        found = call.part(Objects).parts(call.tx, bucket, target.key, upload.id, after, most + 1)
    except Tampered as error:
        raise log_tampered(f"upload {upload.id}", error) from error
    listed = found[:most]
    answer: dict[str, Any] = {
        "Bucket": bucket.name,
        "Key": target.key,
        "UploadId": upload.id,
        "PartNumberMarker": after,
        "NextPartNumberMarker": listed[-1].number if listed else 0,
        "MaxParts": most,
        "IsTruncated": len(found) > most,
        "Parts": [
            {
                "PartNumber": part.number,
                "LastModified": told.moment(part.about["Modified"]),
                "ETag": f'"{part.about["ETag"]}"',
                "Size": part.size,
                **{f"Checksum{name}": value for name, value in part.about["Checksums"].items()},
            }
            for part in listed
        ],
        **_shown(bucket, upload),
    }
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


def _shown(bucket: Bucket, upload: UploadRow) -> dict[str, Any]:
    """What both operations tell of an upload."""
    shown: dict[str, Any] = {
        "Initiator": {"ID": upload.about["Initiator"]},
        "Owner": {"ID": canonical(owner_of(bucket, upload.about["Object"]))},
        "StorageClass": upload.about["Object"].get("StorageClass", "STANDARD"),
    }
    if "Algorithm" in upload.about:
        shown |= {"ChecksumAlgorithm": upload.about["Algorithm"], "ChecksumType": upload.about["Type"]}
    return shown


class _Found(NamedTuple):
    """A row that is not opened yet."""

    key: str
    version: str
    columns: tuple[Any, ...]


@s3.ListMultipartUploads.reads(named_bucket, Need("s3:ListBucketMultipartUploads"))
def list_multipart_uploads(
    call: Call, req: s3.ListMultipartUploadsRequest, bucket: Bucket
) -> s3.ListMultipartUploadsOutput:
    """The uploads that are under way, by key and, of one key, by their beginning."""
    most = req.get("MaxUploads", _MOST)
    if not 0 <= most <= 2**31 - 1:
        raise invalid_argument(
            "Argument max-uploads must be an integer between 0 and 2147483647", "max-uploads"
        )
    most = min(most, _MOST)
    prefix, delimiter = req.get("Prefix", ""), req.get("Delimiter", "")
    marker, upload_marker = req.get("KeyMarker", ""), req.get("UploadIdMarker", "")
    tx = call.tx

    def fetch(place: Place, limit: int) -> list[_Found]:
        key = place.key.encode()
        where = "key >= ?"
        parameters: list[bytes | str] = [key]
        if place.version:
            where, parameters = "(key > ? OR (key = ? AND id > ?))", [key, key, place.version]
        rows = tx.all(
            f"SELECT key, id, started, sealed FROM s3_uploads WHERE bucket = ? AND {where} ORDER BY key, id LIMIT ?",
            (bucket.id, *parameters, limit),
        )
        return [_Found(bytes(columns[0]).decode(), columns[1], columns) for columns in rows]

    rolled = bool(marker) and marker.startswith(prefix) and common_prefix(marker, prefix, delimiter) == marker
    start = Place("")
    if marker and not rolled:
        start = Place(marker, upload_marker) if upload_marker else behind(marker)
    entries = walk(fetch, start=start, prefix=prefix, delimiter=delimiter, passed=marker if rolled else "")
    found = list(islice(entries, most + 1)) if most else []
    page = found[:most]
    shown = encoded if req.get("EncodingType") == "url" else str
    answer: dict[str, Any] = {
        "Bucket": bucket.name,
        "KeyMarker": shown(marker),
        "UploadIdMarker": upload_marker,
        "MaxUploads": most,
        "IsTruncated": len(found) > most,
        "Uploads": [_entry(call, bucket, entry.row, shown) for entry in page if entry.row is not None],
    }
    if "Prefix" in req:
        answer["Prefix"] = shown(req["Prefix"])
    if "Delimiter" in req:
        answer["Delimiter"] = shown(req["Delimiter"])
    if "EncodingType" in req:
        answer["EncodingType"] = req["EncodingType"]
    prefixes = [{"Prefix": shown(entry.name)} for entry in page if entry.row is None]
    if prefixes:
        answer["CommonPrefixes"] = prefixes
    if len(found) > most:
        last = page[-1]
        answer["NextKeyMarker"] = shown(last.name)
        if last.row is not None:
            answer["NextUploadIdMarker"] = last.row.version
    return answer  # type: ignore[return-value]  # as above


def _entry(call: Call, bucket: Bucket, row: _Found, shown: Any) -> dict[str, Any]:
    try:
        upload = call.part(Uploads).opened(call.tx, bucket, row.columns)
    except Tampered as error:
        raise log_tampered(f"upload {row.version}", error) from error
    return {
        "UploadId": upload.id,
        "Key": shown(upload.key),
        "Initiated": told.moment(upload.started),
        **_shown(bucket, upload),
    }
