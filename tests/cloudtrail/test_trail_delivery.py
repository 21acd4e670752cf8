"""What trails deliver: log files, as AWS lays them out, each event once."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from cloudtrail_support import ACCOUNT, REGION, Trail, fresh
from server_support import refused
from trails_support import (
    bucket_policy,
    content,
    delivered,
    eventually,
    key_policy,
    keys_in,
    make_bucket,
    make_role,
    make_trail,
    names,
    topic_policy,
    trail_arn,
)

_KEY = re.compile(
    rf"AWSLogs/{ACCOUNT}/CloudTrail/([a-z0-9-]+)/\d{{4}}/\d\d/\d\d/"
    rf"{ACCOUNT}_CloudTrail_\1_\d{{8}}T\d{{4}}Z_[A-Za-z0-9]{{16}}\.json\.gz"
)


@pytest.fixture(name="trail")
def _trail(moving: Trail) -> Trail:
    return moving


@pytest.fixture(autouse=True)
def _remove(trail: Trail) -> Iterator[None]:
    """An account has five trails at most."""
    yield
    for each in trail.of().list_trails()["Trails"]:
        trail.of(region=each["HomeRegion"]).delete_trail(Name=each["TrailARN"])


def test_management_events_come_into_the_bucket(trail: Trail) -> None:
    name, bucket = make_trail(trail)
    kms = trail.of(service="kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.of(service="kms", region="eu-west-1").create_key()
    trail.advance("5m")

    def found() -> list[Any]:
        return [each for each in delivered(trail, bucket) if key_id in json.dumps(each)]

    (record,) = eventually(found)
    assert (record["eventName"], record["awsRegion"], record["recipientAccountId"]) == (
        "CreateKey",
        REGION,
        ACCOUNT,
    )
    assert record["userIdentity"]["userName"] == "admin"
    assert all(_KEY.fullmatch(key) for key in keys_in(trail, bucket))
    assert {each["awsRegion"] for each in delivered(trail, bucket)} == {REGION}
    status = trail.of().get_trail_status(Name=name)
    assert status["IsLogging"] is True
    assert status["LatestDeliveryTime"] >= status["StartLoggingTime"]
    assert "LatestDeliveryError" not in status
    head = trail.of(service="s3").head_object(Bucket=bucket, Key=keys_in(trail, bucket)[0])
    assert (head["ContentType"], head["ContentEncoding"]) == ("application/json", "gzip")


def _text(trail: Trail, bucket: str) -> str:
    return json.dumps(delivered(trail, bucket))


def _of(records: list[Any], name: str) -> list[Any]:
    return [each for each in records if each["eventName"] == name]


def test_a_trail_of_all_regions_delivers_by_region_below_its_prefix(trail: Trail) -> None:
    _, bucket = make_trail(trail, IsMultiRegionTrail=True, S3KeyPrefix="my/logs")
    role = fresh("role")
    for region in ("eu-west-1", "ap-south-1"):
        trail.of(service="kms", region=region).create_key()
    with refused("NoSuchEntity", status=404):
        trail.of(service="iam").get_role(RoleName=role)
    trail.advance("5m")
    regions = {"eu-west-1", "ap-south-1", REGION}
    eventually(lambda: {each["awsRegion"] for each in delivered(trail, bucket)}, regions.issubset)
    for key in keys_in(trail, bucket):
        region = key.split("/")[5]
        assert key.startswith(f"my/logs/AWSLogs/{ACCOUNT}/CloudTrail/{region}/")
        assert {each["awsRegion"] for each in content(trail, bucket, key)["Records"]} == {region}
    # A refusal is an event too, and so is what reads.
    (missed,) = [each for each in _of(delivered(trail, bucket), "GetRole") if role in json.dumps(each)]
    assert (missed["errorCode"], missed["readOnly"]) == ("NoSuchEntity", True)


def test_global_services_may_be_left_out(trail: Trail) -> None:
    _, bucket = make_trail(trail, IncludeGlobalServiceEvents=False)
    trail.of(service="iam").list_users()
    trail.of(service="kms").list_keys()
    trail.advance("5m")
    found = eventually(lambda: delivered(trail, bucket), lambda found: "ListKeys" in names(found))
    assert "ListUsers" not in names(found)


def test_files_are_under_the_trails_kms_key_and_its_context(trail: Trail) -> None:
    name, kms = fresh("trail"), trail.of(service="kms")
    key = kms.create_key(Policy=key_policy(trail_arn(name)))["KeyMetadata"]
    bucket = make_bucket(trail, name)
    trail.of().create_trail(Name=name, S3BucketName=bucket, KmsKeyId=key["KeyId"])
    trail.of().start_logging(Name=name)
    kms.list_keys()
    trail.advance("5m")
    first = eventually(lambda: keys_in(trail, bucket))[0]
    head = trail.of(service="s3").head_object(Bucket=bucket, Key=first)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key["Arn"])
    assert "ListKeys" in names(content(trail, bucket, first)["Records"])
    # Its use is an event, which comes with the next ones.
    kms.list_aliases()
    trail.advance("5m")
    found = eventually(lambda: delivered(trail, bucket), lambda found: "ListAliases" in names(found))
    mine = [each for each in _of(found, "GenerateDataKey") if trail_arn(name) in json.dumps(each)]
    used = [each for each in mine if "errorCode" not in each]
    assert used[0]["requestParameters"]["encryptionContext"]["aws:cloudtrail:arn"] == trail_arn(name)
    assert used[0]["userIdentity"] == {"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}


def test_a_topic_is_told_of_each_file(trail: Trail) -> None:
    name, topic, queue = fresh("trail"), fresh("topic"), fresh("queue")
    sns, sqs = trail.of(service="sns"), trail.of(service="sqs")
    arn = sns.create_topic(Name=topic)["TopicArn"]
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=topic_policy(arn, trail_arn(name))
    )
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})
    bucket = make_bucket(trail, name)
    trail.of().create_trail(Name=name, S3BucketName=bucket, SnsTopicName=topic)
    trail.of().start_logging(Name=name)
    trail.of(service="kms").list_keys()
    trail.advance("5m")
    found = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages", []))
    told = json.loads(found[0]["Body"])
    assert told == {"s3Bucket": bucket, "s3ObjectKey": [keys_in(trail, bucket)[0]]}
    status = eventually(
        lambda: trail.of().get_trail_status(Name=name), lambda found: "LatestNotificationTime" in found
    )
    assert "LatestNotificationError" not in status


def test_events_come_into_the_log_group_by_the_role(trail: Trail) -> None:
    name, group, logs = fresh("trail"), fresh("group"), trail.of(service="logs")
    logs.create_log_group(logGroupName=group)
    bucket, role = make_bucket(trail, name), make_role(trail)
    trail.of().create_trail(
        Name=name,
        S3BucketName=bucket,
        CloudWatchLogsLogGroupArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*",
        CloudWatchLogsRoleArn=role,
    )
    trail.of().start_logging(Name=name)
    alias = f"alias/{fresh('alias')}"
    key_id = trail.of(service="kms").create_key()["KeyMetadata"]["KeyId"]
    trail.of(service="kms").create_alias(AliasName=alias, TargetKeyId=key_id)
    trail.advance("5m")
    stream = f"{ACCOUNT}_CloudTrail_{REGION}"

    def found() -> list[Any]:
        events = logs.filter_log_events(logGroupName=group)["events"]
        return [event for event in events if alias in event["message"]]

    (event,) = eventually(found)
    assert event["logStreamName"] == stream
    assert json.loads(event["message"])["eventName"] == "CreateAlias"
    assert alias in json.dumps(delivered(trail, bucket))
    assert "LatestCloudWatchLogsDeliveryTime" in trail.of().get_trail_status(Name=name)
    # Without its role, the log group gets nothing more, and the bucket does.
    iam = trail.of(service="iam")
    iam.delete_role_policy(RoleName=role.rpartition("/")[2], PolicyName="own")
    trail.of(service="kms").list_aliases()
    trail.advance("5m")
    status = eventually(
        lambda: trail.of().get_trail_status(Name=name),
        lambda found: "LatestCloudWatchLogsDeliveryError" in found,
    )
    assert status["LatestCloudWatchLogsDeliveryError"] == "AccessDeniedException"
    eventually(lambda: names(delivered(trail, bucket)), lambda found: "ListAliases" in found)


@pytest.mark.parametrize("recursive", [True, False])
def test_data_events_of_the_trails_own_bucket_are_no_endless_loop(trail: Trail, recursive: bool) -> None:
    name, bucket = make_trail(trail, start=False, RecursiveLogging=recursive)
    trail.of().put_event_selectors(
        TrailName=name,
        AdvancedEventSelectors=[
            {
                "FieldSelectors": [
                    {"Field": "eventCategory", "Equals": ["Data"]},
                    {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                    {"Field": "resources.ARN", "StartsWith": [f"arn:aws:s3:::{bucket}/"]},
                    {"Field": "eventName", "StartsWith": ["Put"]},
                ]
            }
        ],
    )
    trail.of().start_logging(Name=name)
    s3 = trail.of(service="s3")
    s3.put_object(Bucket=bucket, Key="mine/first", Body=b"1")
    trail.advance("5m")
    records = eventually(lambda: delivered(trail, bucket))
    assert names(records) == ["PutObject"]
    assert (records[0]["eventCategory"], records[0]["managementEvent"]) == ("Data", False)
    files = keys_in(trail, bucket, "AWSLogs/")
    for _ in range(3):
        trail.advance("5m")
    # What comes of a delivery waits for what somebody else does.
    s3.put_object(Bucket=bucket, Key="mine/second", Body=b"2")
    trail.advance("5m")

    def others() -> list[str]:
        return [key for key in keys_in(trail, bucket, "AWSLogs/") if key not in files]

    (after,) = eventually(others)
    found = content(trail, bucket, after)["Records"]
    put = [each["requestParameters"]["key"] for each in found]
    assert put == ([*files, "mine/second"] if recursive else ["mine/second"])


def test_what_was_seen_before_a_trail_was_stopped_or_deleted_is_delivered(trail: Trail) -> None:
    kms = trail.of(service="kms")
    stopped, its_bucket = make_trail(trail)
    deleted, other_bucket = make_trail(trail)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.of().stop_logging(Name=stopped)
    trail.of().delete_trail(Name=deleted)
    trail.advance("5m")
    later = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.advance("10m")
    for bucket in (its_bucket, other_bucket):
        found = eventually(partial(_text, trail, bucket), lambda found: key_id in found)
        assert later not in found
    status = trail.of().get_trail_status(Name=stopped)
    assert status["IsLogging"] is False
    assert status["StopLoggingTime"] >= status["StartLoggingTime"]
    with refused("TrailNotFoundException"):
        trail.of().get_trail(Name=deleted)


def test_what_cannot_be_delivered_is_told_and_tried_again(trail: Trail) -> None:
    name, bucket = make_trail(trail)
    s3, kms = trail.of(service="s3"), trail.of(service="kms")
    s3.delete_bucket_policy(Bucket=bucket)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.advance("5m")

    def status() -> Any:
        return trail.of().get_trail_status(Name=name)

    found = eventually(status, lambda found: "LatestDeliveryError" in found)
    assert found["LatestDeliveryError"] == "AccessDenied"
    s3.delete_bucket(Bucket=bucket)
    trail.advance("5m")
    eventually(status, lambda found: found.get("LatestDeliveryError") == "NoSuchBucket")
    # Its namesake, in another Region.
    away = trail.of(service="s3", region="eu-west-1")
    away.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    away.put_bucket_policy(Bucket=bucket, Policy=bucket_policy(bucket, trail_arn(name)))
    trail.advance("5m")
    found = eventually(status, lambda found: "LatestDeliveryError" not in found)
    assert "LatestDeliveryTime" in found
    keys = [each["Key"] for each in away.list_objects_v2(Bucket=bucket)["Contents"]]
    bodies = [gzip.decompress(away.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    assert key_id.encode() in b"".join(bodies)


def test_who_narrows_a_trail_hides_nothing_of_before(trail: Trail) -> None:
    name, bucket = make_trail(trail)
    kms = trail.of(service="kms")
    before = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.of().put_event_selectors(
        TrailName=name, EventSelectors=[{"ExcludeManagementEventSources": ["kms.amazonaws.com"]}]
    )
    after = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.of(service="iam").list_users()
    trail.advance("5m")
    found = eventually(lambda: _text(trail, bucket), lambda found: "ListUsers" in found)
    assert before in found
    assert "PutEventSelectors" in found
    assert after not in found


def test_a_bucket_may_insist_on_the_trails_key(trail: Trail) -> None:
    name, kms = fresh("trail"), trail.of(service="kms")
    key = kms.create_key(Policy=key_policy(trail_arn(name)))["KeyMetadata"]
    bucket = make_bucket(trail, name)
    policy = json.loads(bucket_policy(bucket, trail_arn(name)))
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {
            "StringNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key["Arn"]},
        },
    }
    policy["Statement"].append(deny)
    trail.of(service="s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with refused("InsufficientS3BucketPolicyException"):
        trail.of().create_trail(Name=name, S3BucketName=bucket)
    trail.of().create_trail(Name=name, S3BucketName=bucket, KmsKeyId=key["KeyId"])
    trail.of().start_logging(Name=name)
    kms.list_keys()
    trail.advance("5m")
    eventually(lambda: names(delivered(trail, bucket)), lambda found: "ListKeys" in found)


def test_what_cannot_be_delivered_for_30_days_is_given_up(trail: Trail) -> None:
    name, bucket = make_trail(trail)
    s3, kms = trail.of(service="s3"), trail.of(service="kms")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.advance("5m")
    eventually(lambda: trail.of().get_trail_status(Name=name), lambda found: "LatestDeliveryError" in found)
    trail.advance("31d")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    # What KMS does by itself is an event as well.
    doomed = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=doomed, PendingWindowInDays=7)
    trail.advance("8d")

    def deleted() -> list[Any]:
        trail.advance("5m")
        return [each for each in _of(delivered(trail, bucket), "DeleteKey") if doomed in json.dumps(each)]

    (event,) = eventually(deleted)
    assert event["eventType"] == "AwsServiceEvent"
    assert key_id not in _text(trail, bucket)


def test_files_may_be_locked(trail: Trail) -> None:
    name, bucket, s3 = fresh("trail"), fresh("locked-bucket"), trail.of(service="s3")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy(bucket, trail_arn(name)))
    make_trail(trail, bucket=bucket, name=name)
    trail.of(service="kms").list_keys()
    trail.advance("5m")
    first = eventually(lambda: keys_in(trail, bucket))[0]
    head = s3.head_object(Bucket=bucket, Key=first)
    assert head["ObjectLockMode"] == "COMPLIANCE"
    with refused("AccessDenied", status=403):
        s3.delete_object(Bucket=bucket, Key=first, VersionId=head["VersionId"])
