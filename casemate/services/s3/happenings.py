"""What happens to objects, told to EventBridge where a bucket is configured so, in the transaction of the change.
Source: "Using EventBridge", "EventBridge event message structure".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.gate.announcing import Announcer, ServiceEvent, announce
from casemate.services.s3.object_rows import ObjectRow
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Tx

_SOURCE = "aws.s3"
_ALL_ONES = (1 << 128) - 1
_REASONS: Mapping[str, str] = {"PostObject": "POST Object"}
"""Of operations whose own name is not the reason."""


def _told(bucket: Bucket) -> bool:
    return "EventBridge" in bucket.settings.get("Notification", ())


def created(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object was made, or another version of it."""
    if not _told(bucket):
        return
    assert call.route is not None
    name = call.route.operation.name
    about = {"size": row.size, "etag": row.etag}
    _tell(call, "Object Created", bucket, row, about, {"reason": _REASONS.get(name, name)})


def removed(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """A version, or an object without versions, is gone for good; or it was hidden: row is the delete marker then."""
    if not _told(bucket):
        return
    more = {"reason": "DeleteObject", "deletion-type": _PERMANENTLY}
    _tell(call, "Object Deleted", bucket, row, {"etag": row.etag} if row.etag else {}, more, _now())


def hidden(call: Call, bucket: Bucket, marker: ObjectRow) -> None:
    """An object got a delete marker."""
    if _told(bucket):
        _tell(
            call, "Object Deleted", bucket, marker, {}, {"reason": "DeleteObject", "deletion-type": _HIDDEN}
        )


def tagged(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object's tags are others now, or none."""
    if not _told(bucket):
        return
    name = "Object Tags Added" if row.tags else "Object Tags Deleted"
    detail = _detail(bucket, row, {"etag": row.etag}, "")
    _announce(call, name, bucket, detail)


def expired(announcer: Announcer, tx: Tx, bucket: Bucket, row: ObjectRow, now: float) -> None:
    """A lifecycle rule removed a version, or hid an object behind a delete marker, which row is then."""
    if not _told(bucket):
        return
    made = row.marker and row.modified == now
    detail = {
        **_detail(bucket, row, {}, _sequence(row) if made else _now()),
        "request-id": new_id(),
        "requester": "s3.amazonaws.com",
        "reason": "Lifecycle Expiration",
        "deletion-type": _HIDDEN if made else _PERMANENTLY,
    }
    announcer.announce(
        tx, ServiceEvent(_SOURCE, "Object Deleted", detail, [bucket.arn], bucket.account, bucket.region, now)
    )


_PERMANENTLY, _HIDDEN = "Permanently Deleted", "Delete Marker Created"


def _sequence(row: ObjectRow) -> str:
    """What orders what happens to a key: versions count down."""
    return f"{(_ALL_ONES - int(row.version, 16)) >> 64:016X}"


def _now() -> str:
    return f"{int(new_id(), 16) >> 64:016X}"


def _detail(bucket: Bucket, row: ObjectRow, about: Mapping[str, Any], sequencer: str) -> dict[str, Any]:
    shown = {"key": row.key, **about}
    if bucket.versioning:
        shown["version-id"] = row.version_id
    if sequencer:
        shown["sequencer"] = sequencer
    return {"version": "0", "bucket": {"name": bucket.name}, "object": shown}


def _tell(
    call: Call,
    name: str,
    bucket: Bucket,
    row: ObjectRow,
    about: Mapping[str, Any],
    more: Mapping[str, Any],
    sequencer: str = "",
) -> None:
    detail = _detail(bucket, row, about, sequencer or _sequence(row))
    _announce(call, name, bucket, {**detail, **more})


def _announce(call: Call, name: str, bucket: Bucket, detail: Mapping[str, Any]) -> None:
    by = {
        "request-id": call.request_id,
        "requester": call.account or "anonymous",
        "source-ip-address": call.source_ip,
    }
    announce(
        call,
        _SOURCE,
        name,
        {**detail, **by},
        resources=[bucket.arn],
        account=bucket.account,
        region=bucket.region,
    )
