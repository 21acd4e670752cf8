"""Messages: sent, received, hidden, deleted, waited for."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from server_support import casemate, running_server
from sqs_support import Sqs, access_key, arn_of, refused

INVALID = "InvalidParameterValue"


def test_a_message_with_all_it_can_have(sqs: Sqs) -> None:
    url = sqs.queue()
    attributes = {
        "text": {"DataType": "String.own", "StringValue": "äöü"},
        "number": {"DataType": "Number", "StringValue": "-1.5e3"},
        "app.bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.of().send_message(
        QueueUrl=url,
        MessageBody="<body> \U0001f600",
        MessageAttributes=attributes,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}},
    )
    (got,) = sqs.receive(url, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])
    assert got["Body"] == "<body> \U0001f600"
    assert got["MessageId"] == sent["MessageId"]
    assert got["MessageAttributes"] == attributes
    assert got["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    system = got["Attributes"]
    assert system["AWSTraceHeader"] == "Root=1-2-3"
    assert system["ApproximateReceiveCount"] == "1"
    assert int(system["SentTimestamp"]) <= int(system["ApproximateFirstReceiveTimestamp"])
    assert system["SenderId"].startswith("AIDA")


def test_the_digest_of_attributes(sqs: Sqs) -> None:
    sent = sqs.of().send_message(
        QueueUrl=sqs.queue(),
        MessageBody="x",
        MessageAttributes={"timestamp": {"DataType": "Number", "StringValue": "1493147359900"}},
    )
    # As AWS has answered for this attribute.
    assert sent["MD5OfMessageAttributes"] == "235c5c510d26fb653d073faed50ae77c"


def test_only_attributes_that_are_asked_for(sqs: Sqs) -> None:
    url = sqs.queue(VisibilityTimeout="0")
    value = {"DataType": "String", "StringValue": "x"}
    sqs.send(url, "b", MessageAttributes={"app.a": value, "app.b": value, "c": value})

    def names(*asked: str) -> set[str]:
        (got,) = sqs.receive(url, MessageAttributeNames=list(asked))
        return set(got.get("MessageAttributes", {}))

    assert names() == set()
    assert names("c", "absent") == {"c"}
    assert names("app.*") == {"app.a", "app.b"}
    assert names(".*") == {"app.a", "app.b", "c"}
    (got,) = sqs.receive(url, AttributeNames=["SentTimestamp"])
    assert set(got["Attributes"]) == {"SentTimestamp"}
    with refused("InvalidAttributeName", "Unknown Attribute Nonsense."):
        sqs.receive(url, AttributeNames=["Nonsense"])


def test_hidden_until_its_time_is_over(timed: Sqs) -> None:
    url = timed.queue(VisibilityTimeout="30")
    timed.send(url, "a")
    (first,) = timed.receive(url)
    assert timed.receive(url) == []
    assert timed.attribute(url, "ApproximateNumberOfMessagesNotVisible") == "1"
    timed.advance("31s")
    (second,) = timed.receive(url, AttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    timed.of().delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert timed.attribute(url, "ApproximateNumberOfMessagesNotVisible") == "1"
    timed.of().delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    timed.of().delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    timed.advance("31s")
    assert timed.receive(url) == []


def test_visibility_is_changed(timed: Sqs) -> None:
    url = timed.queue()
    timed.send(url, "a")
    (got,) = timed.receive(url)

    def change(seconds: int, handle: str = got["ReceiptHandle"]) -> None:
        timed.of().change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    change(100)
    timed.advance("31s")
    assert timed.receive(url) == []
    with refused(INVALID):
        change(43_201)
    with refused(INVALID):
        change(43_190)
    change(0)
    with refused("AWS.SimpleQueueService.MessageNotInflight"):
        change(10)
    (again,) = timed.receive(url)
    with refused(INVALID):
        change(10)
    change(10, again["ReceiptHandle"])
    timed.of().delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    with refused(INVALID):
        change(10, again["ReceiptHandle"])


def test_handles_are_of_their_queue(sqs: Sqs) -> None:
    url, other = sqs.queue(), sqs.queue()
    sqs.send(url, "a")
    (got,) = sqs.receive(url)
    handle = got["ReceiptHandle"]
    forged = handle[:-8] + ("A" * 7 if handle[-8:-1] != "A" * 7 else "B" * 7) + handle[-1]
    for where, what in ((other, handle), (url, "nonsense"), (url, forged)):
        with refused("ReceiptHandleIsInvalid"):
            sqs.of().delete_message(QueueUrl=where, ReceiptHandle=what)
        with refused("ReceiptHandleIsInvalid"):
            sqs.of().change_message_visibility(QueueUrl=where, ReceiptHandle=what, VisibilityTimeout=1)
    assert sqs.attribute(url, "ApproximateNumberOfMessagesNotVisible") == "1"


def test_delays_and_retention(timed: Sqs) -> None:
    url = timed.queue(DelaySeconds="10", MessageRetentionPeriod="60")
    timed.send(url, "later")
    timed.send(url, "now", DelaySeconds=0)
    assert timed.attribute(url, "ApproximateNumberOfMessagesDelayed") == "1"
    assert timed.bodies(url, VisibilityTimeout=0) == ["now"]
    timed.advance("11s")
    assert sorted(timed.bodies(url, VisibilityTimeout=0)) == ["later", "now"]
    timed.advance("60s")
    assert timed.attribute(url, "ApproximateNumberOfMessages") == "0"
    assert timed.receive(url) == []
    with refused(INVALID):
        timed.send(url, "x", DelaySeconds=901)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"MessageBody": ""}, "MissingParameter"),
        ({"MessageBody": "\x00"}, "InvalidMessageContents"),
        ({"MessageBody": "\ufffe"}, "InvalidMessageContents"),
        ({"MessageDeduplicationId": "x"}, INVALID),
        ({"MessageGroupId": "with space"}, INVALID),
        ({"MessageAttributes": {"AWS.x": {"DataType": "String", "StringValue": "x"}}}, INVALID),
        ({"MessageAttributes": {"a..b": {"DataType": "String", "StringValue": "x"}}}, INVALID),
        ({"MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}}, INVALID),
        ({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}, INVALID),
        ({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}, INVALID),
        ({"MessageAttributes": {"a": {"DataType": "Binary", "StringValue": "x"}}}, INVALID),
        (
            {"MessageAttributes": {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(11)}},
            INVALID,
        ),
        (
            {"MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "Number", "StringValue": "1"}}},
            INVALID,
        ),
    ],
)
def test_messages_that_cannot_be(sqs: Sqs, more: dict[str, Any], code: str) -> None:
    url = sqs.queue()
    with refused(code):
        sqs.of().send_message(**{"QueueUrl": url, "MessageBody": "x", **more})
    assert sqs.receive(url) == []


def test_sizes(sqs: Sqs) -> None:
    url = sqs.queue(MaximumMessageSize="1024")
    sqs.send(url, "x" * 1014, MessageAttributes={"abc": {"DataType": "String", "StringValue": "x"}})
    with refused(
        INVALID, "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    ):
        sqs.send(url, "x" * 1015, MessageAttributes={"abc": {"DataType": "String", "StringValue": "x"}})
    with refused(INVALID):
        sqs.send(url, "ä" * 513)
    large = sqs.queue()
    sqs.send(large, "x" * 1_048_576)
    assert len(sqs.bodies(large)[0]) == 1_048_576
    with refused("AWS.SimpleQueueService.BatchRequestTooLong"):
        sqs.of().send_message_batch(
            QueueUrl=large, Entries=[{"Id": each, "MessageBody": "x" * 600_000} for each in "ab"]
        )


@pytest.mark.parametrize(
    "more",
    [
        {"MaxNumberOfMessages": 0},
        {"MaxNumberOfMessages": 11},
        {"WaitTimeSeconds": 21},
        {"VisibilityTimeout": 43_201},
        {"ReceiveRequestAttemptId": "x"},
    ],
)
def test_receives_that_cannot_be(sqs: Sqs, more: dict[str, Any]) -> None:
    with refused(INVALID):
        sqs.of().receive_message(QueueUrl=sqs.queue(), **more)


def test_batches(sqs: Sqs) -> None:
    url = sqs.queue()
    sent = sqs.of().send_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "a", "MessageBody": "1"},
            {"Id": "b", "MessageBody": "\x01"},
            {"Id": "c", "MessageBody": "3"},
        ],
    )
    assert [entry["Id"] for entry in sent["Successful"]] == ["a", "c"]
    (failed,) = sent["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("b", "InvalidMessageContents", True)
    handles = [message["ReceiptHandle"] for message in sqs.receive(url)]
    changed = sqs.of().change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 60},
            {"Id": "b", "ReceiptHandle": "nonsense", "VisibilityTimeout": 60},
            {"Id": "c", "ReceiptHandle": handles[1]},
        ],
    )
    assert [entry["Id"] for entry in changed["Successful"]] == ["a"]
    assert {entry["Id"]: entry["Code"] for entry in changed["Failed"]} == {
        "b": "ReceiptHandleIsInvalid",
        "c": "MissingParameter",
    }
    deleted = sqs.of().delete_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate([*handles, "nonsense"])
        ],
    )
    assert [entry["Id"] for entry in deleted["Successful"]] == ["0", "1"]
    assert [entry["Code"] for entry in deleted["Failed"]] == ["ReceiptHandleIsInvalid"]
    assert sqs.attribute(url, "ApproximateNumberOfMessagesNotVisible") == "0"


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([str(number) for number in range(11)], "TooManyEntriesInBatchRequest"),
        (["a", "a"], "BatchEntryIdsNotDistinct"),
        (["a b"], "InvalidBatchEntryId"),
    ],
)
def test_batches_that_cannot_be(sqs: Sqs, ids: list[str], code: str) -> None:
    url = sqs.queue()
    with refused(f"AWS.SimpleQueueService.{code}"):
        sqs.of().send_message_batch(QueueUrl=url, Entries=[{"Id": each, "MessageBody": "x"} for each in ids])
    with refused(f"AWS.SimpleQueueService.{code}"):
        sqs.of().delete_message_batch(
            QueueUrl=url, Entries=[{"Id": each, "ReceiptHandle": "x"} for each in ids]
        )


def test_who_waits_is_woken(sqs: Sqs) -> None:
    url = sqs.queue()
    got: list[str] = []
    clients = [sqs.server.client("sqs", access_key("admin")) for _ in range(3)]

    def wait(client: Any) -> None:
        answer = client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        got.extend(message["Body"] for message in answer.get("Messages", []))

    waiting = [threading.Thread(target=wait, args=(client,)) for client in clients]
    for thread in waiting:
        thread.start()
    sqs.of().send_message_batch(
        QueueUrl=url, Entries=[{"Id": each, "MessageBody": each} for each in ("a", "b", "c")]
    )
    for thread in waiting:
        thread.join(10)
    assert sorted(got) == ["a", "b", "c"]


def test_who_waits_gets_what_becomes_visible(sqs: Sqs) -> None:
    url = sqs.queue(ReceiveMessageWaitTimeSeconds="20")
    sqs.send(url, "a", DelaySeconds=1)
    assert sqs.bodies(url) == ["a"]
    assert sqs.receive(url, WaitTimeSeconds=0) == []


def test_two_workers_and_a_stop(tmp_path: Path) -> None:
    """Who waits at one worker gets what another took; a server that is told to end lets nobody wait."""
    with running_server(tmp_path, "--workers", "2", env={"CASEMATE_DRAIN_SECONDS": "10"}) as server:
        clients = [server.client("sqs") for _ in range(6)]
        url = clients[0].create_queue(QueueName="q")["QueueUrl"]
        got: list[Any] = []

        def wait(client: Any) -> None:
            got.append(client.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", []))

        waiting = [threading.Thread(target=wait, args=(client,)) for client in clients[:4]]
        for thread in waiting:
            thread.start()
        for client in clients[4:]:
            client.send_message(QueueUrl=url, MessageBody="x")
        while len(got) < 2:
            waiting[0].join(0.01)
        # Whoever still waited after ten seconds would be cut.
        assert server.stop() == 0
        for thread in waiting:
            thread.join()
    assert sorted(len(each) for each in got) == [0, 0, 1, 1]


def test_dead_letters_and_back(timed: Sqs) -> None:
    dead = timed.queue("dead")
    url = timed.queue(RedrivePolicy={"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 2})
    timed.send(url, "a", MessageAttributes={"x": {"DataType": "String", "StringValue": "y"}})
    for _ in range(2):
        assert timed.bodies(url, VisibilityTimeout=0) == ["a"]
    assert timed.receive(url) == []
    (letter,) = timed.receive(
        dead, AttributeNames=["All"], MessageAttributeNames=["All"], VisibilityTimeout=0
    )
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn_of(url)
    assert letter["Attributes"]["ApproximateReceiveCount"] == "3"
    assert letter["MessageAttributes"]["x"]["StringValue"] == "y"

    task = timed.of().start_message_move_task(SourceArn=arn_of(dead))["TaskHandle"]
    (back,) = timed.receive(url, WaitTimeSeconds=20)
    assert back["Body"] == "a"
    assert timed.receive(dead) == []
    timed.advance("1s")
    (shown,) = timed.of().list_message_move_tasks(SourceArn=arn_of(dead))["Results"]
    assert shown["ApproximateNumberOfMessagesMoved"] == shown["ApproximateNumberOfMessagesToMove"] == 1
    assert shown["Status"] == "COMPLETED"
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        timed.of().cancel_message_move_task(TaskHandle=task)


def test_a_slow_move_is_ended(timed: Sqs) -> None:
    dead, other = timed.queue("dead"), timed.queue()
    timed.queue(RedrivePolicy={"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 2})
    timed.send(dead, "a", "b", "c")
    task = timed.of().start_message_move_task(
        SourceArn=arn_of(dead), DestinationArn=arn_of(other), MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    assert timed.bodies(other, 1, WaitTimeSeconds=20) == ["a"]
    with refused("AWS.SimpleQueueService.UnsupportedOperation"):
        timed.of().start_message_move_task(SourceArn=arn_of(dead))
    ended = timed.of().cancel_message_move_task(TaskHandle=task)
    assert ended["ApproximateNumberOfMessagesMoved"] >= 1
    (shown,) = timed.of().list_message_move_tasks(SourceArn=arn_of(dead))["Results"]
    assert (shown["Status"], shown["DestinationArn"]) == ("CANCELLED", arn_of(other))


def test_moves_that_cannot_be(sqs: Sqs) -> None:
    url = sqs.queue()
    with refused(INVALID, "Source queue must be configured as a Dead Letter Queue."):
        sqs.of().start_message_move_task(SourceArn=arn_of(url))
    with refused("ResourceNotFoundException", status=404):
        sqs.of().start_message_move_task(SourceArn=arn_of(url) + "absent")
    with refused("ResourceNotFoundException", status=404):
        sqs.of().start_message_move_task(SourceArn=arn_of(url), DestinationArn=arn_of(url) + "absent")
    for more in ({"SourceArn": "nonsense"}, {"SourceArn": arn_of(url), "MaxNumberOfMessagesPerSecond": 501}):
        with refused(INVALID):
            sqs.of().start_message_move_task(**more)
    with refused(INVALID):
        sqs.of().cancel_message_move_task(TaskHandle="nonsense")


def test_what_is_stored_is_sealed(sqs: Sqs) -> None:
    url = sqs.queue()
    value = {"DataType": "String", "StringValue": "hidden value"}
    sqs.send(url, "in no file of the server's", MessageAttributes={"secretive-name": value})
    held = b"".join(
        file.read_bytes() for file in sqs.server.data.rglob("*") if file.is_file() and file.stat().st_size
    )
    assert url.rsplit("/", 1)[1].encode() in held
    for text in (b"in no file", b"secretive-name", b"hidden value"):
        assert text not in held


def test_redrive_policies_are_json_as_given(sqs: Sqs) -> None:
    dead = sqs.queue()
    text = json.dumps({"maxReceiveCount": 5, "deadLetterTargetArn": arn_of(dead)})
    assert sqs.attribute(sqs.queue(RedrivePolicy=text), "RedrivePolicy") == text


def test_the_audit_does_not_show_messages(sqs: Sqs) -> None:
    url = sqs.queue()
    sqs.send(url, "not in the audit")
    sqs.receive(url)
    listed = casemate("audit", "tail", "--data", str(sqs.server.data), "-n", "all", "--json").stdout
    records = [json.loads(line) for line in listed.splitlines() if url in line]
    assert [record["eventName"] for record in records][-2:] == ["SendMessage", "ReceiveMessage"]
    assert records[-2]["requestParameters"]["messageBody"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert "not in the audit" not in listed
