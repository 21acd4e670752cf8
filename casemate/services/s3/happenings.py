"""What happens to objects, told in the transaction of the change to whom a bucket is configured to tell: EventBridge,
and topics, queues and functions. Source: "Amazon S3 Event Notifications", "EventBridge event message structure".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.gate.announcing import Announcer, ServiceEvent
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.notices import Notice, give_notice
from casemate.services.s3.object_rows import ObjectRow
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Tx

_ALL_ONES = (1 << 128) - 1
_CREATED: Mapping[str, tuple[str, str]] = {
    "PutObject": ("Put", "PutObject"),
    "PostObject": ("Post", "POST Object"),
    "CopyObject": ("Copy", "CopyObject"),
    "CompleteMultipartUpload": ("CompleteMultipartUpload", "CompleteMultipartUpload"),
}
"""How events call an object's making, and EventBridge's reason."""
_PERMANENTLY, _HIDDEN = "Permanently Deleted", "Delete Marker Created"


class Cause(NamedTuple):
    """Who made it happen, and where from. principal: the unique id."""

    request_id: str
    requester: str
    principal: str
    source_ip: str


def created(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object was made, or another version of it."""
    if "Notification" not in bucket.settings:
        return
    assert call.route is not None
    way, reason = _CREATED[call.route.operation.name]
    about = {"size": row.size, "etag": row.etag}
    _tell(
        call, bucket, row, f"ObjectCreated:{way}", "Object Created", about, {"reason": reason}, _sequence(row)
    )


def removed(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """A version, or an object without versions, is gone for good."""
    if "Notification" not in bucket.settings:
        return
    more = {"reason": "DeleteObject", "deletion-type": _PERMANENTLY}
    about = {"etag": row.etag} if row.etag else {}
    _tell(call, bucket, row, "ObjectRemoved:Delete", "Object Deleted", about, more, _now())


def hidden(call: Call, bucket: Bucket, marker: ObjectRow) -> None:
    """An object got a delete marker."""
    if "Notification" not in bucket.settings:
        return
    more = {"reason": "DeleteObject", "deletion-type": _HIDDEN}
    name = "ObjectRemoved:DeleteMarkerCreated"
    _tell(call, bucket, marker, name, "Object Deleted", {}, more, _sequence(marker))


def tagged(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object's tags are others now, or none."""
    if "Notification" not in bucket.settings:
        return
    name, shown = ("Put", "Added") if row.tags else ("Delete", "Deleted")
    _tell(call, bucket, row, f"ObjectTagging:{name}", f"Object Tags {shown}", {"etag": row.etag}, {}, "")


def acl_changed(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object's access control list is another one now."""
    if "Notification" not in bucket.settings:
        return
    _tell(call, bucket, row, "ObjectAcl:Put", "Object ACL Updated", {"etag": row.etag}, {}, "")


def expired(
    announcer: Announcer, tx: Tx, buckets: Buckets, bucket: Bucket, row: ObjectRow, now: float
) -> None:
    """A lifecycle rule removed a version, or hid an object behind a delete marker, which row is then."""
    if "Notification" not in bucket.settings:
        return
    made = row.marker and row.modified == now
    more = {"reason": "Lifecycle Expiration", "deletion-type": _HIDDEN if made else _PERMANENTLY}
    name = f"LifecycleExpiration:{'DeleteMarkerCreated' if made else 'Delete'}"
    cause = Cause(new_id(), "s3.amazonaws.com", "s3.amazonaws.com", "s3.amazonaws.com")
    sequencer = _sequence(row) if made else _now()
    _spread(announcer, tx, buckets, bucket, row, name, "Object Deleted", {}, more, sequencer, cause, now)


def _sequence(row: ObjectRow) -> str:
    """What orders what happens to a key: versions count down."""
    return f"{(_ALL_ONES - int(row.version, 16)) >> 64:016X}"


def _now() -> str:
    return f"{int(new_id(), 16) >> 64:016X}"


def _tell(
    call: Call,
    bucket: Bucket,
    row: ObjectRow,
    name: str,
    title: str,
    about: Mapping[str, Any],
    more: Mapping[str, Any],
    sequencer: str,
) -> None:
    principal = call.identity.principal
    who = f"AWS:{principal.id}" if principal.id else principal.kind.capitalize()
    cause = Cause(call.request_id, call.account or "anonymous", who, call.source_ip)
    buckets = call.part(Buckets)
    _spread(
        *(call.gate.announcer, call.tx, buckets, bucket, row, name, title),
        *(about, more, sequencer, cause, call.now),
    )


def _spread(
    announcer: Announcer,
    tx: Tx,
    buckets: Buckets,
    bucket: Bucket,
    row: ObjectRow,
    name: str,
    title: str,
    about: Mapping[str, Any],
    more: Mapping[str, Any],
    sequencer: str,
    cause: Cause,
    now: float,
) -> None:
    """name: of the event as notifications have it; title: as EventBridge has it."""
    told = bucket.settings["Notification"]
    version = row.version_id if bucket.versioning else ""
    if "EventBridge" in told:
        shown = {"key": row.key, **about}
        if version:
            shown["version-id"] = version
        if sequencer:
            shown["sequencer"] = sequencer
        detail = {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": shown,
            "request-id": cause.request_id,
            "requester": cause.requester,
            "source-ip-address": cause.source_ip,
            **more,
        }
        announcer.announce(
            tx, ServiceEvent("aws.s3", title, detail, [bucket.arn], bucket.account, bucket.region, now)
        )
    if told.get("Configurations"):
        notice = Notice(name, row.key, about, version, sequencer, cause, now)
        give_notice(tx, buckets, bucket, notice)
