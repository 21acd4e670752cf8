"""Log events that functions subscribe to: which are sent, in which form, and when a function may not be called."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from lambda_support import ACCOUNT, REGION, Lambda, arn, refused

FORWARDS = """
    import base64, boto3, gzip, json

    def handler(event, context):
        data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
        for entry in data["logEvents"]:
            name = "/logged/" + context.function_name + "/" + entry["message"].split()[-1]
            boto3.client("ssm").put_parameter(Name=name, Value=json.dumps(data), Type="String")
"""


class Subscribed:
    """A function that tells what it got, and a log group."""

    def __init__(self, server: Lambda) -> None:
        self.server = server
        self.logs = server.of(service="logs")
        role = server.role(f"forwarder-{uuid4().hex[:8]}", "ssm:PutParameter")
        self.name = server.make(FORWARDS, Role=role, Timeout=20)
        self.group = f"/app/{uuid4().hex[:8]}"
        self.group_arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{self.group}"
        self.logs.create_log_group(logGroupName=self.group)
        self.logs.create_log_stream(logGroupName=self.group, logStreamName="s")

    def permit(self, source: str) -> None:
        self.server.of().add_permission(
            FunctionName=self.name,
            StatementId=uuid4().hex,
            Action="lambda:InvokeFunction",
            Principal="logs.amazonaws.com",
            SourceArn=source,
        )

    def subscribe(self, pattern: str, name: str = "errors") -> None:
        self.logs.put_subscription_filter(
            logGroupName=self.group, filterName=name, filterPattern=pattern, destinationArn=arn(self.name)
        )

    def put(self, *messages: str) -> None:
        now = int(time.time() * 1000)
        self.logs.put_log_events(
            logGroupName=self.group,
            logStreamName="s",
            logEvents=[{"timestamp": now, "message": message} for message in messages],
        )

    def told(self) -> dict[str, Any]:
        """By the last word of the message."""
        found = self.server.of(service="ssm").get_parameters_by_path(Path=f"/logged/{self.name}")[
            "Parameters"
        ]
        return {each["Name"].rpartition("/")[2]: json.loads(each["Value"]) for each in found}


@pytest.fixture
def subscribed(functions: Lambda) -> Subscribed:
    return Subscribed(functions)


def until(look: Callable[[], Any]) -> Any:
    """What a look gives, once it gives something."""
    end = time.monotonic() + 30
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_events_that_a_pattern_means_are_sent(subscribed: Subscribed) -> None:
    subscribed.permit(f"{subscribed.group_arn}:*")
    subscribed.subscribe("ERROR")
    subscribed.put("ERROR one", "INFO two", "ERROR three")
    told = until(lambda: found if len(found := subscribed.told()) == 2 else None)
    assert told.keys() == {"one", "three"}
    data = told["one"]
    assert [event["message"] for event in data.pop("logEvents")] == ["ERROR one", "ERROR three"]
    assert data == {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT,
        "logGroup": subscribed.group,
        "logStream": "s",
        "subscriptionFilters": ["errors"],
    }
    events = subscribed.logs.filter_log_events(logGroupName=subscribed.group, filterPattern="ERROR")["events"]
    assert {event["id"] for event in told["three"]["logEvents"]} == {event["eventId"] for event in events}


def test_filters_are_described_and_deleted(subscribed: Subscribed) -> None:
    subscribed.permit(f"{subscribed.group_arn}:*")
    for name in ("b", "a"):
        subscribed.subscribe("", name)
    listed = subscribed.logs.describe_subscription_filters(logGroupName=subscribed.group, limit=1)
    (first,) = listed["subscriptionFilters"]
    assert (first["filterName"], first["destinationArn"]) == ("a", arn(subscribed.name))
    rest = subscribed.logs.describe_subscription_filters(
        logGroupName=subscribed.group, nextToken=listed["nextToken"]
    )
    assert [each["filterName"] for each in rest["subscriptionFilters"]] == ["b"]
    with refused("LimitExceededException"):
        subscribed.subscribe("", "c")
    subscribed.subscribe("x", "b")
    subscribed.logs.delete_subscription_filter(logGroupName=subscribed.group, filterName="a")
    (left,) = subscribed.logs.describe_subscription_filters(logGroupName=subscribed.group)[
        "subscriptionFilters"
    ]
    assert (left["filterName"], left["filterPattern"]) == ("b", "x")
    with refused("ResourceNotFoundException"):
        subscribed.logs.delete_subscription_filter(logGroupName=subscribed.group, filterName="a")


def test_a_function_that_does_not_let_logs_call_it(subscribed: Subscribed) -> None:
    message = (
        "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your "
        "function."
    )
    with refused("InvalidParameterException", message):
        subscribed.subscribe("")
    subscribed.permit(f"{subscribed.group_arn}-of-another-name:*")
    with refused("InvalidParameterException", message):
        subscribed.subscribe("")


def test_events_are_stored_though_nobody_may_be_told(subscribed: Subscribed) -> None:
    subscribed.permit(f"{subscribed.group_arn}:*")
    subscribed.subscribe("")
    subscribed.server.of().delete_function(FunctionName=subscribed.name)
    subscribed.put("kept")
    found = subscribed.logs.filter_log_events(logGroupName=subscribed.group)["events"]
    assert [event["message"] for event in found] == ["kept"]


def test_what_is_refused(subscribed: Subscribed) -> None:
    subscribed.permit(f"{subscribed.group_arn}:*")
    with refused("InvalidParameterException"):
        subscribed.subscribe("{ $.a }")
    with refused("InvalidParameterException", "Only Lambda functions are supported as destinations."):
        subscribed.logs.put_subscription_filter(
            logGroupName=subscribed.group,
            filterName="x",
            filterPattern="",
            destinationArn=f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/x",
        )
    assert (
        subscribed.logs.describe_subscription_filters(logGroupName=subscribed.group)["subscriptionFilters"]
        == []
    )
