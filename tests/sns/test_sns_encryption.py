"""Encrypted topics and queues, whose keys' policies let the services; topics of other accounts; deduplication."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sns_support import let, subscribed_queue, topic
from sqs_support import ACCOUNT, OTHER_ACCOUNT, REGION, Sqs, arn_of, policy, refused, statement, user_arn

RAW = {"RawMessageDelivery": "true"}


def _key(aws: Sqs, *more: Any) -> str:
    root = statement("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    made: str = aws.of(service="kms").create_key(Policy=policy(root, *more))["KeyMetadata"]["Arn"]
    return made


def _service(arn: str, **condition: Any) -> Any:
    """A statement by which SNS uses a key, for a topic."""
    return statement(
        "kms:GenerateDataKey",
        "kms:Decrypt",
        Principal={"Service": "sns.amazonaws.com"},
        Condition={"ArnEquals": {"aws:SourceArn": arn}, **condition},
    )


def test_from_an_encrypted_topic_to_an_encrypted_queue(aws: Sqs) -> None:
    """The key of a queue must let SNS, for this topic; the topic's own must let its publisher."""
    arn, dead = topic(aws, KmsMasterKeyId=_key(aws)), aws.queue()
    let(aws, dead, arn)
    redrive = {**RAW, "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn_of(dead)})}
    url = subscribed_queue(aws, arn, redrive)
    client = aws.of()

    def encrypt(key: str) -> None:
        client.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": key})

    def publish(message: str) -> None:
        aws.of(service="sns").publish(TopicArn=arn, Message=message)

    encrypt(_key(aws))
    publish("not let")
    encrypt(_key(aws, _service(f"{arn}-other")))
    publish("let for another topic")
    assert aws.receive(url) == []
    assert sorted(aws.bodies(dead)) == ["let for another topic", "not let"]
    encrypt(_key(aws, _service(arn, StringEquals={"aws:SourceAccount": ACCOUNT})))
    publish("let")
    assert aws.bodies(url) == ["let"]
    assert aws.receive(dead) == []


def test_another_accounts_topic(aws: Sqs) -> None:
    """It is subscribed to and published to by whom its policy lets, if their own policies do as well."""
    arn = topic(aws)
    theirs, sqs = aws.of("stranger", "sns"), aws.of("stranger")
    with refused("AuthorizationError", status=403):
        theirs.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:x")
    document = policy(
        statement(
            "sns:Subscribe",
            resource=arn,
            Principal={"AWS": OTHER_ACCOUNT},
            Condition={"StringEquals": {"sns:Protocol": "sqs"}},
        ),
        statement("sns:Publish", resource=arn, Principal={"AWS": [OTHER_ACCOUNT, user_arn("nobody")]}),
    )
    aws.of(service="sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document)
    url = sqs.create_queue(QueueName=aws.name("theirs"))["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:{url.rsplit('/', 1)[1]}"
    allow = statement(
        "sqs:SendMessage",
        resource=queue,
        Principal={"Service": "sns.amazonaws.com"},
        Condition={"ArnEquals": {"aws:SourceArn": arn}},
    )
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(allow)})
    # The queue is the subscriber's own: nobody need confirm.
    made = theirs.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes=RAW)["SubscriptionArn"]
    assert made.startswith(f"{arn}:")
    with refused("AuthorizationError", status=403):
        theirs.subscribe(TopicArn=arn, Protocol="https", Endpoint="https://example.com/")
    theirs.publish(TopicArn=arn, Message="from their account to theirs")
    (got,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert got["Body"] == "from their account to theirs"
    (listed,) = aws.of(service="sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert (listed["Owner"], listed["SubscriptionArn"]) == (OTHER_ACCOUNT, made)
    with refused("AuthorizationError", status=403):
        theirs.get_topic_attributes(TopicArn=arn)
    theirs.unsubscribe(SubscriptionArn=made)
    assert aws.of(service="sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []


@pytest.mark.parametrize(("scope", "expected"), [("Topic", ["a", "b"]), ("MessageGroup", ["a", "a", "b"])])
def test_the_scope_of_deduplication(aws: Sqs, scope: str, expected: list[str]) -> None:
    arn = topic(aws, FifoTopic="true", FifoThroughputScope=scope)
    url = subscribed_queue(aws, arn, RAW, fifo=True)
    aws.of().set_queue_attributes(
        QueueUrl=url,
        Attributes={"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"},
    )
    for body, group in (("a", "one"), ("a", "one"), ("a", "two"), ("b", "two")):
        aws.of(service="sns").publish(
            TopicArn=arn, Message=body, MessageGroupId=group, MessageDeduplicationId=body
        )
    assert sorted(aws.bodies(url)) == expected


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (policy(statement("s3:GetObject", Principal="*")), "Policy statement action out of service scope!"),
        (
            policy(*(statement("sns:Publish", Principal="*", Sid=str(number)) for number in range(101))),
            "Policy Error: the policy has more than 100 statements",
        ),
        (
            policy(statement("sns:Publish", Principal="*", Sid="x" * 30_720)),
            "Policy Error: the policy is larger than 30 KB",
        ),
    ],
)
def test_policies_that_are_no_topics(aws: Sqs, document: str, why: str) -> None:
    with refused("InvalidParameter", f"Invalid parameter: {why}"):
        aws.of(service="sns").set_topic_attributes(
            TopicArn=topic(aws), AttributeName="Policy", AttributeValue=document
        )
