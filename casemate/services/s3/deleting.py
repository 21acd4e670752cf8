"""DeleteObject and DeleteObjects: a delete marker where there is versioning, else for good, as named versions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.services.s3 import about as told
from casemate.services.s3.conditional import failed, lists
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import NamedObject, named_object, needs_of, no_such_key

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.DeleteObject.writes(named_object, *needs_of("s3:DeleteObject", "s3:DeleteObjectVersion"))
def delete_object(call: Call, req: s3.DeleteObjectRequest, target: NamedObject) -> s3.DeleteObjectOutput:
    """Remove an object or, in a bucket with versioning, hide it behind a delete marker; or remove a named version."""
    match = req.get("IfMatch")
    if match is not None:
        if target.row is None or target.row.marker:
            raise no_such_key(target.key)
        if not lists(match, target.row.etag):
            raise failed("If-Match")
    return delete(call, target, req)  # type: ignore[return-value]  # mypy knows no TypedDict that is put together


def delete(call: Call, target: NamedObject, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do it, and tell what was done: VersionId, DeleteMarker. Raises AwsError for a version that is locked."""
    objects, bucket, row = call.part(Objects), target.bucket, target.row
    if target.named:
        if row is None:
            return {"VersionId": request["VersionId"]}
        objects.remove(call.tx, bucket, row, call.now)
        return {"VersionId": row.version_id, **({"DeleteMarker": True} if row.marker else {})}
    if not bucket.versioning:
        if row is not None:
            objects.remove(call.tx, bucket, row, call.now)
        return {}
    marker: ObjectRow = objects.add(call.tx, bucket, target.key, call.now, {}, marker=True)
    return {"DeleteMarker": True, **told.shown_version(bucket, marker)}
