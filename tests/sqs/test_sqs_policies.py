"""Who may do what: identity policies, queue policies, other accounts, permissions added and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqs_support import (
    ACCOUNT,
    NO_QUEUE,
    OTHER_ACCOUNT,
    REGION,
    Sqs,
    arn_of,
    policy,
    refused,
    statement,
    user_arn,
)

INVALID = "InvalidParameterValue"


def _denied(
    action: str, arn: str, user: str = "nobody", why: str = "identity-based policy"
) -> tuple[str, str, int]:
    return (
        "AccessDenied",
        f"User: {user_arn(user)} is not authorized to perform: {action} on resource: {arn} because no {why} allows "
        f"the {action} action",
        403,
    )


def test_nobody_may_anything(sqs: Sqs) -> None:
    url, client = sqs.queue(), sqs.of("nobody")
    arn = arn_of(url)
    operations: dict[str, Callable[[], object]] = {
        "SendMessage": lambda: client.send_message(QueueUrl=url, MessageBody="x"),
        "ReceiveMessage": lambda: client.receive_message(QueueUrl=url),
        "DeleteMessage": lambda: client.delete_message(QueueUrl=url, ReceiptHandle="x"),
        "ChangeMessageVisibility": lambda: client.change_message_visibility(
            QueueUrl=url, ReceiptHandle="x", VisibilityTimeout=1
        ),
        "GetQueueAttributes": lambda: client.get_queue_attributes(QueueUrl=url),
        "SetQueueAttributes": lambda: client.set_queue_attributes(
            QueueUrl=url, Attributes={"DelaySeconds": "1"}
        ),
        "PurgeQueue": lambda: client.purge_queue(QueueUrl=url),
        "DeleteQueue": lambda: client.delete_queue(QueueUrl=url),
        "TagQueue": lambda: client.tag_queue(QueueUrl=url, Tags={"a": "b"}),
        "StartMessageMoveTask": lambda: client.start_message_move_task(SourceArn=arn),
    }
    for action, do in operations.items():
        with refused(*_denied(f"sqs:{action}", arn)):
            do()
    with refused(*_denied("sqs:SendMessage", arn)):
        client.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x"}])
    # What is not there is not told from what is.
    with refused(*_denied("sqs:SendMessage", f"{arn}absent")):
        client.send_message(QueueUrl=f"{url}absent", MessageBody="x")


def test_by_name_and_by_tag(sqs: Sqs) -> None:
    ours, others = sqs.queue("app"), sqs.queue("other")
    sqs.of("sender").send_message(QueueUrl=ours, MessageBody="x")
    with refused(*_denied("sqs:SendMessage", arn_of(others), "sender")):
        sqs.of("sender").send_message(QueueUrl=others, MessageBody="x")
    with refused(*_denied("sqs:SendMessage", arn_of(others), "red")):
        sqs.of("red").send_message(QueueUrl=others, MessageBody="x")
    with refused(*_denied("sqs:TagQueue", arn_of(others), "red")):
        sqs.of("red").tag_queue(QueueUrl=others, Tags={"other": "red"})
    sqs.of("red").tag_queue(QueueUrl=others, Tags={"team": "red"})
    sqs.of("red").send_message(QueueUrl=others, MessageBody="x")
    name = sqs.name()
    sqs.of("maker").create_queue(QueueName=name)
    with refused("AccessDenied", status=403):
        sqs.of("maker").create_queue(QueueName=sqs.name(), tags={"a": "b"})


def test_messages_go_back_only_to_where_one_may_send(sqs: Sqs) -> None:
    dead = sqs.queue("dead")
    redrive = {"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 2}
    open_, closed = sqs.queue("a", RedrivePolicy=redrive), sqs.queue("b", RedrivePolicy=redrive)
    _set(
        sqs,
        closed,
        policy(statement("sqs:SendMessage", resource=arn_of(closed), effect="Deny", Principal="*")),
    )
    with refused("AccessDenied", status=403):
        sqs.of().start_message_move_task(SourceArn=arn_of(dead))
    assert "Results" not in sqs.of().list_message_move_tasks(SourceArn=arn_of(dead))
    sqs.of().start_message_move_task(SourceArn=arn_of(dead), DestinationArn=arn_of(open_))


def _allowing(url: str, principal: Any, *actions: str, **more: Any) -> str:
    return policy(statement(*actions, resource=arn_of(url), Principal=principal, **more))


def _set(sqs: Sqs, url: str, document: str) -> None:
    sqs.of().set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})


def test_a_queues_policy_allows_and_denies(sqs: Sqs) -> None:
    url = sqs.queue()
    document = _allowing(url, {"AWS": user_arn("nobody")}, "sqs:SendMessage")
    _set(sqs, url, document)
    assert sqs.attribute(url, "Policy") == document
    sqs.of("nobody").send_message(QueueUrl=url, MessageBody="x")
    with refused(*_denied("sqs:ReceiveMessage", arn_of(url))):
        sqs.of("nobody").receive_message(QueueUrl=url)
    _set(
        sqs,
        url,
        _allowing(url, "*", "sqs:*", effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    )
    with refused("AccessDenied", status=403):
        sqs.send(url, "x")
    for bad in (
        policy(statement("sqs:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/absent"})),
        policy(statement("sqs:*")),
        policy(statement("sqs:*", Principal="*", Sid="x" * 8192)),
        "x",
    ):
        with refused("InvalidAttributeValue"):
            sqs.of().create_queue(QueueName=sqs.name(), Attributes={"Policy": bad})


def test_policies_have_twenty_statements(sqs: Sqs) -> None:
    url = sqs.queue()

    def statements(number: int) -> str:
        return policy(*(statement("sqs:SendMessage", Principal="*", Sid=str(each)) for each in range(number)))

    _set(sqs, url, statements(20))
    with refused("OverLimit", status=403):
        _set(sqs, url, statements(21))
    with refused("OverLimit", status=403):
        sqs.of().add_permission(
            QueueUrl=url, Label="more", AWSAccountIds=[OTHER_ACCOUNT], Actions=["SendMessage"]
        )


def test_other_accounts(sqs: Sqs) -> None:
    url, theirs = sqs.queue(), sqs.of("stranger")
    with refused("AccessDenied", status=403):
        theirs.send_message(QueueUrl=url, MessageBody="x")
    _set(sqs, url, _allowing(url, {"AWS": OTHER_ACCOUNT}, "sqs:*"))
    theirs.send_message(QueueUrl=url, MessageBody="x")
    assert theirs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"
    name = url.rsplit("/", 1)[1]
    assert theirs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"] == url
    with refused(*NO_QUEUE):
        theirs.get_queue_url(QueueName=name)
    # Whatever the policy says, these are the owner's.
    owners: list[Callable[[], object]] = [
        lambda: theirs.delete_queue(QueueUrl=url),
        lambda: theirs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "1"}),
        lambda: theirs.tag_queue(QueueUrl=url, Tags={"a": "b"}),
        lambda: theirs.add_permission(QueueUrl=url, Label="x", AWSAccountIds=["1" * 12], Actions=["*"]),
        lambda: theirs.purge_queue(QueueUrl=url),
    ]
    for do in owners:
        with refused("AccessDenied", status=403):
            do()


def test_permissions_are_added_and_removed(sqs: Sqs) -> None:
    url, theirs = sqs.queue(), sqs.of("stranger")

    def add(label: str = "share", accounts: Any = (OTHER_ACCOUNT,), actions: Any = ("SendMessage",)) -> None:
        sqs.of().add_permission(
            QueueUrl=url, Label=label, AWSAccountIds=list(accounts), Actions=list(actions)
        )

    add()
    theirs.send_message(QueueUrl=url, MessageBody="x")
    document = json.loads(sqs.attribute(url, "Policy") or "")
    assert document["Statement"] == [
        {
            "Sid": "share",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
            "Action": "SQS:SendMessage",
            "Resource": arn_of(url),
        }
    ]
    with refused(INVALID, "Value share for parameter Label is invalid. Reason: Already exists."):
        add()
    for more in (
        {"label": "a b"},
        {"label": "x", "actions": ["DeleteQueue"]},
        {"label": "x", "accounts": ["123"]},
    ):
        with refused(INVALID):
            add(**more)
    with refused("OverLimit", status=403):
        add("many", actions=["SendMessage"] * 8)
    sqs.of().remove_permission(QueueUrl=url, Label="share")
    assert sqs.attribute(url, "Policy") is None
    with refused("AccessDenied", status=403):
        theirs.send_message(QueueUrl=url, MessageBody="x")
    with refused(INVALID, "Value share for parameter Label is invalid. Reason: can't find label."):
        sqs.of().remove_permission(QueueUrl=url, Label="share")


@pytest.fixture
def key(sqs: Sqs) -> str:
    """A KMS key that whoever IAM lets may use through SQS."""
    arn: str = sqs.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    return arn


def test_messages_under_a_kms_key(sqs: Sqs, key: str) -> None:
    kms = sqs.of(service="kms")
    url = sqs.queue(KmsMasterKeyId=key)
    _set(sqs, url, _allowing(url, {"AWS": user_arn("messenger")}, "sqs:*"))
    messenger = sqs.of("messenger")
    for _ in range(2):
        with refused("KMS.AccessDeniedException"):
            messenger.send_message(QueueUrl=url, MessageBody="x")
    via = {
        "StringEquals": {
            "kms:ViaService": f"sqs.{REGION}.amazonaws.com",
            "kms:EncryptionContext:aws:sqs:arn": arn_of(url),
        }
    }
    may = statement("kms:GenerateDataKey", Principal={"AWS": user_arn("messenger")}, Condition=via)
    root = statement("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    kms.put_key_policy(KeyId=key, Policy=policy(root, may))
    messenger.send_message(QueueUrl=url, MessageBody="sealed")
    with refused("KMS.AccessDeniedException"):
        messenger.receive_message(QueueUrl=url)
    # A second sender opens the first one's data key.
    sqs.send(url, "too")
    assert sorted(sqs.bodies(url)) == ["sealed", "too"]


def test_a_key_that_is_disabled(timed: Sqs) -> None:
    kms = timed.of(service="kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    url = timed.queue(KmsMasterKeyId=key, KmsDataKeyReusePeriodSeconds="60", VisibilityTimeout="0")
    timed.send(url, "x")
    kms.disable_key(KeyId=key)
    timed.advance("61s")
    for do in (lambda: timed.send(url, "y"), lambda: timed.receive(url)):
        with refused("KMS.DisabledException"):
            do()
    kms.enable_key(KeyId=key)
    assert timed.bodies(url) == ["x"]
    absent = timed.queue(KmsMasterKeyId="alias/absent")
    with refused("KMS.NotFoundException"):
        timed.send(absent, "x")
    managed = timed.queue(KmsMasterKeyId="alias/aws/sqs")
    timed.send(managed, "x")
    assert timed.bodies(managed) == ["x"]
