"""Event source mappings: functions that are invoked with the messages of queues."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from lambda_support import ACCOUNT, REGION, Lambda, allowing, arn, lambda_server, refused
from server_support import casemate, functions_run

from casemate.engine.events.tokens import PatternError
from casemate.services.lambda_.queue_events import compiled, failed_ids, record_of, wanted
from casemate.services.lambda_.sharing import may_have_one_more

TELLS = """
    import boto3, json

    sqs = boto3.client("sqs")

    def handler(event, context):
        _, _, _, region, account, name = event["Records"][0]["eventSourceARN"].split(":")
        url = f"https://sqs.{region}.amazonaws.com/{account}/{name.replace('.fifo', '')}-done"
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
        bodies = [record["body"] for record in event["Records"]]
        if any("raise" in body for body in bodies):
            raise ValueError("told to fail")
        bad = [record["messageId"] for record in event["Records"] if "bad" in record["body"]]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in bad]}
"""

_numbers = count(1)


class Mapped(NamedTuple):
    """A server with a function that tells what it is invoked with."""

    server: Lambda
    function: str

    @property
    def sqs(self) -> Any:
        return self.server.of(service="sqs")

    def queue(self, *, fifo: bool = False, **attributes: str) -> tuple[str, str]:
        """A new queue, with one for what the function tells of it: URL and ARN."""
        name = f"source-{next(_numbers)}"
        self.sqs.create_queue(QueueName=f"{name}-done")
        if fifo:
            name, attributes = f"{name}.fifo", {**attributes, "FifoQueue": "true"}
        url: str = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def map(self, source: str, **more: Any) -> str:
        """A new mapping: its UUID."""
        made = self.server.of().create_event_source_mapping(
            **{"FunctionName": self.function, "EventSourceArn": source, **more}
        )
        assert made["State"] == "Creating"
        mapping: str = made["UUID"]
        return mapping

    def told(self, url: str, least: int = 1) -> list[dict[str, Any]]:
        """The records of all invocations that the function tells of, once there are so many."""
        found: list[dict[str, Any]] = []
        done, end = url.replace(".fifo", "") + "-done", time.monotonic() + 30
        while len(found) < least:
            assert time.monotonic() < end, (found, self.server.server.log[-3000:])
            messages = self.sqs.receive_message(QueueUrl=done, WaitTimeSeconds=1).get("Messages", [])
            for message in messages:
                found += json.loads(message["Body"])["Records"]
                self.sqs.delete_message(QueueUrl=done, ReceiptHandle=message["ReceiptHandle"])
        return found

    def left(self, url: str) -> int:
        """Messages in a queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in attributes.values())

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end, self.server.server.log[-3000:]
            time.sleep(0.05)

    def advance(self, by: str) -> None:
        moved = casemate("clock", "--data", str(self.server.server.data), "--advance", by)
        assert moved.returncode == 0, moved.stderr


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapped]:
    with lambda_server(tmp_path_factory.mktemp("queues"), env=functions_run()) as server:
        role = server.role("poller", "sqs:*")
        yield Mapped(server, server.make(TELLS, Role=role, Timeout=20))


