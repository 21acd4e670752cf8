"""FIFO queues: order within groups, deduplication, attempts."""

from __future__ import annotations

from typing import Any

import pytest
from sqs_support import Sqs, arn_of, refused


def _put(sqs: Sqs, url: str, *messages: str) -> None:
    """Messages as "group:body"."""
    for message in messages:
        group, body = message.split(":")
        sqs.send(url, body, MessageGroupId=group, MessageDeduplicationId=f"{group}-{body}")


def test_order_within_a_group(sqs: Sqs) -> None:
    url = sqs.fifo()
    _put(sqs, url, "g:1", "h:2", "g:3", "g:4", "h:5")
    first = sqs.receive(url, 2, AttributeNames=["All"])
    assert [message["Body"] for message in first] == ["1", "2"]
    assert first[0]["Attributes"]["MessageGroupId"] == "g"
    assert first[0]["Attributes"]["MessageDeduplicationId"] == "g-1"
    assert first[0]["Attributes"]["SequenceNumber"] < first[1]["Attributes"]["SequenceNumber"]
    assert sqs.receive(url) == []
    sqs.of().delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert sqs.bodies(url) == ["3", "4"]
    sqs.of().change_message_visibility(
        QueueUrl=url, ReceiptHandle=first[1]["ReceiptHandle"], VisibilityTimeout=0
    )
    assert sqs.bodies(url) == ["2", "5"]


def test_sent_once_in_five_minutes(timed: Sqs) -> None:
    url = timed.fifo(ContentBasedDeduplication="true")

    def send(body: str, group: str = "g", **more: Any) -> Any:
        return timed.of().send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, **more)

    first = send("a")
    again = send("a", "h")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    send("a", MessageDeduplicationId="another")
    (got, _) = timed.receive(url)
    timed.of().delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    assert send("a")["MessageId"] == first["MessageId"]
    timed.advance("301s")
    assert send("a")["MessageId"] != first["MessageId"]


def test_deduplication_by_group(sqs: Sqs) -> None:
    url = sqs.fifo(DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in ("g", "h", "g"):
        sqs.send(url, "x", MessageGroupId=group, MessageDeduplicationId="same")
    assert sqs.bodies(url) == ["x", "x"]
    with refused("InvalidAttributeValue"):
        sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"DeduplicationScope": "queue"})


def test_an_attempt_that_is_made_again(sqs: Sqs) -> None:
    url = sqs.fifo()
    _put(sqs, url, "g:1", "h:2")
    first = sqs.receive(url, 1, ReceiveRequestAttemptId="try")
    again = sqs.receive(url, 1, ReceiveRequestAttemptId="try")
    assert [message["Body"] for message in again] == ["1"]
    sqs.of().delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert sqs.bodies(url, 1, ReceiveRequestAttemptId="try") == ["2"]


def test_a_handle_whose_time_is_over(timed: Sqs) -> None:
    url = timed.fifo()
    _put(timed, url, "g:1")
    (got,) = timed.receive(url)
    timed.advance("31s")
    with refused("InvalidParameterValue"):
        timed.of().delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    assert timed.bodies(url) == ["1"]


def test_dead_letters_keep_their_order(sqs: Sqs) -> None:
    dead = sqs.fifo()
    url = sqs.fifo(RedrivePolicy={"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 1})
    _put(sqs, url, "g:1", "g:2", "h:3")
    assert sqs.bodies(url, VisibilityTimeout=0) == ["1", "2", "3"]
    assert sqs.receive(url) == []
    assert sqs.bodies(dead) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "MissingParameter"),
        ({"MessageGroupId": "g"}, "InvalidParameterValue"),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "x" * 129}, "InvalidParameterValue"),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "x", "DelaySeconds": 1}, "InvalidParameterValue"),
    ],
)
def test_messages_that_cannot_be_ordered(sqs: Sqs, more: dict[str, Any], code: str) -> None:
    with refused(code):
        sqs.send(sqs.fifo(), "x", **more)
