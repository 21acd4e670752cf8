"""DeleteObject and DeleteObjects: a delete marker where there is versioning, else for good, as named versions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate import audit
from casemate.gate.authorise import decide, denied
from casemate.gate.operation import Need
from casemate.services.s3 import about as told
from casemate.services.s3 import locks, replicating
from casemate.services.s3.conditional import failed, lists
from casemate.services.s3.happenings import hidden, removed
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import NamedObject, find_object, named_object, needs_of, no_such_key
from casemate.services.s3.refusals import malformed_xml, not_supported
from casemate.services.s3.resources import Bucket, Object
from casemate.services.s3.targets import described_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 1000


@s3.DeleteObject.writes(named_object, *needs_of("s3:DeleteObject", "s3:DeleteObjectVersion"), near=True)
def delete_object(call: Call, req: s3.DeleteObjectRequest, target: NamedObject) -> s3.DeleteObjectOutput:
    """Remove an object or, in a bucket with versioning, hide it behind a delete marker; or remove a named version."""
    if "IfMatchLastModifiedTime" in req or "IfMatchSize" in req:
        raise not_supported("A condition on time or size, which is for directory buckets,")
    return delete(  # type: ignore[return-value]  # mypy knows no TypedDict that is put together
        call, target, req.get("IfMatch"), bool(req.get("BypassGovernanceRetention"))
    )


def _each_by_itself(_bucket: Bucket) -> None:
    """Every object is decided about in the handler: what one may not remove does not keep others."""


@s3.DeleteObjects.writes(described_bucket, Need("s3:DeleteObject", _each_by_itself))
def delete_objects(call: Call, req: s3.DeleteObjectsRequest, bucket: Bucket) -> s3.DeleteObjectsOutput:
    """Remove up to 1,000 objects or versions; each is told of, unless it is gone and that was not to be told."""
    wanted = req["Delete"]["Objects"]
    if not 0 < len(wanted) <= _MOST:
        raise malformed_xml()
    call.resources = (bucket,)
    deleted: list[s3.DeletedObject] = []
    errors: list[s3.Error] = []
    records: list[bytes] = []
    for one in wanted:
        named: dict[str, Any] = {"Key": one["Key"]}
        if "VersionId" in one:
            named["VersionId"] = one["VersionId"]
        try:
            done = _delete_one(call, bucket, one, bool(req.get("BypassGovernanceRetention")))
        except AwsError as refusal:
            if refusal.status >= 500 and refusal.code != "NotImplemented":
                raise
            records += _recorded(call, bucket, one, refusal)
            errors.append({**named, "Code": refusal.code, "Message": refusal.message})  # type: ignore[typeddict-item]  # as above
            continue
        records += _recorded(call, bucket, one, None)
        if done.get("DeleteMarker"):
            named["DeleteMarker"] = True
            named["DeleteMarkerVersionId"] = done["VersionId"]
        deleted.append(named)  # type: ignore[arg-type]  # as above
    call.records = [*call.records, *records]
    answer: s3.DeleteObjectsOutput = {}
    if deleted and not req["Delete"].get("Quiet"):
        answer["Deleted"] = deleted
    if errors:
        answer["Errors"] = errors
    return answer


def _recorded(
    call: Call, bucket: Bucket, one: Mapping[str, Any], refusal: AwsError | None
) -> Sequence[bytes]:
    """The audit's records of one of the objects, beside those of the whole call, as CloudTrail has them."""
    parameters = {"bucketName": bucket.name, "key": one["Key"]}
    if "VersionId" in one:
        parameters["versionId"] = one["VersionId"]
    return audit.of_part(call, "DeleteObject", Object(bucket, one["Key"]), parameters, refusal)


def _delete_one(call: Call, bucket: Bucket, one: Mapping[str, Any], bypass: bool) -> dict[str, Any]:
    if "LastModifiedTime" in one or "Size" in one:
        raise not_supported("A condition on time or size, which is for directory buckets,")
    target = find_object(call, bucket, one["Key"], one.get("VersionId"))
    action = "s3:DeleteObjectVersion" if target.named else "s3:DeleteObject"
    decision = decide(call, action, target, one)
    if not decision.allowed:
        raise denied(call, action, target, decision)
    return delete(call, target, one.get("ETag"), bypass)


def delete(call: Call, target: NamedObject, match: str | None, bypass: bool) -> dict[str, Any]:
    """Do it, and tell what was done: VersionId, DeleteMarker. match: the ETag it must have, if given; bypass:
    governance is to be passed over. Raises AwsError."""
    objects, bucket, row = call.part(Objects), target.bucket, target.row
    if match is not None:
        if row is None or row.marker:
            raise no_such_key(target.key)
        if not lists(match, row.etag):
            raise failed("If-Match")
    if target.named:
        if row is None:
            return {}
        locks.check_removal(call, target, row.about, bypass)
        objects.remove(call.tx, bucket, row, call.now)
        removed(call, bucket, row)
        return {"VersionId": row.version_id, **({"DeleteMarker": True} if row.marker else {})}
    if not bucket.versioning:
        if row is not None:
            objects.remove(call.tx, bucket, row, call.now)
            removed(call, bucket, row)
        return {}
    marker: ObjectRow = replicating.add(call, bucket, target.key, {}, marker=True)
    hidden(call, bucket, marker)
    return {"DeleteMarker": True, **told.shown_version(bucket, marker)}
