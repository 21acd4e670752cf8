"""Where the records of asynchronous invocations go: to a queue, a topic, another function or an event bus, by the
function's role. Source: "Capturing records of Lambda asynchronous invocations"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.policy import Policy
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.authorise import decide
from casemate.gate.conditions import iso_time
from casemate.gate.resource import Resource
from casemate.services.lambda_.naming import LATEST, SERVICE, Place, qualified
from casemate.services.lambda_.refusals import invalid, unserved

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.lambda_.event_queue import Event
    from casemate.services.lambda_.rows import Version
    from casemate.services.lambda_.running import Result

_ARN = re.compile(r"arn:aws[\w-]*:([a-z]+):([a-z0-9-]*):(\d{12}):(\S+)", re.ASCII)


class Kind(NamedTuple):
    """service, operation: what gives a record to such a destination; action: what the role must be allowed; request:
    the operation's, of the ARN, its parts and the record."""

    service: str
    operation: str
    action: str
    request: Callable[[str, re.Match[str], Mapping[str, Any]], Mapping[str, Any]]


def _message(_arn: str, parts: re.Match[str], record: Mapping[str, Any]) -> Mapping[str, Any]:
    url = f"https://sqs.{parts[2]}.amazonaws.com/{parts[3]}/{parts[4]}"
    return {"QueueUrl": url, "MessageBody": json.dumps(record)}


def _notice(arn: str, _parts: re.Match[str], record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"TopicArn": arn, "Message": json.dumps(record)}


def _invocation(arn: str, _parts: re.Match[str], record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"FunctionName": arn, "InvocationType": "Event", "Payload": json.dumps(record).encode()}


def _event(arn: str, _parts: re.Match[str], record: Mapping[str, Any]) -> Mapping[str, Any]:
    how = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
    return {
        "Entries": [
            {
                "EventBusName": arn,
                "Source": "lambda",
                "DetailType": f"Lambda Function Invocation Result - {how}",
                "Detail": json.dumps(record),
                "Resources": [arn, record["requestContext"]["functionArn"]],
            }
        ]
    }


_KINDS: Mapping[str, Kind] = {
    "sqs": Kind("sqs", "SendMessage", "sqs:SendMessage", _message),
    "sns": Kind("sns", "Publish", "sns:Publish", _notice),
    "lambda": Kind("lambda", "Invoke", "lambda:InvokeFunction", _invocation),
    "events": Kind("events", "PutEvents", "events:PutEvents", _event),
}


def check(call: Call, version: Version, source: str, arn: str) -> None:
    """Raises InvalidParameterValueException for what is no destination, or one that the function's role may not give
    anything, as far as its own policies tell; NotImplemented for one whose service is not served. source: the
    function's ARN."""
    parts = _ARN.fullmatch(arn)
    kind = None if parts is None else _KINDS.get(parts[1])
    if kind is None or parts is None:
        raise invalid(f"The destination ARN {arn} is invalid.")
    if arn == source:
        raise invalid("You can't specify the function as a destination for itself.")
    if not _served(call, kind):
        raise unserved(f"Destinations of {kind.service}")
    if not may(call, _actor(version.settings["Role"], source), kind.action, arn, parts[3]):
        raise invalid(
            f"The function's execution role does not have permissions to call {kind.operation} on {arn}"
        )


def _anybody() -> Policy:
    from casemate.engine.policy import parse

    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "resource")


_ANYBODY = _anybody()
"""What another account's resource allows is asked when it is given something."""


def check_dead_letters(call: Call, place: Place, settings: Mapping[str, Any]) -> None:
    """Raises InvalidParameterValueException for a dead-letter target that is neither a queue nor a topic, or that the
    function's role may not give anything."""
    arn = settings.get("DeadLetterConfig", {}).get("TargetArn")
    if arn is None:
        return
    parts = _ARN.fullmatch(arn)
    if parts is None or parts[1] not in ("sqs", "sns"):
        raise invalid(f"The target {arn} is neither a queue of SQS's nor a topic of SNS's.")
    kind = _KINDS[parts[1]]
    if not _served(call, kind):
        raise unserved(f"Dead letters to {kind.service}")
    if not may(call, _actor(settings["Role"], place.arn), kind.action, arn, parts[3]):
        raise invalid(
            f"The provided execution role does not have permissions to call {kind.operation} on "
            f"{kind.service.upper()}"
        )


