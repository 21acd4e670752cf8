"""What happens to objects, told to EventBridge, queues and functions."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from typing import Any

from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, new_name, refused
from test_s3_forms import post, presigned
from test_s3_object_access import objects
from test_s3_policies import put


class Events:
    """The events of one bucket, as archives with patterns count them."""

    def __init__(self, s3: S3, *, told: bool = True) -> None:
        self.s3 = s3
        self.bucket = s3.bucket()
        self.client = s3.of(service="events")
        self._all = self.archive()
        if told:
            self.switch_on()

    def switch_on(self) -> None:
        self.s3.of().put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )

    def archive(self, **pattern: Any) -> str:
        """One for the bucket's events that fit a pattern."""
        name = f"a-{new_name()[2:]}"
        detail = {"bucket": {"name": [self.bucket]}, **pattern.pop("detail", {})}
        pattern = {"source": ["aws.s3"], **pattern, "detail": detail}
        bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
        self.client.create_archive(ArchiveName=name, EventSourceArn=bus, EventPattern=json.dumps(pattern))
        return name

    def count(self, name: str) -> int:
        found: int = self.client.describe_archive(ArchiveName=name)["EventCount"]
        return found

    def wait(self, count: int) -> None:
        """Until so many events of the bucket have come, and no more."""
        end = time.monotonic() + 20
        while (found := self.count(self._all)) < count:
            assert time.monotonic() < end, found
        assert found == count


def test_the_configuration(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()

    def told() -> dict[str, Any]:
        found: dict[str, Any] = client.get_bucket_notification_configuration(Bucket=bucket)
        del found["ResponseMetadata"]
        return found

    assert told() == {}
    client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    assert told() == {"EventBridgeConfiguration": {}}
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert told() == {}


def test_an_object_is_created_and_deleted(s3: S3) -> None:
    client, events = s3.of(), Events(s3)
    bucket = events.bucket
    etag = "5d41402abc4b2a76b9719d911017c592"
    common = {"version": ["0"], "requester": [ACCOUNT], "source-ip-address": ["127.0.0.1"]}
    created = events.archive(
        **{"detail-type": ["Object Created"]},
        account=[ACCOUNT],
        region=["us-east-1"],
        resources=[f"arn:aws:s3:::{bucket}"],
        detail={
            **common,
            "object": {
                "key": ["a b"],
                "size": [5],
                "etag": [etag],
                "sequencer": [{"exists": True}],
                "version-id": [{"exists": False}],
            },
            "reason": ["PutObject"],
            "request-id": [{"exists": True}],
        },
    )
    deleted = events.archive(
        **{"detail-type": ["Object Deleted"]},
        detail={
            **common,
            "object": {"key": ["a b"], "etag": [etag], "sequencer": [{"exists": True}]},
            "reason": ["DeleteObject"],
            "deletion-type": ["Permanently Deleted"],
        },
    )
    client.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    events.wait(1)
    assert (events.count(created), events.count(deleted)) == (1, 0)
    client.delete_object(Bucket=bucket, Key="a b")
    client.delete_object(Bucket=bucket, Key="a b")
    events.wait(2)
    assert (events.count(created), events.count(deleted)) == (1, 1)


def test_all_ways_to_create_an_object(s3: S3) -> None:
    client, events = s3.of(), Events(s3)
    bucket = events.bucket
    ways = {
        key: events.archive(
            **{"detail-type": ["Object Created"]}, detail={"object": {"key": [key]}, "reason": [reason]}
        )
        for key, reason in (
            ("k", "PutObject"),
            ("copy", "CopyObject"),
            ("parts", "CompleteMultipartUpload"),
            ("form", "POST Object"),
        )
    }
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"1")
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    url, fields = presigned(s3, bucket, "form")
    assert post(url, fields)[0] == 204
    events.wait(4)
    assert {key: events.count(name) for key, name in ways.items()} == dict.fromkeys(ways, 1)


def test_tags_and_many_deletions(s3: S3) -> None:
    client, events = s3.of(), Events(s3)
    bucket = events.bucket
    for key in ("k", "l"):
        client.put_object(Bucket=bucket, Key=key, Body=b"1")
    added = events.archive(**{"detail-type": ["Object Tags Added"]}, detail={"object": {"key": ["k"]}})
    taken = events.archive(**{"detail-type": ["Object Tags Deleted"]}, detail={"object": {"key": ["k"]}})
    client.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    client.delete_object_tagging(Bucket=bucket, Key="k")
    keys = [{"Key": key} for key in ("k", "l", "none")]
    client.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    events.wait(6)
    assert (events.count(added), events.count(taken)) == (1, 1)


def test_versions_and_strangers(s3: S3) -> None:
    client, events = s3.of(), Events(s3, told=False)
    bucket = events.bucket
    # Nothing is told before the bucket says so.
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    events.switch_on()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(s3, bucket, objects(bucket, "s3:PutObject", principal={"AWS": OTHER_ACCOUNT}))
    by_stranger = events.archive(
        detail={"requester": [OTHER_ACCOUNT], "object": {"version-id": [{"exists": True}]}}
    )
    made = s3.of("stranger").put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    hidden = events.archive(detail={"deletion-type": ["Delete Marker Created"]})
    gone = events.archive(detail={"deletion-type": ["Permanently Deleted"], "object": {"version-id": [made]}})
    client.delete_object(Bucket=bucket, Key="k")
    client.delete_object(Bucket=bucket, Key="k", VersionId=made)
    # Who is refused makes nothing happen.
    with refused("AccessDenied", status=403):
        s3.of("powerless").put_object(Bucket=bucket, Key="k", Body=b"3")
    events.wait(3)
    assert [events.count(name) for name in (by_stranger, hidden, gone)] == [1, 1, 1]


def test_functions_must_let_s3(s3: S3) -> None:
    client, bucket, functions = s3.of(), s3.bucket(), s3.of(service="lambda")
    iam, name = s3.of(service="iam"), new_name()
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return event\n")
    made = functions.create_function(
        FunctionName=name,
        Runtime=f"python3.{sys.version_info.minor}",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
    )
    one = {"LambdaFunctionArn": made["FunctionArn"], "Events": ["s3:ObjectRemoved:*"]}
    wanted = {"LambdaFunctionConfigurations": [one]}
    with refused("InvalidArgument", "Unable to validate the following destination configurations"):
        client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    functions.add_permission(
        FunctionName=name,
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}",
        SourceAccount=ACCOUNT,
    )
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    (shown,) = client.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert shown["LambdaFunctionArn"] == made["FunctionArn"]
