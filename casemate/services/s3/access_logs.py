"""PutBucketLogging and GetBucketLogging: whether requests to a bucket are logged, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.services.s3 import acl_rules
from casemate.services.s3.access_delivery import plan
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import access_denied, malformed_xml, no_acls
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.PutBucketLogging.writes(configured_bucket)
def put_bucket_logging(
    call: Call, req: s3.PutBucketLoggingRequest, bucket: Bucket
) -> s3.PutBucketLoggingResponse:
    """Log requests to the bucket into objects of another bucket, or log them no more."""
    if call.account != bucket.account:
        # Whoever is allowed: it is the owner's affair.
        raise access_denied()
    buckets = call.part(Buckets)
    wanted = req["BucketLoggingStatus"].get("LoggingEnabled")
    if wanted is None:
        buckets.configure(call.tx, bucket, Logging=None)
        return {}
    target = _target(call, bucket, wanted["TargetBucket"])
    kept: dict[str, Any] = {"TargetBucket": target.name, "TargetPrefix": wanted["TargetPrefix"]}
    form = wanted.get("TargetObjectKeyFormat")
    if form is not None:
        if len(form) != 1:
            raise malformed_xml()
        kept["TargetObjectKeyFormat"] = form
    grants = wanted.get("TargetGrants")
    if grants:
        if not target.acls:
            raise no_acls()
        kept["TargetGrants"] = acl_rules.kept(acl_rules.of_grants(grants))
    plan(call.tx, buckets.configure(call.tx, bucket, Logging=kept), call.now)
    return {}


def _target(call: Call, bucket: Bucket, name: str) -> Bucket:
    """The bucket that is to take the log. Raises AwsError."""
    target = call.part(Buckets).find(call, name)
    if target is None:
        raise _invalid("The target bucket for logging does not exist", name)
    if target.account != bucket.account:
        raise _invalid("The owner for the bucket to be logged and the target bucket must be the same.", name)
    if target.region != bucket.region:
        raise AwsError(
            "CrossLocationLoggingProhibitted",
            "Cross S3 location logging not allowed.",
            403,
            SourceBucketLocation=bucket.region,
            TargetBucketLocation=target.region,
        )
    if target.requester_pays:
        raise _invalid("Requesters pay for the target bucket for logging.", name)
    if target.object_lock is not None and "Rule" in target.object_lock:
        raise _invalid("The target bucket for logging has a default retention period.", name)
    if target.acls and "Policy" not in target.settings:
        # No policy can let S3 deliver: the list must.
        held = {grant.permission for grant in target.acl if grant.grantee == acl_rules.LOG_DELIVERY}
        if not held & {"FULL_CONTROL"} and not held >= {"WRITE", "READ_ACP"}:
            raise _invalid(
                "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket",
                name,
            )
    return target


def _invalid(text: str, name: str) -> AwsError:
    return AwsError("InvalidTargetBucketForLogging", text, 400, TargetBucket=name)


@s3.GetBucketLogging.reads(named_bucket)
def get_bucket_logging(
    call: Call, req: s3.GetBucketLoggingRequest, bucket: Bucket
) -> s3.GetBucketLoggingOutput:
    """Where requests to the bucket are logged; nothing where they are not."""
    kept: Mapping[str, Any] | None = bucket.settings.get("Logging")
    if kept is None:
        return {}
    shown = dict(kept)
    if "TargetGrants" in kept:
        shown["TargetGrants"] = acl_rules.shown(acl_rules.opened(kept["TargetGrants"]))
    return {"LoggingEnabled": shown}  # type: ignore[typeddict-item]  # as it was put
