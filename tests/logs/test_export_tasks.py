"""Export tasks by a real client: what lies in the bucket in the end, what its policy must say, what is refused."""

from __future__ import annotations

import gzip
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from logs_support import ACCOUNT, REGION, Logs, logs_server, refused

HOUR = 3_600_000


def bucket_of(logs: Logs, name: str, *actions: str) -> str:
    """A bucket that lets CloudWatch Logs, as AWS's page writes it."""
    client = logs.of(service="s3")
    client.create_bucket(Bucket=name)
    condition = {
        "StringEquals": {"aws:SourceAccount": [ACCOUNT]},
        "ArnLike": {"aws:SourceArn": [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:*"]},
    }
    principal = {"Service": f"logs.{REGION}.amazonaws.com"}
    resources = {"s3:GetBucketAcl": f"arn:aws:s3:::{name}", "s3:PutObject": f"arn:aws:s3:::{name}/*"}
    if actions:
        statements = [
            {
                "Effect": "Allow",
                "Principal": principal,
                "Action": action,
                "Resource": resources[action],
                "Condition": condition,
            }
            for action in actions
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        client.put_bucket_policy(Bucket=name, Policy=policy)
    return name


BOTH = ("s3:GetBucketAcl", "s3:PutObject")


def over(logs: Logs, task: str) -> dict[str, Any]:
    """The task, once it is over."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        (found,) = logs.of().describe_export_tasks(taskId=task)["exportTasks"]
        if found["status"]["code"] not in ("PENDING", "RUNNING"):
            return dict(found)
        time.sleep(0.02)
    raise AssertionError("the export does not end")


def start(logs: Logs, group: str, bucket: str, **more: Any) -> str:
    """A task's id; others of the account end first."""
    now = logs.now()
    asked = {"logGroupName": group, "destination": bucket, "from": now - HOUR, "to": now + HOUR, **more}
    end = time.monotonic() + 60
    while True:
        try:
            task: str = logs.of().create_export_task(**asked)["taskId"]
        except ClientError as error:
            if "LimitExceeded" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return task


def content(logs: Logs, bucket: str) -> dict[str, bytes]:
    client = logs.of(service="s3")
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def line(timestamp: int, message: str) -> str:
    moment = datetime.fromtimestamp(timestamp // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp % 1000:03d}Z {message}\n"


def test_a_group_is_exported_by_streams(logs: Logs) -> None:
    group, bucket = logs.group("/app/export", "a/1", "b", "empty"), bucket_of(logs, "export-streams", *BOTH)
    now = logs.now()
    logs.put(group, "a/1", [(now - 2, "second"), (now - 1, "third")])
    logs.put(group, "a/1", [(now - 3, "first ü")])
    logs.put(group, "b", [(now - 2 * HOUR, "too old"), (now, "other")])
    task = start(logs, group, bucket, taskName="mine")
    found = over(logs, task)
    assert (found["taskName"], found["logGroupName"], found["destination"]) == ("mine", group, bucket)
    assert (found["destinationPrefix"], found["from"] < found["to"]) == ("exportedlogs", True)
    assert found["status"] == {"code": "COMPLETED", "message": "Completed successfully"}
    assert found["executionInfo"]["completionTime"] >= found["executionInfo"]["creationTime"]
    objects = content(logs, bucket)
    prefix = f"exportedlogs/{task}"
    test = objects.pop("exportedlogs/aws-logs-write-test")
    assert test == b"Permission Check Successful"
    assert {key: gzip.decompress(body).decode() for key, body in objects.items()} == {
        f"{prefix}/a-1/000000.gz": line(now - 3, "first ü")
        + line(now - 2, "second")
        + line(now - 1, "third"),
        f"{prefix}/b/000000.gz": line(now, "other"),
    }


def test_some_streams_under_a_prefix(logs: Logs) -> None:
    group, bucket = logs.group("/app/export", "web-1", "db-1"), bucket_of(logs, "export-prefix", *BOTH)
    for stream in ("web-1", "db-1"):
        logs.put(group, stream, [(logs.now(), stream)])
    task = start(logs, group, bucket, logStreamNamePrefix="web", destinationPrefix="here/there/")
    assert over(logs, task)["status"]["code"] == "COMPLETED"
    assert set(content(logs, bucket)) == {
        "here/there/aws-logs-write-test",
        f"here/there/{task}/web-1/000000.gz",
    }


@pytest.mark.parametrize(
    ("name", "actions", "failed"),
    [
        ("export-without-policy", (), "GetBucketAcl"),
        ("export-without-put", ("s3:GetBucketAcl",), "PutObject"),
        ("export-without-acl", ("s3:PutObject",), "GetBucketAcl"),
    ],
)
def test_the_buckets_policy_decides(logs: Logs, name: str, actions: tuple[str, ...], failed: str) -> None:
    group, bucket = logs.group("/app/export", "s"), bucket_of(logs, name, *actions)
    message = (
        f"{failed} call on the given bucket failed. Please check if CloudWatch Logs has been granted permission to "
        "perform this operation."
    )
    with refused("InvalidParameterException", message):
        start(logs, group, bucket)
    assert content(logs, bucket) == {}


def test_a_policy_that_is_taken_away_fails_the_task(logs: Logs) -> None:
    group, bucket = logs.group("/app/export", "s"), bucket_of(logs, "export-taken-away", *BOTH)
    logs.put(group, "s", [(logs.now(), "event")])
    client = logs.of(service="s3")
    allowed = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
    denied = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*.gz",
    }
    allowed["Statement"].append(denied)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(allowed))
    found = over(logs, start(logs, group, bucket))
    assert found["status"] == {"code": "FAILED", "message": "AccessDenied"}
    assert list(content(logs, bucket)) == ["exportedlogs/aws-logs-write-test"]


def test_cancelled_and_listed(logs: Logs) -> None:
    group, bucket = logs.group("/app/export", "s"), bucket_of(logs, "export-cancelled", *BOTH)
    client = logs.of()
    for _ in range(100):
        task = start(logs, group, bucket)
        try:
            client.cancel_export_task(taskId=task)
        except ClientError:
            # It was quicker.
            continue
        break
    assert over(logs, task)["status"]["code"] == "CANCELLED"
    message = "The specified export task has already finished and cannot be cancelled."
    with refused("InvalidOperationException", message):
        client.cancel_export_task(taskId=task)
    done = start(logs, group, bucket)
    over(logs, done)
    first = client.describe_export_tasks(limit=1)
    second = client.describe_export_tasks(limit=1, nextToken=first["nextToken"])
    assert [each["taskId"] for each in (*first["exportTasks"], *second["exportTasks"])] == [done, task]
    cancelled = client.describe_export_tasks(statusCode="CANCELLED")["exportTasks"]
    assert task in [each["taskId"] for each in cancelled]
    assert logs.of("stranger").describe_export_tasks()["exportTasks"] == []


def test_refusals(logs: Logs) -> None:
    group, bucket = logs.group("/app/export", "s"), bucket_of(logs, "export-refused", *BOTH)
    client, now = logs.of(), logs.now()
    asked: dict[str, Any] = {"logGroupName": group, "destination": bucket, "from": now - 1, "to": now}
    with refused("InvalidParameterException", "Invalid time range: from must be before to."):
        client.create_export_task(**{**asked, "to": now - 1})
    with refused("ResourceNotFoundException", "The specified log stream does not exist."):
        client.create_export_task(**asked, logStreamNamePrefix="absent")
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        client.create_export_task(**{**asked, "logGroupName": "/app/absent"})
    with refused("ResourceNotFoundException", "The specified export task does not exist."):
        client.cancel_export_task(taskId="absent")
    task = start(logs, group, bucket)
    over(logs, task)
    with refused("ResourceNotFoundException", "The specified export task does not exist."):
        logs.of("stranger").cancel_export_task(taskId=task)
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.describe_export_tasks(nextToken="x")
    with pytest.raises(ClientError, match="not authorized to perform: logs:CreateExportTask"):
        logs.of("nobody").create_export_task(**asked)


def test_one_task_at_a_time(logs: Logs) -> None:
    group, bucket = logs.group("/app/export", "s"), bucket_of(logs, "export-one", *BOTH)
    now = logs.now()
    for _ in range(100):
        first = start(logs, group, bucket)
        try:
            logs.of().create_export_task(
                logGroupName=group, destination=bucket, **{"from": now - 1, "to": now}
            )
        except ClientError as error:
            found = error.response["Error"]
            break
        over(logs, first)
    assert found == {"Code": "LimitExceededException", "Message": "Resource limit exceeded."}
    over(logs, first)


def test_an_export_survives_a_crash(tmp_path: Any) -> None:
    with logs_server(tmp_path) as logs:
        group, bucket = logs.group("/app/export", "s"), bucket_of(logs, "export-crash", *BOTH)
        logs.put(group, "s", [(logs.now(), "event")])
        task = start(logs, group, bucket)
        logs.server.kill()
    with logs_server(tmp_path) as again:
        # What a killed server had claimed is left to it for the length of a lease.
        again.advance("2m")
        assert over(again, task)["status"]["code"] == "COMPLETED"
        assert f"exportedlogs/{task}/s/000000.gz" in content(again, bucket)
