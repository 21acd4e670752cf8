"""Queues: made, found, listed, configured, emptied and removed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqs_support import ACCOUNT, NO_QUEUE, Sqs, arn_of, refused


def test_create_is_idempotent(sqs: Sqs) -> None:
    url = sqs.queue(VisibilityTimeout="40")
    name = url.rsplit("/", 1)[1]
    assert url == f"{sqs.server.endpoint}/{ACCOUNT}/{name}"
    assert sqs.of().create_queue(QueueName=name)["QueueUrl"] == url
    assert sqs.of().create_queue(QueueName=name, Attributes={"VisibilityTimeout": "40"})["QueueUrl"] == url
    with refused(
        "QueueAlreadyExists",
        "A queue already exists with the same name and a different value for attribute VisibilityTimeout",
    ):
        sqs.of().create_queue(QueueName=name, Attributes={"VisibilityTimeout": "41"})
    with pytest.raises(sqs.of().exceptions.QueueNameExists):
        sqs.of().create_queue(QueueName=name, Attributes={"DelaySeconds": "1"})
    assert sqs.of().get_queue_url(QueueName=name)["QueueUrl"] == url


def test_all_attributes_are_shown(sqs: Sqs) -> None:
    url = sqs.queue()
    found = sqs.of().get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    times = {name: found.pop(name) for name in ("CreatedTimestamp", "LastModifiedTimestamp")}
    assert all(value.isdigit() for value in times.values())
    assert found == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": arn_of(url),
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }
    assert "Attributes" not in sqs.of().get_queue_attributes(QueueUrl=url)
    fifo = sqs.of().get_queue_attributes(QueueUrl=sqs.fifo(), AttributeNames=["All"])["Attributes"]
    assert {name: fifo[name] for name in ("FifoQueue", "DeduplicationScope", "FifoThroughputLimit")} == {
        "FifoQueue": "true",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }
    assert fifo["ContentBasedDeduplication"] == "false"


def test_attributes_are_set_and_taken_away(sqs: Sqs) -> None:
    url, dead = sqs.queue(), sqs.queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": "3"})
    sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": redrive, "DelaySeconds": "7"})
    assert sqs.attribute(url, "RedrivePolicy") == redrive
    assert sqs.attribute(url, "DelaySeconds") == "7"
    assert sqs.of().list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": "", "KmsMasterKeyId": "alias/k"})
    assert sqs.attribute(url, "RedrivePolicy") is None
    assert sqs.attribute(url, "SqsManagedSseEnabled") == "false"
    assert sqs.attribute(url, "KmsDataKeyReusePeriodSeconds") == "300"
    sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"SqsManagedSseEnabled": "true"})
    assert sqs.attribute(url, "KmsMasterKeyId") is None


@pytest.mark.parametrize(
    ("attributes", "code", "message"),
    [
        ({"DelaySeconds": "901"}, "InvalidAttributeValue", "Invalid value for the parameter DelaySeconds."),
        ({"DelaySeconds": "-1"}, "InvalidAttributeValue", None),
        ({"VisibilityTimeout": "1.5"}, "InvalidAttributeValue", None),
        ({"MaximumMessageSize": "1023"}, "InvalidAttributeValue", None),
        ({"MessageRetentionPeriod": "59"}, "InvalidAttributeValue", None),
        ({"ReceiveMessageWaitTimeSeconds": "21"}, "InvalidAttributeValue", None),
        ({"KmsDataKeyReusePeriodSeconds": "59"}, "InvalidAttributeValue", None),
        ({"SqsManagedSseEnabled": "yes"}, "InvalidAttributeValue", None),
        ({"Policy": "{}"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        ({"Nonsense": "1"}, "InvalidAttributeName", "Unknown Attribute Nonsense."),
        ({"QueueArn": "1"}, "InvalidAttributeName", "Unknown Attribute QueueArn."),
        ({"ContentBasedDeduplication": "true"}, "InvalidAttributeName", None),
        ({"FifoQueue": "true"}, "InvalidAttributeName", None),
        ({"RedrivePolicy": "["}, "InvalidParameterValue", None),
        ({"RedrivePolicy": '{"maxReceiveCount": 1}'}, "InvalidParameterValue", None),
        ({"RedriveAllowPolicy": '{"redrivePermission": "some"}'}, "InvalidParameterValue", None),
        ({"RedriveAllowPolicy": '{"redrivePermission": "byQueue"}'}, "InvalidParameterValue", None),
        ({"KmsMasterKeyId": "a", "SqsManagedSseEnabled": "true"}, "InvalidAttributeValue", None),
    ],
)
def test_attributes_that_cannot_be(
    sqs: Sqs, attributes: dict[str, str], code: str, message: str | None
) -> None:
    url = sqs.queue()
    with refused(code, message):
        sqs.of().set_queue_attributes(QueueUrl=url, Attributes=attributes)


def test_dead_letter_queues_that_cannot_be(sqs: Sqs) -> None:
    url = sqs.queue()

    def refuse(target: str, count: Any = 1) -> None:
        text = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": count})
        with refused("InvalidParameterValue"):
            sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": text})

    refuse(arn_of(url) + "absent")
    refuse(arn_of(url))
    refuse(arn_of(sqs.fifo()))
    refuse("arn:aws:sqs:us-east-1:444455556666:theirs")
    refuse(arn_of(sqs.queue()), 0)
    refuse(arn_of(sqs.queue()), 1001)
    refuse(arn_of(sqs.queue(RedriveAllowPolicy={"redrivePermission": "denyAll"})))
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [arn_of(url)]}
    redrive = {"deadLetterTargetArn": arn_of(sqs.queue(RedriveAllowPolicy=allowed)), "maxReceiveCount": 1}
    sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(redrive)})


@pytest.mark.parametrize(
    ("name", "attributes"),
    [("a" * 81, {}), ("a b", {}), ("x.fifo", {}), ("x", {"FifoQueue": "true"}), ("ä", {}), ("a.b", {})],
)
def test_names_that_cannot_be(sqs: Sqs, name: str, attributes: dict[str, str]) -> None:
    with refused("InvalidParameterValue"):
        sqs.of().create_queue(QueueName=name, Attributes=attributes)


def test_lists_come_in_pages(sqs: Sqs) -> None:
    prefix = sqs.name("listed")
    urls = [sqs.of().create_queue(QueueName=f"{prefix}{each}")["QueueUrl"] for each in "abcde"]
    assert sqs.of().list_queues(QueueNamePrefix=prefix)["QueueUrls"] == urls
    pages = (
        sqs.of()
        .get_paginator("list_queues")
        .paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})
    )
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert "QueueUrls" not in sqs.of().list_queues(QueueNamePrefix=prefix + "x")
    with refused("InvalidParameterValue"):
        sqs.of().list_queues(MaxResults=1001)
    with refused("InvalidParameterValue"):
        sqs.of().list_queues(MaxResults=1, NextToken="nonsense")


def test_deleted_queues_are_gone(sqs: Sqs) -> None:
    url = sqs.queue()
    sqs.send(url, "lost")
    sqs.of().delete_queue(QueueUrl=url)
    for refuse in (
        lambda: sqs.send(url, "x"),
        lambda: sqs.receive(url),
        lambda: sqs.of().get_queue_attributes(QueueUrl=url),
        lambda: sqs.of().delete_queue(QueueUrl=url),
        lambda: sqs.of().get_queue_url(QueueName=url.rsplit("/", 1)[1]),
    ):
        with refused(*NO_QUEUE):
            refuse()
    with pytest.raises(sqs.of().exceptions.QueueDoesNotExist):
        sqs.receive(url)
    sqs.of().create_queue(QueueName=url.rsplit("/", 1)[1])
    assert sqs.receive(url) == []


def test_what_is_no_queues_url(sqs: Sqs) -> None:
    with refused("InvalidAddress", "The address nonsense is not valid for this endpoint.", 404):
        sqs.of().send_message(QueueUrl="nonsense", MessageBody="x")


def test_purging(timed: Sqs) -> None:
    url = timed.queue()
    timed.send(url, "a", "b")
    (held,) = timed.receive(url, 1)
    timed.of().purge_queue(QueueUrl=url)
    assert timed.attribute(url, "ApproximateNumberOfMessages") == "0"
    timed.of().delete_message(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    timed.send(url, "c")
    with refused("AWS.SimpleQueueService.PurgeQueueInProgress", status=403):
        timed.of().purge_queue(QueueUrl=url)
    assert timed.bodies(url) == ["c"]
    timed.advance("60s")
    timed.of().purge_queue(QueueUrl=url)


def test_tags(sqs: Sqs) -> None:
    url = sqs.of().create_queue(QueueName=sqs.name(), tags={"team": "red"})["QueueUrl"]
    sqs.of().tag_queue(QueueUrl=url, Tags={"a": "1", "team": "blue"})
    assert sqs.of().list_queue_tags(QueueUrl=url)["Tags"] == {"team": "blue", "a": "1"}
    sqs.of().untag_queue(QueueUrl=url, TagKeys=["team", "absent"])
    assert sqs.of().list_queue_tags(QueueUrl=url)["Tags"] == {"a": "1"}
    for tags in ({"aws:x": "1"}, {"x": "<"}, {f"k{number}": "" for number in range(50)}):
        with refused("InvalidParameterValue"):
            sqs.of().tag_queue(QueueUrl=url, Tags=tags)
