"""Notification configurations: who is told of what happens to objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import not_supported
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_OTHERS = {
    "TopicConfigurations": "topics",
    "QueueConfigurations": "queues",
    "LambdaFunctionConfigurations": "functions",
}


@s3.PutBucketNotificationConfiguration.writes(configured_bucket, Need("s3:PutBucketNotification"))
def put_bucket_notification_configuration(
    call: Call, req: s3.PutBucketNotificationConfigurationRequest, bucket: Bucket
) -> s3.PutBucketNotificationConfigurationResponse:
    """Tell EventBridge of what happens to the bucket's objects, or nobody."""
    given = req["NotificationConfiguration"]
    for name, what in _OTHERS.items():
        if given.get(name):
            raise not_supported(f"Notification of {what}, other than by EventBridge,")
    told: dict[str, Any] | None = {"EventBridge": {}} if "EventBridgeConfiguration" in given else None
    call.part(Buckets).configure(call.tx, bucket, Notification=told)
    return {}


@s3.GetBucketNotificationConfiguration.reads(named_bucket, Need("s3:GetBucketNotification"))
def get_bucket_notification_configuration(
    call: Call, req: s3.GetBucketNotificationConfigurationRequest, bucket: Bucket
) -> s3.NotificationConfiguration:
    """Who is told of what happens to the bucket's objects."""
    told = bucket.settings.get("Notification", ())
    return {"EventBridgeConfiguration": {}} if "EventBridge" in told else {}
