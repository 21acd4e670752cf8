"""Topics that are told of what happens to objects, and destinations that are encrypted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from replication_support import messages
from s3_support import ACCOUNT, S3, new_name, refused

FAILED = "Unable to validate the following destination configurations"


def let(service: str, action: str, arn: str, **condition: Any) -> str:
    """A policy that lets a service do that."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": action,
        "Resource": arn,
        "Condition": condition,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def queue(s3: S3, sender: str, arn: str, **attributes: str) -> tuple[str, str]:
    """The URL and ARN of a queue that a service may send to for a resource."""
    name = new_name()
    own = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
    policy = let(sender, "sqs:SendMessage", own, ArnEquals={"aws:SourceArn": arn})
    made = s3.of(service="sqs").create_queue(QueueName=name, Attributes={"Policy": policy, **attributes})
    return made["QueueUrl"], own


def topic(s3: S3, bucket: str, *, allowed: bool = True, **attributes: str) -> str:
    """The ARN of a topic that a bucket may publish to."""
    name = new_name()
    arn = f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}"
    source = {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}
    if allowed:
        attributes["Policy"] = let("s3", "SNS:Publish", arn, ArnEquals=source)
    s3.of(service="sns").create_topic(Name=name, Attributes=attributes)
    return arn


def key(s3: S3, *services: str) -> str:
    """The ARN of a KMS key that services may use for queues and topics that they send to."""
    kms = s3.of(service="kms")
    arn: str = kms.create_key()["KeyMetadata"]["Arn"]
    policy = json.loads(kms.get_key_policy(KeyId=arn)["Policy"])
    for service in services:
        added = json.loads(let(service, "kms:GenerateDataKey", "*"))["Statement"]
        added["Action"] = ["kms:GenerateDataKey", "kms:Decrypt"]
        policy["Statement"].append(added)
    kms.put_key_policy(KeyId=arn, Policy=json.dumps(policy))
    return arn


def configure(s3: S3, bucket: str, member: str, arn: str) -> None:
    name = {"Topic": "TopicArn", "Queue": "QueueArn"}[member]
    told = {name: arn, "Events": ["s3:ObjectCreated:*"]}
    s3.of().put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={f"{member}Configurations": [told]}
    )


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_topic_tells_its_queues(s3: S3, encrypted: bool) -> None:
    client, sns, bucket = s3.of(), s3.of(service="sns"), s3.bucket()
    of_topic: dict[str, Any] = {"KmsMasterKeyId": key(s3, "s3")} if encrypted else {}
    of_queue: dict[str, Any] = {"KmsMasterKeyId": key(s3, "sns")} if encrypted else {}
    arn = topic(s3, bucket, **of_topic)
    url, own = queue(s3, "sns", arn, **of_queue)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=own)
    configure(s3, bucket, "Topic", arn)
    trial = messages(s3, url)
    assert (trial["TopicArn"], trial["Subject"]) == (arn, "Amazon S3 Notification")
    test = json.loads(trial["Message"])
    assert (test["Event"], test["Bucket"], test["Service"]) == ("s3:TestEvent", bucket, "Amazon S3")
    put = client.put_object(Bucket=bucket, Key="a b/ü", Body=b"123")
    (record,) = json.loads(messages(s3, url)["Message"])["Records"]
    assert (record["eventName"], record["eventVersion"]) == ("ObjectCreated:Put", "2.1")
    shown = record["s3"]["object"]
    assert (shown["key"], shown["size"], shown["eTag"]) == ("a+b/%C3%BC", 3, put["ETag"].strip('"'))
    assert int(shown["sequencer"], 16)
    found = client.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"]
    assert (found[0]["TopicArn"], found[0]["Events"]) == (arn, ["s3:ObjectCreated:*"])


def test_an_encrypted_queue(s3: S3) -> None:
    bucket = s3.bucket()
    url, own = queue(s3, "s3", f"arn:aws:s3:::{bucket}", KmsMasterKeyId=key(s3, "s3"))
    configure(s3, bucket, "Queue", own)
    assert messages(s3, url)["Event"] == "s3:TestEvent"
    s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    assert messages(s3, url)["Records"][0]["s3"]["object"]["key"] == "k"


def test_what_does_not_let_s3(s3: S3) -> None:
    """By its policy, by its key's policy; or what is not there."""
    bucket = s3.bucket()
    arn = f"arn:aws:s3:::{bucket}"
    closed = topic(s3, bucket, allowed=False)
    sealed = topic(s3, bucket, KmsMasterKeyId=key(s3))
    for each in (closed, sealed, closed + "x", topic(s3, s3.bucket())):
        with refused("InvalidArgument", FAILED):
            configure(s3, bucket, "Topic", each)
    _, of_stranger = queue(s3, "s3", f"{arn}x")
    _, unopened = queue(s3, "s3", arn, KmsMasterKeyId=key(s3, "sns"))
    for each in (of_stranger, unopened, unopened + "x"):
        with refused("InvalidArgument", FAILED):
            configure(s3, bucket, "Queue", each)
    assert "TopicConfigurations" not in s3.of().get_bucket_notification_configuration(Bucket=bucket)


def test_ordered_topics_are_refused(s3: S3) -> None:
    name = f"{new_name()}.fifo"
    arn = s3.of(service="sns").create_topic(Name=name, Attributes={"FifoTopic": "true"})["TopicArn"]
    with refused("InvalidArgument"):
        configure(s3, s3.bucket(), "Topic", arn)
