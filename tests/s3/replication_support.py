"""Buckets that are replicated, and roles to do it by."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

from s3_support import ACCOUNT, REGION, S3, allow
from server_support import casemate

FROM = (
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionAcl",
    "s3:GetObjectVersionTagging",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
)
TO = ("s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags", "s3:ObjectOwnerOverrideToBucketOwner")
WAIT = 30.0


def versioned(s3: S3, region: str = REGION, user: str = "admin", **more: Any) -> str:
    """A new bucket that keeps versions, of that user's account."""
    name = f"b-{uuid4().hex}"
    client = s3.of(user, region)
    if region != "us-east-1":
        more["CreateBucketConfiguration"] = {"LocationConstraint": region}
    client.create_bucket(Bucket=name, **more)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def role(s3: S3, *statements: dict[str, Any], service: str = "s3.amazonaws.com") -> str:
    """A new role that the service may assume; its ARN."""
    iam, name = s3.of(service="iam"), f"r-{uuid4().hex}"
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": trust}
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    if statements:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(document))
    return arn


def usual_role(s3: S3, *more: dict[str, Any]) -> str:
    return role(s3, allow(*FROM, *TO), *more)


def rule(to: str, **more: Any) -> dict[str, Any]:
    """A rule of the present schema. Destination: what it has besides the bucket."""
    made = {
        "ID": f"to {to[:20]}",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {},
        "DeleteMarkerReplication": {"Status": "Enabled"},
        **more,
    }
    made["Destination"] = {"Bucket": f"arn:aws:s3:::{to}", **more.get("Destination", {})}
    return {name: value for name, value in made.items() if value is not None}


def replicate(s3: S3, bucket: str, arn: str, *rules: dict[str, Any], region: str = REGION) -> None:
    s3.of(region=region).put_bucket_replication(
        Bucket=bucket, ReplicationConfiguration={"Role": arn, "Rules": list(rules)}
    )


def pair(s3: S3, region: str = REGION, **more: Any) -> tuple[str, str]:
    """Two buckets, of which the first is replicated to the second, in that Region. more: of the rule."""
    source, to = versioned(s3), versioned(s3, region)
    replicate(s3, source, usual_role(s3), rule(to, **more))
    return source, to


def wait(
    s3: S3, bucket: str, key: str, status: str = "COMPLETED", *, hurry: bool = False, **named: Any
) -> Any:
    """The answer of HeadObject, once the replication has come so far. hurry: the clock moves on meanwhile."""
    end = time.monotonic() + WAIT
    while True:
        found = s3.of().head_object(Bucket=bucket, Key=key, **named)
        if found.get("ReplicationStatus") == status:
            return found
        assert time.monotonic() < end, found.get("ReplicationStatus")
        if hurry:
            advance(s3, "10s")
        time.sleep(0.05)


def advance(s3: S3, by: str) -> None:
    """Move the clock, and wait for what is due by then."""
    moved = casemate("clock", "--data", str(s3.server.data), "--advance", by)
    assert moved.returncode == 0, moved.stderr


def let(s3: S3, bucket: str, arn: str, user: str = "stranger") -> None:
    """Let a role of another account replicate to a bucket."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": arn},
        "Action": list(TO),
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    document = {"Version": "2012-10-17", "Statement": statement}
    s3.of(user).put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


def queue(s3: S3, bucket: str, *events: str) -> str:
    """The URL of a new queue that is told of these events of a bucket."""
    client, name = s3.of(service="sqs"), f"q-{uuid4().hex}"
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    url: str = client.create_queue(
        QueueName=name, Attributes={"Policy": policy, "MessageRetentionPeriod": "1209600"}
    )["QueueUrl"]
    s3.of().put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": list(events)}]},
    )
    assert messages(s3, url)["Event"] == "s3:TestEvent"
    return url


def messages(s3: S3, url: str) -> dict[str, Any]:
    """The next message's body."""
    client = s3.of(service="sqs")
    end = time.monotonic() + WAIT
    while True:
        for message in client.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", ()):
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found: dict[str, Any] = json.loads(message["Body"])
            return found
        assert time.monotonic() < end
