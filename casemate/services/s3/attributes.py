"""GetObjectAttributes: what is told of an object and its parts, without its content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.services.s3 import about as told
from casemate.services.s3 import sealing
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import NamedObject, named_object, needs_of_owner, readable

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 1000


@s3.GetObjectAttributes.reads(
    named_object,
    *needs_of_owner("s3:GetObject", "s3:GetObjectVersion"),
    *needs_of_owner("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
)
def get_object_attributes(
    call: Call, req: s3.GetObjectAttributesRequest, target: NamedObject
) -> s3.GetObjectAttributesOutput:
    """Those of an object's attributes that are asked for: ETag, checksum, parts, storage class, size."""
    row = readable(call, target)
    kept = row.about["Encryption"]
    if kept["A"] == sealing.CUSTOMER_KEYS or "SSECustomerAlgorithm" in req:
        sealing.opened(call, target.bucket, target.key, kept, req)
    answer: dict[str, Any] = {
        "LastModified": told.moment(row.modified),
        **told.shown_version(target.bucket, row),
    }
    asked = req["ObjectAttributes"]
    if "ETag" in asked:
        answer["ETag"] = row.etag
    checksums = told.shown_checksums(row.about)
    if "Checksum" in asked and checksums:
        answer["Checksum"] = checksums
    if "ObjectParts" in asked and "Parts" in row.about:
        answer["ObjectParts"] = _parts(call, req, target, row)
    if "StorageClass" in asked:
        answer["StorageClass"] = row.about.get("StorageClass", "STANDARD")
    if "ObjectSize" in asked:
        answer["ObjectSize"] = row.size
    return answer  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


def _parts(call: Call, request: Mapping[str, Any], target: NamedObject, row: ObjectRow) -> dict[str, Any]:
    answer: dict[str, Any] = {"TotalPartsCount": row.about["Parts"]}
    if row.about.get("ChecksumType") != "COMPOSITE":
        # Source: "GetObjectAttributes": parts are told of uploads with checksums of their own.
        return answer
    most = min(request.get("MaxParts", _MOST), _MOST)
    after = request.get("PartNumberMarker", 0)
    found = call.part(Objects).parts(call.tx, target.bucket, target.key, row.holder, after, most + 1)
    listed = found[:most]
    answer |= {
        "PartNumberMarker": after,
        "MaxParts": most,
        "IsTruncated": len(found) > most,
        "NextPartNumberMarker": listed[-1].number if listed else 0,
        "Parts": [
            {
                "PartNumber": part.number,
                "Size": part.size,
                **{f"Checksum{name}": value for name, value in part.about.get("Checksums", {}).items()},
            }
            for part in listed
        ],
    }
    return answer
