"""What targets there are, and how each is given an event: by its own service's operation, as EventBridge or by the
target's role.

Source: "Event bus targets in Amazon EventBridge", "Using resource-based policies for Amazon EventBridge".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.authorise import decide
from casemate.gate.call import Call
from casemate.gate.gate import Gate
from casemate.services.events.forwarding import FORWARD
from casemate.services.events.refusals import not_served
from casemate.services.events.resources import SERVICE, called
from casemate.services.events.store import Things

_ARN: Final = re.compile(r"arn:aws[\w-]*:([a-z0-9-]+):([a-z0-9-]*):(\d{12}):(\S+)", re.ASCII)


class Sending(NamedTuple):
    """What is to be sent. account, region: the rule's; role: the rule's own, for targets that need one and name none;
    target: as PutTargets has it; text: what the target is given; event, hops: for buses."""

    account: str
    region: str
    rule: str
    role: str
    target: Mapping[str, Any]
    text: str
    event: Mapping[str, Any]
    hops: int


class Arn(NamedTuple):
    service: str
    region: str
    account: str
    name: str


def read_arn(text: str) -> Arn | None:
    """The parts of an ARN; None for what is none of a target's."""
    found = _ARN.fullmatch(text)
    return None if found is None else Arn(*found.groups())


def _invoke(call: Call, sending: Sending, _arn: Arn) -> None:
    _ask(
        call,
        "lambda",
        "Invoke",
        {
            "FunctionName": sending.target["Arn"],
            "InvocationType": "Event",
            "Payload": sending.text.encode(),
        },
    )


def _send_message(call: Call, sending: Sending, arn: Arn) -> None:
    request = {"QueueUrl": queue_url(arn), "MessageBody": sending.text}
    group = sending.target.get("SqsParameters", {}).get("MessageGroupId")
    if group:
        # Without a deduplication id, as AWS: the queue is to deduplicate by content.
        request["MessageGroupId"] = group
    _ask(call, "sqs", "SendMessage", request)


def queue_url(arn: Arn) -> str:
    """The URL by which AWS names a queue."""
    return f"https://sqs.{arn.region}.amazonaws.com/{arn.account}/{arn.name}"


def _publish(call: Call, sending: Sending, _arn: Arn) -> None:
    _ask(call, "sns", "Publish", {"TopicArn": sending.target["Arn"], "Message": sending.text})


def _log(call: Call, sending: Sending, arn: Arn) -> None:
    """Each event in a stream of its own, as AWS does it."""
    group = arn.name.removeprefix("log-group:").removesuffix(":*")
    entry: dict[str, Any] = {"timestamp": int(call.now * 1000), "message": sending.text}
    try:
        given = json.loads(sending.text)
    except ValueError:
        given = None
    if isinstance(given, dict) and given.keys() == {"timestamp", "message"}:
        entry = {"timestamp": int(given["timestamp"]), "message": str(given["message"])}
    stream = str(sending.event["id"])
    _ask(call, "logs", "CreateLogStream", {"logGroupName": group, "logStreamName": stream})
    _ask(
        call,
        "logs",
        "PutLogEvents",
        {"logGroupName": group, "logStreamName": stream, "logEvents": [entry]},
    )


def _may_invoke(call: Call, sending: Sending, _arn: Arn) -> None:
    """An API destination is sent its event later; here it is found out whether the role may have it sent. Raises
    AccessDeniedException, ResourceNotFoundException."""
    destination = called(call.tx, call.part(Things), sending.target["Arn"])
    if destination is None:
        raise AwsError("ResourceNotFoundException", "The API destination does not exist.")
    if not decide(call, "events:InvokeApiDestination", destination, {}).allowed:
        raise AwsError(
            "AccessDeniedException",
            f"User: {call.identity.principal.arn} is not authorized to perform: events:InvokeApiDestination on "
            f"resource: {destination.arn}",
        )
    if destination.missing is not None:
        raise destination.missing


def _forward(call: Call, sending: Sending, _arn: Arn) -> None:
    event = sending.event
    FORWARD.ask(
        call,
        {
            "Entries": [
                {
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Detail": json.dumps(event),
                    "EventBusName": sending.target["Arn"],
                    "TraceHeader": str(sending.hops + 1),
                }
            ]
        },
    )