def test_a_function_is_invoked_with_a_queues_messages(mapped: Mapped) -> None:
    url, source = mapped.queue()
    client = mapped.server.of()
    mapping = mapped.map(source)
    shown = client.get_event_source_mapping(UUID=mapping)
    assert (shown["State"], shown["BatchSize"], shown["MaximumBatchingWindowInSeconds"]) == ("Enabled", 10, 0)
    assert shown["FunctionArn"] == arn(mapped.function)
    assert shown["LastProcessingResult"] == "No records processed"
    sent = mapped.sqs.send_message(
        QueueUrl=url,
        MessageBody="first",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "test"}},
    )
    (record,) = mapped.told(url)
    assert record["messageId"] == sent["MessageId"]
    assert record["body"] == "first"
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == (
        "aws:sqs",
        source,
        REGION,
    )
    assert record["messageAttributes"] == {
        "kind": {
            "stringValue": "test",
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        }
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    mapped.until(lambda: mapped.left(url) == 0)
    mapped.until(
        lambda: client.get_event_source_mapping(UUID=mapping)["LastProcessingResult"] == "OK",
    )
    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    assert client.get_event_source_mapping(UUID=mapping)["State"] == "Disabled"
    assert client.delete_event_source_mapping(UUID=mapping)["State"] == "Deleting"
    with refused("ResourceNotFoundException", "The resource you requested does not exist.", 404):
        client.get_event_source_mapping(UUID=mapping)


def test_messages_that_a_function_says_have_failed_come_again(mapped: Mapped) -> None:
    url, source = mapped.queue()
    mapped.map(source, FunctionResponseTypes=["ReportBatchItemFailures"])
    entries = [{"Id": body, "MessageBody": body} for body in ("good", "bad", "fine")]
    mapped.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert sorted(record["body"] for record in mapped.told(url, 3)) == ["bad", "fine", "good"]
    mapped.until(lambda: mapped.left(url) == 1)
    mapped.advance("31s")
    (again,) = mapped.told(url)
    assert again["body"] == "bad"
    assert again["attributes"]["ApproximateReceiveCount"] == "2"


def test_what_fails_goes_to_the_queues_dead_letter_queue(mapped: Mapped) -> None:
    dead, dead_arn = mapped.queue()
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url, source = mapped.queue(RedrivePolicy=redrive)
    mapping = mapped.map(source)
    mapped.sqs.send_message(QueueUrl=url, MessageBody="raise")
    mapped.told(url)
    client = mapped.server.of()
    mapped.until(
        lambda: (
            client.get_event_source_mapping(UUID=mapping)["LastProcessingResult"]
            == "PROBLEM: Function call failed"
        )
    )
    mapped.advance("31s")
    mapped.until(lambda: mapped.left(dead) == 1)
    assert mapped.left(url) == 0


def test_messages_that_no_filter_wants_are_deleted(mapped: Mapped) -> None:
    url, source = mapped.queue()
    pattern = json.dumps({"body": {"temperature": [{"numeric": [">", 30]}]}})
    mapping = mapped.map(source, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    shown = mapped.server.of().get_event_source_mapping(UUID=mapping)
    assert shown["FilterCriteria"] == {"Filters": [{"Pattern": pattern}]}
    for body in ('{"temperature": 20}', "no JSON", '{"temperature": 40}'):
        mapped.sqs.send_message(QueueUrl=url, MessageBody=body)
    assert [record["body"] for record in mapped.told(url)] == ['{"temperature": 40}']
    mapped.until(lambda: mapped.left(url) == 0)


def test_messages_of_a_group_come_in_order_and_large_batches_are_gathered(mapped: Mapped) -> None:
    url, source = mapped.queue(fifo=True, ContentBasedDeduplication="true")
    wide, wide_source = mapped.queue()
    for number in range(14):
        mapped.sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageGroupId="one")
        mapped.sqs.send_message(QueueUrl=wide, MessageBody=str(number))
    mapped.map(source, ScalingConfig={"MaximumConcurrency": 2})
    mapped.map(wide_source, BatchSize=14, MaximumBatchingWindowInSeconds=10)
    assert [record["body"] for record in mapped.told(url, 14)] == [str(number) for number in range(14)]
    # One invocation had all of them.
    assert sorted(int(record["body"]) for record in mapped.told(wide)) == list(range(14))


def test_what_is_no_mapping(mapped: Mapped) -> None:
    client = mapped.server.of()
    _, source = mapped.queue()
    _, ordered = mapped.queue(fifo=True)
    _, quick = mapped.queue(VisibilityTimeout="5")
    refusals: tuple[tuple[dict[str, Any], str], ...] = (
        ({"BatchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
        ({"EventSourceArn": ordered, "MaximumBatchingWindowInSeconds": 1}, "not supported for FIFO"),
        ({"EventSourceArn": ordered, "BatchSize": 11}, "Maximum batch size for FIFO queues is 10."),
        ({"EventSourceArn": quick}, "Queue visibility timeout: 5 seconds is less than Function timeout: 20"),
        ({"EventSourceArn": f"{source}-none"}, "QueueDoesNotExist"),
        ({"StartingPosition": "LATEST"}, "StartingPosition is not supported"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "Invalid filter pattern definition."),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}] * 11}}, "maximum number of filters"),
    )
    for more, message in refusals:
        with pytest.raises(ClientError, match=f"InvalidParameterValueException.*{message}"):
            mapped.map(**{"source": source, **more})
    with refused("NotImplemented", status=501):
        mapped.map(f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/one")
    with refused("NotImplemented", status=501):
        mapped.map(source, ProvisionedPollerConfig={"MinimumPollers": 2})
    with refused("ResourceNotFoundException", f"Function not found: {arn('missing')}", 404):
        mapped.map(source, FunctionName="missing")
    weak = mapped.server.make(Role=mapped.server.role("weak", "sqs:ReceiveMessage"))
    with refused(
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call DeleteMessage on SQS",
    ):
        mapped.map(source, FunctionName=weak)
    mapping = mapped.map(source)
    with pytest.raises(ClientError, match=f"ResourceConflictException.*with UUID {mapping}"):
        mapped.map(source)
    with refused("ResourceNotFoundException", status=404):
        client.update_event_source_mapping(UUID="0" * 36, Enabled=False)


def test_who_may_have_mappings(mapped: Mapped) -> None:
    _, source = mapped.queue()
    nobody, iam = mapped.server.of("nobody"), mapped.server.of(service="iam")
    with refused("AccessDeniedException", status=403):
        nobody.create_event_source_mapping(FunctionName=mapped.function, EventSourceArn=source)
    for function, allowed in ((arn("another"), False), (arn(mapped.function), True)):
        iam.put_user_policy(
            UserName="nobody",
            PolicyName="own",
            PolicyDocument=allowing(
                "lambda:CreateEventSourceMapping",
                "lambda:GetEventSourceMapping",
                Condition={"ArnEquals": {"lambda:FunctionArn": function}},
            ),
        )
        if allowed:
            made = nobody.create_event_source_mapping(FunctionName=mapped.function, EventSourceArn=source)
        else:
            with refused("AccessDeniedException", status=403):
                nobody.create_event_source_mapping(FunctionName=mapped.function, EventSourceArn=source)
    assert nobody.get_event_source_mapping(UUID=made["UUID"])["UUID"] == made["UUID"]
    with refused("AccessDeniedException", status=403):
        nobody.delete_event_source_mapping(UUID=made["UUID"])
    # Another account's have nothing to do with it.
    with refused("ResourceNotFoundException", status=404):
        mapped.server.of("stranger").get_event_source_mapping(UUID=made["UUID"])


def test_mappings_are_listed(mapped: Mapped) -> None:
    client = mapped.server.of()
    sources = [mapped.queue()[1] for _ in range(3)]
    made = {mapped.map(source, Enabled=False) for source in sources}
    pages = client.get_paginator("list_event_source_mappings").paginate(
        FunctionName=mapped.function, PaginationConfig={"PageSize": 2}
    )
    listed = {each["UUID"] for page in pages for each in page["EventSourceMappings"]}
    assert made <= listed
    (one,) = client.list_event_source_mappings(EventSourceArn=sources[1])["EventSourceMappings"]
    assert (one["EventSourceArn"], one["State"]) == (sources[1], "Disabled")


# --- what needs no server


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (b"null", frozenset()),
        (b"", frozenset()),
        (b"{}", frozenset()),
        (b'{"batchItemFailures": []}', frozenset()),
        (b'{"batchItemFailures": null}', frozenset()),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}]}', frozenset({"a"})),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', None),
        (b'{"batchItemFailures": [{"other": "a"}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": "of another batch"}]}', None),
        (b'{"batchItemFailures": [{"itemIdentifier": ["a"]}]}', None),
        (b'"done"', None),
        (b"no JSON", None),
    ],
)
def test_what_a_function_may_answer(payload: bytes, failed: frozenset[str] | None) -> None:
    assert failed_ids(payload, ["a", "b"]) == failed


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_no_answer_names_others_than_the_batch_has(payload: bytes) -> None:
    assert (failed_ids(payload, ["a"]) or frozenset()) <= {"a"}