def bury(call: Call, version: Version, source: str, event: Event, result: Result | None) -> None:
    """Give an event that is given up to the function's dead-letter target, in the call's transaction. Raises
    AwsError."""
    arn = version.settings["DeadLetterConfig"]["TargetArn"]
    parts = _ARN.fullmatch(arn)
    assert parts is not None
    kind = _KINDS[parts[1]]
    answer = _shown(result.payload) if result is not None and result.payload else None
    said = answer.get("errorMessage", "") if isinstance(answer, dict) else answer
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": event.id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200" if result is not None else "429"},
    }
    if said:
        attributes["ErrorMessage"] = {"DataType": "String", "StringValue": str(said)[:1024]}
    text = (event.payload or b"{}").decode()
    if kind.service == "sqs":
        url = _message(arn, parts, {})["QueueUrl"]
        request = {"QueueUrl": url, "MessageBody": text, "MessageAttributes": attributes}
    else:
        request = {"TopicArn": arn, "Message": text, "MessageAttributes": attributes}
    operation = call.gate.operation(kind.service, kind.operation)
    operation.ask(act_as(call, _actor(version.settings["Role"], source)), request)


def may(call: Call, actor: Actor, action: str, arn: str, account: str) -> bool:
    """Whether a role may do it, as far as its own policies tell. account: the resource's."""
    reached = Resource(arn, account, policy=None if account == actor.account else _ANYBODY)
    return decide(act_as(call, actor), action, reached, {}).allowed


def give(call: Call, version: Version, source: str, arn: str, record: Mapping[str, Any]) -> None:
    """Give a record to a destination, in the call's transaction. Raises AwsError."""
    parts = _ARN.fullmatch(arn)
    kind = None if parts is None else _KINDS.get(parts[1])
    if kind is None or parts is None or not _served(call, kind):
        raise unserved(f"Destinations like {arn}")
    actor = _actor(version.settings["Role"], source)
    operation = call.gate.operation(kind.service, kind.operation)
    answer = operation.ask(act_as(call, actor), kind.request(arn, parts, record))
    if answer.get("FailedEntryCount"):
        # An event bus refuses entries one by one.
        refused = answer["Entries"][0]
        raise AwsError(refused["ErrorCode"], refused["ErrorMessage"])


def record(event: Event, now: float, condition: str, runs: int, result: Result | None) -> dict[str, Any]:
    """What a destination is given. condition: Success, RetriesExhausted, EventAgeExceeded or ZeroReservedConcurrency;
    runs: how often the function ran; result: of the last run, None when there was none."""
    made: dict[str, Any] = {
        "version": "1.0",
        "timestamp": iso_time(now).replace("Z", f".{int(now * 1000) % 1000:03d}Z"),
        "requestContext": {
            "requestId": event.id,
            "functionArn": qualified(event.place, event.qualifier or LATEST),
            "condition": condition,
            "approximateInvokeCount": runs,
        },
        "requestPayload": _shown(event.payload or b"{}"),
    }
    if result is not None:
        made["responseContext"] = {"statusCode": 200, "executedVersion": result.version}
        if result.failed:
            made["responseContext"]["functionError"] = "Unhandled"
        made["responsePayload"] = _shown(result.payload) if result.payload else None
    return made


def _shown(payload: bytes) -> Any:
    """A payload's value, or its text: runtimes of one's own may answer what is no JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")


def _served(call: Call, kind: Kind) -> bool:
    try:
        return call.gate.operation(kind.service, kind.operation).served is not None
    except KeyError:
        return False


def _actor(role: str, source: str) -> Actor:
    _, _, _, region, account, _, name = source.split(":")
    return Actor(SERVICE, account, region, source, role=role, session=name)
