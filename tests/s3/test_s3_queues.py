"""Queues that are told of what happens to objects."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from s3_support import ACCOUNT, S3, new_name, refused


class Queue:
    """A queue that a bucket may send to."""

    def __init__(self, s3: S3, bucket: str, *, allowed: bool = True) -> None:
        self.client = s3.of(service="sqs")
        name = new_name()
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        policy = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": self.arn,
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
                    "StringEquals": {"aws:SourceAccount": ACCOUNT},
                },
            },
        }
        attributes = {"Policy": json.dumps(policy)} if allowed else {}
        self.url = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def next(self) -> dict[str, Any]:
        """The next message."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = self.client.receive_message(QueueUrl=self.url, WaitTimeSeconds=2).get("Messages", [])
            for message in found:
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                text: dict[str, Any] = json.loads(message["Body"])
                return text
        raise AssertionError("no message came")

    def stays_empty(self) -> None:
        """No message is there, nor comes within a second."""
        assert "Messages" not in self.client.receive_message(QueueUrl=self.url, WaitTimeSeconds=1)

    def next_record(self) -> dict[str, Any]:
        (record,) = self.next()["Records"]
        found: dict[str, Any] = record
        return found


def configure(s3: S3, bucket: str, *configurations: dict[str, Any], **more: Any) -> None:
    s3.of().put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(configurations)}, **more
    )


def to(queue: Queue, *events: str, **names: str) -> dict[str, Any]:
    rules = [{"Name": name, "Value": value} for name, value in names.items()]
    filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"QueueArn": queue.arn, "Events": list(events), **filtered}