class Kind(NamedTuple):
    """resource: what an ARN's last part is; operations: those that must be served for it to be used; by_role: whether
    a role is needed (True), taken (None), or refused (False); later: it is sent its event out of the transaction."""

    resource: re.Pattern[str]
    send: Callable[[Call, Sending, Arn], None]
    operations: tuple[tuple[str, str], ...]
    by_role: bool | None = None
    later: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "lambda": Kind(re.compile(r"function:[^:]+(:[^:]+)?"), _invoke, (("lambda", "Invoke"),)),
    "sqs": Kind(re.compile(r"[\w-]{1,80}(\.fifo)?", re.ASCII), _send_message, (("sqs", "SendMessage"),)),
    # Not FIFO topics, as AWS: there is nothing that names a message group.
    "sns": Kind(re.compile(r"[\w-]{1,256}", re.ASCII), _publish, (("sns", "Publish"),)),
    "logs": Kind(
        re.compile(r"log-group:[^:]+(:\*)?"),
        _log,
        (("logs", "CreateLogStream"), ("logs", "PutLogEvents"), ("logs", "PutResourcePolicy")),
        by_role=False,
    ),
    "events": Kind(re.compile(r"event-bus/\S+"), _forward, (), by_role=True),
}
_DESTINATION: Final = Kind(
    re.compile(r"api-destination/[\w.-]{1,64}/[0-9A-Fa-f-]{36}", re.ASCII),
    _may_invoke,
    (),
    by_role=True,
    later=True,
)
_OTHERS: Final = frozenset(
    {
        *(
            "apigateway",
            "execute-api",
            "batch",
            "codebuild",
            "codepipeline",
            "ec2",
            "ecs",
            "firehose",
            "glue",
        ),
        *("inspector", "kinesis", "redshift", "redshift-serverless", "sagemaker", "ssm", "states", "appsync"),
    }
)
"""Services that have targets on AWS, which are not served."""


def kind_of(gate: Gate, arn: Arn) -> Kind | None:
    """How targets of that ARN are given events; None when there is no such target. Raises NotImplemented for those
    that AWS has and Casemate does not serve."""
    kind = _DESTINATION if is_destination(arn) else KINDS.get(arn.service)
    if kind is None:
        if arn.service in _OTHERS:
            raise not_served(f"Targets of {arn.service} are")
        return None
    if not all(_serves(gate, *operation) for operation in kind.operations):
        raise not_served(f"Targets of {arn.service} are")
    return kind if kind.resource.fullmatch(arn.name) else None


def is_destination(arn: Arn) -> bool:
    """Whether it is an API destination's."""
    return arn.service == "events" and arn.name.startswith("api-destination/")


def _serves(gate: Gate, service: str, name: str) -> bool:
    try:
        return gate.operation(service, name).served is not None
    except KeyError:
        return False


def send(base: Call, sending: Sending) -> bool:
    """Give the target what it is to be given; or tell that it may be given it, later. Raises what its service
    does."""
    arn = read_arn(sending.target["Arn"])
    kind = None if arn is None else kind_of(base.gate, arn)
    if arn is None or kind is None:
        raise AwsError("ResourceNotFoundException", "There is no such target.")
    role = sending.target.get("RoleArn", sending.role if kind.by_role else "")
    # As its principal it acts in the target's account, on behalf of the rule's.
    actor = Actor(
        SERVICE,
        arn.account,
        sending.region,
        sending.rule,
        source_account=sending.account,
        role=role,
        session=_session(sending),
    )
    kind.send(act_as(base, actor), sending, arn)
    return kind.later


def _session(sending: Sending) -> str:
    """The name of the role's session: what sends, and why."""
    return re.sub(r"[^\w+=,.@-]", "-", sending.rule.rpartition(":")[2].removeprefix("rule/"))[:64]


def _ask(call: Call, service: str, name: str, request: Mapping[str, Any]) -> None:
    call.gate.operation(service, name).ask(call, request)
