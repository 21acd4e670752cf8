"""Replication configurations: which objects are copied to which buckets, by which role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import s3
from casemate.gate.operation import Need
from casemate.gate.pass_role import PassedRole, passed_role
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.naming import bucket_of_arn
from casemate.services.s3.notices import SERVICE
from casemate.services.s3.refusals import invalid_argument, invalid_request
from casemate.services.s3.replication_rules import SETTING, no_configuration, stored
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import described_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


class Replicated(NamedTuple):
    """A bucket that is to be replicated, and the role that S3 is to do it by."""

    bucket: Bucket
    role: PassedRole


def replicated_bucket(call: Call, request: Mapping[str, Any]) -> Replicated:
    """Bucket, and ReplicationConfiguration's Role."""
    bucket = described_bucket(call, request)
    return Replicated(
        bucket, passed_role(call, request["ReplicationConfiguration"]["Role"], SERVICE, bucket.arn)
    )


@s3.PutBucketReplication.writes(
    replicated_bucket,
    Need("s3:PutReplicationConfiguration", lambda target: target.bucket),
    Need("iam:PassRole", lambda target: target.role),
)
def put_bucket_replication(
    call: Call, req: s3.PutBucketReplicationRequest, target: Replicated
) -> s3.PutBucketReplicationResponse:
    """Have new objects copied to other buckets, of any Region and account, by a role that S3 is given."""
    bucket, given = target.bucket, req["ReplicationConfiguration"]
    if target.role.entry is None:
        raise invalid_argument("Invalid role specified in replication configuration", "Role", given["Role"])
    if bucket.versioning != "Enabled":
        raise invalid_request(
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
        )
    rules = stored(given["Rules"])
    for rule in rules:
        _check_destination(call, bucket, rule["Destination"])
    configuration = {"Role": given["Role"], "Rules": rules}
    call.part(Buckets).configure(call.tx, bucket, **{SETTING: configuration})
    return {}


def _check_destination(call: Call, bucket: Bucket, given: Mapping[str, Any]) -> None:
    name = bucket_of_arn(given["Bucket"])
    if name is None:
        raise invalid_argument("Invalid bucket ARN.", "Bucket", given["Bucket"])
    found = call.part(Buckets).find(call, name)
    if found is None or found.arn != given["Bucket"]:
        raise invalid_request("Destination bucket must exist.")
    if found.name == bucket.name:
        raise invalid_request("Destination bucket cannot be the same as the source bucket.")
    if found.versioning != "Enabled":
        raise invalid_request("Destination bucket must have versioning enabled.")
    if bucket.object_lock is not None and found.object_lock is None:
        raise invalid_request("Destination bucket must have Object Lock enabled.")
    if given.get("Account", found.account) != found.account:
        raise invalid_request("Destination bucket must be owned by the specified account.")


@s3.GetBucketReplication.reads(named_bucket, Need("s3:GetReplicationConfiguration"))
def get_bucket_replication(
    call: Call, req: s3.GetBucketReplicationRequest, bucket: Bucket
) -> s3.GetBucketReplicationOutput:
    """Which objects are copied to which buckets."""
    configuration = bucket.settings.get(SETTING)
    if configuration is None:
        raise no_configuration(bucket.name)
    return {"ReplicationConfiguration": configuration}


@s3.DeleteBucketReplication.writes(named_bucket, Need("s3:PutReplicationConfiguration"))
def delete_bucket_replication(
    call: Call, req: s3.DeleteBucketReplicationRequest, bucket: Bucket
) -> s3.DeleteBucketReplicationResponse:
    """Have nothing copied any more, not even what waits for it."""
    call.part(Buckets).configure(call.tx, bucket, **{SETTING: None})
    return {}
