"""Asynchronous invocations: queued, run, retried, given up, told to destinations; and what survives a crash."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_support import ACCOUNT, REGION, Lambda, allowing, arn, lambda_server, refused
from server_support import casemate, functions_run, running_server

SETTINGS = functions_run()

TELLS = """
    import boto3, json

    def handler(event, context):
        ssm = boto3.client("ssm")
        name = "/told/" + event["to"]
        ssm.put_parameter(Name=name, Value=context.aws_request_id, Type="String", Overwrite=True)
        if event.get("fail"):
            raise ValueError("told to fail")
        return {"done": event["to"]}
"""


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lambda]:
    """A server whose clock tests move, forwards only."""
    with lambda_server(tmp_path_factory.mktemp("async"), env=SETTINGS) as server:
        yield server


def advance(server: Lambda, by: str) -> None:
    moved = casemate("clock", "--data", str(server.server.data), "--advance", by)
    assert moved.returncode == 0, moved.stderr


def until(look: Callable[[], Any]) -> Any:
    """What a look gives, once it gives something without an error."""
    end = time.monotonic() + 20
    while True:
        try:
            return look()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def told(server: Lambda, name: str, times: int = 1) -> str:
    """The request id that a function told, once it has done so for so many times."""
    ssm = server.of(service="ssm")

    def look() -> str:
        found = ssm.get_parameter(Name=f"/told/{name}")["Parameter"]
        assert found["Version"] == times, found
        value: str = found["Value"]
        return value

    value: str = until(look)
    return value


def waiting(server: Lambda) -> int:
    with sqlite3.connect(server.server.data / "casemate.db") as database:
        count: int = database.execute("SELECT COUNT(*) FROM lambda_events").fetchone()[0]
    return count


def none_waits(server: Lambda) -> None:
    def look() -> None:
        assert waiting(server) == 0

    until(look)


def send(server: Lambda, name: str, event: object, **more: Any) -> str:
    answer = server.of().invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **more)
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    request_id: str = answer["ResponseMetadata"]["RequestId"]
    return request_id


def test_an_event_is_run_once_it_is_taken(timed: Lambda) -> None:
    name = timed.make(TELLS, Timeout=20, MemorySize=256)
    request_id = send(timed, name, {"to": "one"})
    assert told(timed, "one") == request_id
    none_waits(timed)
    with refused(
        "RequestTooLargeException",
        "Request must be smaller than 1048576 bytes for the InvokeFunction operation",
        413,
    ):
        timed.of().invoke(FunctionName=name, InvocationType="Event", Payload=b'"' + b"x" * 1024 * 1024 + b'"')
    with refused("AccessDeniedException", status=403):
        timed.of("nobody").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    assert waiting(timed) == 0


def test_what_fails_is_run_again_after_one_minute_and_after_two(timed: Lambda) -> None:
    name = timed.make(TELLS, Timeout=20, MemorySize=256)
    target = timed.make()
    role = timed.role("telling", "ssm:PutParameter", "lambda:InvokeFunction")
    timed.of().update_function_configuration(FunctionName=name, Role=role)
    timed.of().put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn(target)}}
    )
    request_id = send(timed, name, {"to": "failing", "fail": True})
    assert told(timed, "failing", 1) == request_id

    def put_back() -> None:
        with sqlite3.connect(timed.server.data / "casemate.db") as database:
            (lease,) = database.execute("SELECT lease_until FROM lambda_events").fetchone()
        assert lease == 0

    until(put_back)
    advance(timed, "59s")
    until(put_back)
    assert told(timed, "failing", 1)
    advance(timed, "2s")
    assert told(timed, "failing", 2) == request_id
    until(put_back)
    advance(timed, "121s")
    assert told(timed, "failing", 3) == request_id
    none_waits(timed)


def test_a_destination_is_told_what_became_of_an_event(timed: Lambda) -> None:
    client = timed.of()
    role = timed.role("destined", "ssm:PutParameter", "lambda:InvokeFunction")
    record = timed.make(
        """
        import boto3, json

        def handler(event, context):
            name = "/records/" + event["requestPayload"]["to"]
            boto3.client("ssm").put_parameter(Name=name, Value=json.dumps(event), Type="String")
        """,
        Timeout=20,
        MemorySize=256,
    )
    name = timed.make(TELLS, Timeout=20, MemorySize=256, Role=role)
    config = client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        MaximumEventAgeInSeconds=120,
        DestinationConfig={
            "OnSuccess": {"Destination": arn(record)},
            "OnFailure": {"Destination": arn(record)},
        },
    )
    assert config["FunctionArn"] == arn(name, "$LATEST")
    made: dict[str, Any] = {}
    for to, event in (("good", {"to": "good"}), ("bad", {"to": "bad", "fail": True})):
        request_id = send(timed, name, event)

        def look(to: str = to) -> Any:
            return json.loads(
                timed.of(service="ssm").get_parameter(Name=f"/records/{to}")["Parameter"]["Value"]
            )

        made[to] = until(look)
        assert made[to]["requestContext"]["requestId"] == request_id
    good, bad = made["good"], made["bad"]
    assert good["version"] == "1.0"
    assert good["requestContext"]["functionArn"] == arn(name, "$LATEST")
    assert (good["requestContext"]["condition"], good["requestContext"]["approximateInvokeCount"]) == (
        "Success",
        1,
    )
    assert good["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert good["responsePayload"] == {"done": "good"}
    assert bad["requestContext"]["condition"] == "RetriesExhausted"
    assert bad["responseContext"]["functionError"] == "Unhandled"
    assert bad["responsePayload"]["errorMessage"] == "told to fail"
    assert bad["requestPayload"] == {"to": "bad", "fail": True}
    none_waits(timed)


def test_a_queue_is_told_what_failed(timed: Lambda) -> None:
    sqs = timed.of(service="sqs")
    queue = sqs.create_queue(QueueName="failures")["QueueUrl"]
    destination = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failures"
    name = timed.make(TELLS, Timeout=20, MemorySize=256, Role=timed.role("mute", "ssm:PutParameter"))
    request = {
        "FunctionName": name,
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": destination}},
    }
    with refused(
        "InvalidParameterValueException",
        f"The function's execution role does not have permissions to call SendMessage on {destination}",
    ):
        timed.of().put_function_event_invoke_config(**request)
    timed.of(service="iam").put_role_policy(
        RoleName="mute", PolicyName="telling", PolicyDocument=allowing("sqs:SendMessage")
    )
    timed.of().put_function_event_invoke_config(**request)
    request_id = send(timed, name, {"to": "queue", "fail": True})

    def look() -> Any:
        (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
        return json.loads(message["Body"])

    record = until(look)
    assert record["requestContext"]["requestId"] == request_id
    assert record["requestContext"]["condition"] == "RetriesExhausted"


def test_an_event_that_is_given_up_goes_to_the_dead_letter_queue(timed: Lambda) -> None:
    sqs = timed.of(service="sqs")
    queue = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    target = {"TargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead-letters"}
    role = timed.role("bearer", "ssm:PutParameter")
    with refused(
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call SendMessage on SQS",
    ):
        timed.make(TELLS, Role=role, DeadLetterConfig=target)
    with refused("InvalidParameterValueException"):
        timed.make(TELLS, DeadLetterConfig={"TargetArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:x"})
    timed.of(service="iam").put_role_policy(
        RoleName="bearer", PolicyName="burying", PolicyDocument=allowing("sqs:SendMessage")
    )
    name = timed.make(TELLS, Timeout=20, MemorySize=256, Role=role, DeadLetterConfig=target)
    assert timed.of().get_function_configuration(FunctionName=name)["DeadLetterConfig"] == target
    timed.of().put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    request_id = send(timed, name, {"to": "grave", "fail": True})

    def look() -> Any:
        (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
        return message

    message = until(look)
    assert json.loads(message["Body"]) == {"to": "grave", "fail": True}
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert attributes == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "told to fail"}
    timed.of().update_function_configuration(FunctionName=name, DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in timed.of().get_function_configuration(FunctionName=name)


def test_an_event_grows_too_old(timed: Lambda) -> None:
    client, name = timed.of(), timed.make(TELLS, Timeout=20, MemorySize=256)
    client.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    send(timed, name, {"to": "aging", "fail": True})
    told(timed, "aging", 1)
    # The next attempt would come after its age: there is none.
    none_waits(timed)
    assert told(timed, "aging", 1)


def test_with_no_concurrency_an_event_is_given_up(timed: Lambda) -> None:
    client, name = timed.of(), timed.make(TELLS)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    send(timed, name, {"to": "never"})
    none_waits(timed)
    with refused("ParameterNotFound"):
        timed.of(service="ssm").get_parameter(Name="/told/never")


def test_events_of_a_function_that_is_gone_are_dropped(timed: Lambda) -> None:
    client, name = timed.of(), timed.make(TELLS, Timeout=20, MemorySize=256)
    send(timed, name, {"to": "orphan", "fail": True})
    told(timed, "orphan", 1)
    client.delete_function(FunctionName=name)
    advance(timed, "61s")
    none_waits(timed)
    assert told(timed, "orphan", 1)


def test_the_configuration_of_asynchronous_invocations(timed: Lambda) -> None:
    client, name = timed.of(), timed.make()
    missing = f"The function {arn(name, '$LATEST')} doesn't have an EventInvokeConfig"
    for read in (client.get_function_event_invoke_config, client.delete_function_event_invoke_config):
        with refused("ResourceNotFoundException", missing, 404):
            read(FunctionName=name)
    with refused("ResourceNotFoundException", missing, 404):
        client.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=300
    )
    client.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=2)
    shown = client.get_function_event_invoke_config(FunctionName=name)
    assert (shown["MaximumRetryAttempts"], shown["MaximumEventAgeInSeconds"]) == (2, 300)
    client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    shown = client.get_function_event_invoke_config(FunctionName=name)
    assert "MaximumEventAgeInSeconds" not in shown, "what was said before counts no more"
    client.publish_version(FunctionName=name)
    client.put_function_event_invoke_config(FunctionName=name, Qualifier="1", MaximumRetryAttempts=1)
    listed = client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [each["FunctionArn"] for each in listed] == [arn(name, "$LATEST"), arn(name, "1")]
    client.delete_function_event_invoke_config(FunctionName=name)
    assert (
        len(client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]) == 1
    )


@pytest.mark.parametrize(
    ("destination", "code", "status"),
    [
        ("arn:aws:ec2:us-east-1:111122223333:instance/i-1", "InvalidParameterValueException", 400),
        (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:other", "InvalidParameterValueException", 400),
    ],
)
def test_destinations_that_are_refused(timed: Lambda, destination: str, code: str, status: int) -> None:
    name = timed.make()
    with refused(code, status=status):
        timed.of().put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnFailure": {"Destination": destination}}
        )
    with refused("ResourceNotFoundException", status=404):
        timed.of().get_function_event_invoke_config(FunctionName=name)


def test_an_event_that_waits_survives_a_crash(tmp_path: Path) -> None:
    with lambda_server(tmp_path, env=SETTINGS) as server:
        name = server.make(TELLS, Timeout=20, MemorySize=256)
        request_id = send(server, name, {"to": "survivor", "fail": True})
        assert told(server, "survivor", 1) == request_id
        server.server.kill()
    with running_server(tmp_path, "--dev", env=SETTINGS) as again:
        after = Lambda(again)
        # Long enough for the lease of the worker that died, had it still had the event.
        advance(after, "122s")
        assert told(after, "survivor", 2) == request_id