def test_a_queue_is_told(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    queue = Queue(s3, bucket)
    configure(s3, bucket, {"Id": "mine", **to(queue, "s3:ObjectCreated:*", prefix="in/", suffix=".txt")})
    first = queue.next()
    assert first["Event"] == "s3:TestEvent"
    assert first["Bucket"] == bucket
    (shown,) = client.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert shown["Id"] == "mine"
    assert shown["Events"] == ["s3:ObjectCreated:*"]
    assert shown["Filter"]["Key"]["FilterRules"] == [
        {"Name": "Prefix", "Value": "in/"},
        {"Name": "Suffix", "Value": ".txt"},
    ]
    for key in ("other.txt", "in/a.bin", "in/a b.txt"):
        made = client.put_object(Bucket=bucket, Key=key, Body=b"hello")
    client.delete_object(Bucket=bucket, Key="in/a b.txt")
    record = queue.next_record()
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["awsRegion"] == "us-east-1"
    assert record["userIdentity"]["principalId"].startswith("AWS:AIDA")
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert record["responseElements"]["x-amz-request-id"] == made["ResponseMetadata"]["RequestId"]
    assert record["responseElements"]["x-amz-id-2"] == made["ResponseMetadata"]["HostId"]
    about = record["s3"]
    assert about["configurationId"] == "mine"
    assert about["bucket"]["name"] == bucket
    assert about["object"].pop("sequencer")
    assert about["object"] == {"key": "in/a+b.txt", "size": 5, "eTag": made["ETag"].strip('"')}


def test_each_is_told_what_it_wants_to_know(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    made, gone, tagged = Queue(s3, bucket), Queue(s3, bucket), Queue(s3, bucket)
    configure(
        s3,
        bucket,
        to(made, "s3:ObjectCreated:Copy"),
        to(gone, "s3:ObjectRemoved:*"),
        to(tagged, "s3:ObjectTagging:*", "s3:ObjectCreated:Put"),
    )
    for queue in (made, gone, tagged):
        assert queue.next()["Event"] == "s3:TestEvent"
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert tagged.next_record()["eventName"] == "ObjectCreated:Put"
    client.copy_object(Bucket=bucket, Key="l", CopySource={"Bucket": bucket, "Key": "k"})
    assert made.next_record()["eventName"] == "ObjectCreated:Copy"
    client.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert tagged.next_record()["eventName"] == "ObjectTagging:Put"
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    marker = client.delete_object(Bucket=bucket, Key="k")["VersionId"]
    record = gone.next_record()
    assert record["eventName"] == "ObjectRemoved:DeleteMarkerCreated"
    assert record["s3"]["object"]["versionId"] == marker


def test_destinations_that_cannot_be(s3: S3) -> None:
    bucket = s3.bucket()
    queue, shut = Queue(s3, bucket), Queue(s3, bucket, allowed=False)
    with refused("InvalidArgument", "Unable to validate the following destination configurations"):
        configure(s3, bucket, to(queue, "s3:ObjectCreated:*"), to(shut, "s3:ObjectRemoved:*"))
    with refused("InvalidArgument", "The ARN is not well formed"):
        configure(s3, bucket, {"QueueArn": "queue", "Events": ["s3:ObjectCreated:*"]})
    with refused("InvalidArgument", "The ARN is not well formed"):
        configure(s3, bucket, {"QueueArn": queue.arn.replace("sqs", "sns"), "Events": ["s3:ObjectCreated:*"]})
    with refused(
        "InvalidArgument",
        "The notification destination service region is not valid for the bucket location constraint",
    ):
        other = queue.arn.replace("us-east-1", "eu-west-1")
        configure(s3, bucket, {"QueueArn": other, "Events": ["s3:ObjectCreated:*"]})
    with refused("MalformedXML"):
        configure(s3, bucket, to(queue, "s3:ObjectPainted:*"))
    overlap = "Configurations overlap. Configurations on the same bucket cannot share a common event type."
    for one, another in (
        (to(queue, "s3:ObjectCreated:*"), to(queue, "s3:ObjectCreated:Put")),
        (to(queue, "s3:ObjectCreated:Put", prefix="a"), to(queue, "s3:ObjectCreated:Put", prefix="ab")),
        (to(queue, "s3:ObjectCreated:Put", prefix="a"), to(queue, "s3:ObjectCreated:Put", suffix="b")),
    ):
        with refused("InvalidArgument", overlap):
            configure(s3, bucket, one, another)
    assert "QueueConfigurations" not in s3.of().get_bucket_notification_configuration(Bucket=bucket)
    configure(
        s3,
        bucket,
        to(queue, "s3:ObjectCreated:Put", prefix="a"),
        to(queue, "s3:ObjectCreated:Put", prefix="b"),
        to(queue, "s3:ObjectCreated:Copy"),
    )
    configure(s3, bucket, to(shut, "s3:ObjectCreated:*"), SkipDestinationValidation=True)
    # What is done to the object does not hang on who is told.
    s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")


def test_a_notice_is_sealed_and_waits_for_its_destination(s3: S3) -> None:
    bucket = s3.bucket()
    queue = Queue(s3, bucket, allowed=False)
    configure(s3, bucket, to(queue, "s3:ObjectCreated:*"), SkipDestinationValidation=True)
    s3.of().put_object(Bucket=bucket, Key="waits", Body=b"1")
    with sqlite3.connect(s3.server.data / "casemate.db") as database:
        (payload,) = database.execute(
            "SELECT payload FROM store_jobs WHERE kind = 's3.notify' AND payload LIKE ?", (f"%{queue.arn}%",)
        ).fetchone()
    database.close()
    assert "waits" not in payload
    allowed = Queue(s3, bucket)
    policy = allowed.client.get_queue_attributes(QueueUrl=allowed.url, AttributeNames=["Policy"])[
        "Attributes"
    ]
    queue.client.set_queue_attributes(
        QueueUrl=queue.url, Attributes={"Policy": policy["Policy"].replace(allowed.arn, queue.arn)}
    )
    assert queue.next_record()["s3"]["object"]["key"] == "waits"


def test_an_altered_notice_is_given_to_nobody(s3: S3) -> None:
    bucket, other = s3.bucket(), s3.bucket()
    # A notice waits whose queue refuses it; what it is altered to would be let through.
    for altered, queue in (("to", Queue(s3, bucket)), ("bucket", Queue(s3, other))):
        shut = queue if altered == "bucket" else Queue(s3, bucket, allowed=False)
        configure(s3, bucket, to(shut, "s3:ObjectCreated:*"), SkipDestinationValidation=True)
        s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")
        new = {"to": queue.arn, "bucket": f"arn:aws:s3:::{other}"}[altered]
        database = sqlite3.connect(s3.server.data / "casemate.db", timeout=20)
        with database:
            ((job, payload),) = database.execute(
                "SELECT id, payload FROM store_jobs WHERE kind = 's3.notify' AND payload LIKE ?",
                (f"%{shut.arn}%",),
            ).fetchall()
            changed = json.dumps(json.loads(payload) | {altered: new})
            database.execute("UPDATE store_jobs SET payload = ? WHERE id = ?", (changed, job))
        end = time.monotonic() + 30
        while database.execute("SELECT 1 FROM store_jobs WHERE id = ?", (job,)).fetchone():
            assert time.monotonic() < end
            queue.stays_empty()
        database.close()
        queue.stays_empty()
