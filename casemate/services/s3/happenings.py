"""What happens to objects, told in the transaction of the change to whom a bucket is configured to tell: EventBridge,
and topics, queues and functions. Source: "Amazon S3 Event Notifications", "EventBridge event message structure".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.gate.announcing import Announcer, ServiceEvent
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.notices import Notice, give_notice, iso
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
_S3 = "s3.amazonaws.com"
_PERMANENTLY, _HIDDEN = "Permanently Deleted", "Delete Marker Created"


class Cause(NamedTuple):
    """Who made it happen, and where from. principal: the unique id."""

    request_id: str
    requester: str
    principal: str
    source_ip: str


class Happening(NamedTuple):
    """name: as notifications have it ("ObjectCreated:Put"); title: as EventBridge has it, '' of what it is not told;
    about: of the object: size, etag; more: of EventBridge's detail; sequencer: '' where there is none; extra: what
    notifications have besides, by the member's name."""

    name: str
    title: str
    about: Mapping[str, Any] = {}
    more: Mapping[str, Any] = {}
    sequencer: str = ""
    extra: Mapping[str, Any] = {}


def created(call: Call, bucket: Bucket, row: ObjectRow, operation: str = "") -> None:
    """An object was made, or another version of it. operation: how, the call's own unless given."""
    if "Notification" not in bucket.settings:
        return
    if not operation:
        assert call.route is not None
        operation = call.route.operation.name
    way, reason = _CREATED[operation]
    about = {"size": row.size, "etag": row.etag}
    _tell(
        call,
        bucket,
        row,
        Happening(f"ObjectCreated:{way}", "Object Created", about, {"reason": reason}, _sequence(row)),
    )