@pytest.mark.parametrize(
    ("pattern", "body", "matches"),
    [
        ({"body": ["plain"]}, "plain", True),
        ({"body": ["plain"]}, "other", False),
        ({"body": {"a": [1]}}, '{"a": 1}', True),
        ({"body": {"a": [1]}}, "plain", False),
        ({"body": {"a": [1]}}, "[1]", False),
        ({"messageAttributes": {"kind": {"stringValue": ["x"]}}}, "any", True),
        ({}, "any", True),
    ],
)
def test_patterns_look_into_messages(pattern: Any, body: str, matches: bool) -> None:
    message = {
        "MessageId": "1",
        "ReceiptHandle": "r",
        "Body": body,
        "MD5OfBody": "m",
        "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "x"}},
    }
    record = record_of(message, f"arn:aws:sqs:{REGION}:{ACCOUNT}:one")
    assert wanted(compiled([json.dumps(pattern)]), record) is matches
    assert wanted((), record)


def test_a_pattern_must_be_one() -> None:
    with pytest.raises(PatternError):
        compiled(['{"body": 1}'])


def test_accounts_share_what_there_is() -> None:
    assert may_have_one_more(7, 7, 8, alone=True)
    assert not may_have_one_more(6, 6, 8, alone=False)
    assert may_have_one_more(0, 6, 8, alone=False)
    assert not may_have_one_more(0, 8, 8, alone=False)
    assert may_have_one_more(0, 0, 1, alone=False)