def removed(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """A version, or an object without versions, is gone for good."""
    if "Notification" not in bucket.settings:
        return
    more = {"reason": "DeleteObject", "deletion-type": _PERMANENTLY}
    about = {"etag": row.etag} if row.etag else {}
    _tell(call, bucket, row, Happening("ObjectRemoved:Delete", "Object Deleted", about, more, _now()))


def hidden(call: Call, bucket: Bucket, marker: ObjectRow) -> None:
    """An object got a delete marker."""
    if "Notification" not in bucket.settings:
        return
    more = {"reason": "DeleteObject", "deletion-type": _HIDDEN}
    name = "ObjectRemoved:DeleteMarkerCreated"
    _tell(call, bucket, marker, Happening(name, "Object Deleted", {}, more, _sequence(marker)))


def tagged(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object's tags are others now, or none."""
    if "Notification" not in bucket.settings:
        return
    name, shown = ("Put", "Added") if row.tags else ("Delete", "Deleted")
    about = {"etag": row.etag}
    _tell(call, bucket, row, Happening(f"ObjectTagging:{name}", f"Object Tags {shown}", about))


def acl_changed(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An object's access control list is another one now."""
    if "Notification" not in bucket.settings:
        return
    happening = Happening("ObjectAcl:Put", "Object ACL Updated", {"etag": row.etag})
    _tell(call, bucket, row, happening)


def expired(
    announcer: Announcer, tx: Tx, buckets: Buckets, bucket: Bucket, row: ObjectRow, now: float
) -> None:
    """A lifecycle rule removed a version, or hid an object behind a delete marker, which row is then."""
    made = row.marker and row.modified == now
    more = {"reason": "Lifecycle Expiration", "deletion-type": _HIDDEN if made else _PERMANENTLY}
    name = f"LifecycleExpiration:{'DeleteMarkerCreated' if made else 'Delete'}"
    sequencer = _sequence(row) if made else _now()
    by_itself(
        announcer,
        tx,
        buckets,
        bucket,
        row,
        Happening(name, "Object Deleted", {}, more, sequencer),
        now,
    )


def transitioned(
    announcer: Announcer, tx: Tx, buckets: Buckets, bucket: Bucket, row: ObjectRow, now: float
) -> None:
    """A lifecycle rule brought a version into another storage class."""
    to = row.about["StorageClass"]
    happening = Happening(
        "LifecycleTransition",
        "Object Storage Class Changed",
        {"size": row.size, "etag": row.etag},
        {"destination-storage-class": to},
        _now(),
        {"lifecycleEventData": {"transitionEventData": {"destinationStorageClass": to}}},
    )
    by_itself(announcer, tx, buckets, bucket, row, happening, now)


def restore_begun(call: Call, bucket: Bucket, row: ObjectRow) -> None:
    """An archived version is to be restored."""
    if "Notification" not in bucket.settings:
        return
    about = {"size": row.size, "etag": row.etag}
    more = {"source-storage-class": row.about["StorageClass"]}
    happening = Happening("ObjectRestore:Post", "Object Restore Initiated", about, more, _now())
    _tell(call, bucket, row, happening)


def restored(
    announcer: Announcer,
    tx: Tx,
    buckets: Buckets,
    bucket: Bucket,
    row: ObjectRow,
    now: float,
    *,
    over: bool = False,
) -> None:
    """An archived version is there again; over: it no longer is."""
    about = {"size": row.size, "etag": row.etag}
    more = {"source-storage-class": row.about["StorageClass"]}
    if over:
        happening = Happening("ObjectRestore:Delete", "Object Restore Expired", about, more, _now())
    else:
        until = iso(row.about["Restore"]["Until"])
        data = {
            "lifecycleRestorationExpiryTime": until,
            "lifecycleRestoreStorageClass": row.about["StorageClass"],
        }
        happening = Happening(
            "ObjectRestore:Completed",
            "Object Restore Completed",
            about,
            {**more, "restore-expiry-time": until},
            _now(),
            {"glacierEventData": {"restoreEventData": data}},
        )
    by_itself(announcer, tx, buckets, bucket, row, happening, now)


def replication_told(call: Call, bucket: Bucket, row: ObjectRow, name: str, data: Mapping[str, Any]) -> None:
    """How a replication went. Source: "Receiving replication failure events with Amazon S3 Event Notifications"."""
    happening = Happening(
        f"Replication:{name}",
        "",
        {"size": row.size, "etag": row.etag} if row.etag else {},
        extra={"replicationEventData": data},
    )
    by_itself(call.gate.announcer, call.tx, call.part(Buckets), bucket, row, happening, call.now)


def by_itself(
    announcer: Announcer,
    tx: Tx,
    buckets: Buckets,
    bucket: Bucket,
    row: ObjectRow,
    happening: Happening,
    now: float,
) -> None:
    """Something that S3 did by itself."""
    if "Notification" not in bucket.settings:
        return
    cause = Cause(new_id(), _S3, _S3, _S3)
    _spread(announcer, tx, buckets, bucket, row, happening, cause, now)


def _sequence(row: ObjectRow) -> str:
    """What orders what happens to a key: versions count down."""
    return f"{(_ALL_ONES - int(row.version, 16)) >> 64:016X}"


def _now() -> str:
    return f"{int(new_id(), 16) >> 64:016X}"


def _tell(call: Call, bucket: Bucket, row: ObjectRow, happening: Happening) -> None:
    principal = call.identity.principal
    who = f"AWS:{principal.id}" if principal.id else principal.kind.capitalize()
    cause = Cause(call.request_id, call.account or "anonymous", who, call.source_ip)
    buckets = call.part(Buckets)
    _spread(call.gate.announcer, call.tx, buckets, bucket, row, happening, cause, call.now)


def _spread(
    announcer: Announcer,
    tx: Tx,
    buckets: Buckets,
    bucket: Bucket,
    row: ObjectRow,
    happening: Happening,
    cause: Cause,
    now: float,
) -> None:
    told = bucket.settings["Notification"]
    version = row.version_id if bucket.versioning else ""
    if "EventBridge" in told and happening.title:
        shown = {"key": row.key, **happening.about}
        if version:
            shown["version-id"] = version
        if happening.sequencer:
            shown["sequencer"] = happening.sequencer
        detail = {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": shown,
            "request-id": cause.request_id,
            "requester": cause.requester,
            "source-ip-address": cause.source_ip,
            **happening.more,
        }
        event = ServiceEvent(
            "aws.s3", happening.title, detail, [bucket.arn], bucket.account, bucket.region, now
        )
        announcer.announce(tx, event)
    if told.get("Configurations"):
        notice = Notice(
            happening.name,
            row.key,
            happening.about,
            version,
            happening.sequencer,
            cause,
            now,
            happening.extra,
        )
        give_notice(tx, buckets, bucket, notice)
