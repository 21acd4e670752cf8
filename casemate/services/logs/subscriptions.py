"""Subscription filters: events that a pattern means are sent to a Lambda function as they come.

The function is invoked asynchronously, by Lambda's own durable queue, in the transaction that stores the events: what
is acknowledged is delivered. CloudWatch Logs asks as its service principal, with the group's ARN as source, so that
the function's policy decides.

Source: "Using CloudWatch Logs subscription filters" (the form of the data), "PutSubscriptionFilter".
"""

from __future__ import annotations

import base64
import gzip
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from casemate.api import lambda_, logs
from casemate.engine.logs import compile_pattern
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs.encryption import PRINCIPAL
from casemate.services.logs.events import Position
from casemate.services.logs.groups import Group, Groups
from casemate.services.logs.naming import group_arn
from casemate.services.logs.patterns import checked_pattern
from casemate.services.logs.refusals import bad_token, invalid
from casemate.services.logs.targets import named_group

if TYPE_CHECKING:
    from casemate.gate.call import Call

log = logging.getLogger("casemate.logs")

MOST = 2
_MOST_PAYLOAD = 256 * 1024
"""Bytes of one invocation, half of what an asynchronous one may have."""
_FUNCTION = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(?::[A-Za-z0-9$_-]+)?", re.ASCII
)
_SCOPE = "DescribeSubscriptionFilters"


def _filters(group: Group) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = group.setting("subscriptions") or []
    return found


def _by_logs(call: Call, group: Group) -> Call:
    account, region, _ = group.row.place
    # With the end that AWS's pages write in the permissions of functions.
    return act_as(call, Actor(PRINCIPAL, account, region, source_arn=group_arn(*group.row.place) + ":*"))


@logs.PutSubscriptionFilter.writes(named_group)
def put_subscription_filter(
    call: Call, req: logs.PutSubscriptionFilterRequest, group: Group
) -> logs.PutSubscriptionFilterResponse:
    """Send the events that a pattern means to a function: a filter of that name, or another form of it."""
    destination = req["destinationArn"]
    if _FUNCTION.fullmatch(destination) is None:
        raise invalid("Only Lambda functions are supported as destinations.")
    if "roleArn" in req:
        raise invalid("destinationArn for vendor lambda cannot be used with roleArn")
    for name in ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFields"):
        if req.get(name):
            raise invalid(f"{name} is not supported.")
    checked_pattern(req["filterPattern"])
    try:
        lambda_.Invoke.ask(_by_logs(call, group), {"FunctionName": destination, "InvocationType": "DryRun"})
    except AwsError as refusal:
        raise invalid(
            "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to "
            "execute your function."
        ) from refusal
    others = [each for each in _filters(group) if each["name"] != req["filterName"]]
    if len(others) >= MOST:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    old = [each for each in _filters(group) if each["name"] == req["filterName"]]
    made = {
        "name": req["filterName"],
        "pattern": req["filterPattern"],
        "destination": destination,
        "distribution": req.get("distribution", "ByLogStream"),
        "created": old[0]["created"] if old else int(call.now * 1000),
    }
    call.part(Groups).configure(call.tx, group.row, subscriptions=[*others, made])
    return {}


@logs.DeleteSubscriptionFilter.writes(named_group)
def delete_subscription_filter(
    call: Call, req: logs.DeleteSubscriptionFilterRequest, group: Group
) -> logs.DeleteSubscriptionFilterResponse:
    """Send no more by that filter."""
    left = [each for each in _filters(group) if each["name"] != req["filterName"]]
    if len(left) == len(_filters(group)):
        raise AwsError("ResourceNotFoundException", "The specified subscription filter does not exist.")
    call.part(Groups).configure(call.tx, group.row, subscriptions=left or None)
    return {}


@logs.DescribeSubscriptionFilters.reads(named_group)
def describe_subscription_filters(
    call: Call, req: logs.DescribeSubscriptionFiltersRequest, group: Group
) -> logs.DescribeSubscriptionFiltersResponse:
    """A group's subscription filters by name."""
    token, limit = req.get("nextToken"), req.get("limit", 50)
    after = "" if token is None else read_marker(_SCOPE, token)
    if after is None:
        raise bad_token()
    prefix = req.get("filterNamePrefix", "")
    found = [
        each
        for each in sorted(_filters(group), key=lambda each: str(each["name"]))
        if each["name"] > after and each["name"].startswith(prefix)
    ]
    answer: logs.DescribeSubscriptionFiltersResponse = {
        "subscriptionFilters": [
            {
                "filterName": each["name"],
                "logGroupName": group.name,
                "filterPattern": each["pattern"],
                "destinationArn": each["destination"],
                "distribution": each["distribution"],
                "creationTime": each["created"],
            }
            for each in found[:limit]
        ]
    }
    if len(found) > limit:
        answer["nextToken"] = write_marker(_SCOPE, found[limit - 1]["name"])
    return answer


def deliver(call: Call, group: Group, batch_id: str, events: Sequence[tuple[int, str]]) -> None:
    """Send what a batch brought to those who subscribe to it, in the transaction that stores it."""
    for each in _filters(group):
        matches = compile_pattern(each["pattern"]).matches
        chosen = [
            {
                "id": str(Position(timestamp, int(batch_id, 16), number)),
                "timestamp": timestamp,
                "message": message,
            }
            for number, (timestamp, message) in enumerate(events)
            if matches(message)
        ]
        if chosen:
            _send(call, group, each, chosen)


def _send(call: Call, group: Group, subscription: Mapping[str, Any], events: list[dict[str, Any]]) -> None:
    data = {
        "messageType": "DATA_MESSAGE",
        "owner": group.account,
        "logGroup": group.name,
        "logStream": group.stream,
        "subscriptionFilters": [subscription["name"]],
        "logEvents": events,
    }
    payload = orjson.dumps(
        {"awslogs": {"data": base64.b64encode(gzip.compress(orjson.dumps(data), 6)).decode()}}
    )
    if len(payload) > _MOST_PAYLOAD and len(events) > 1:
        half = len(events) // 2
        _send(call, group, subscription, events[:half])
        _send(call, group, subscription, events[half:])
        return
    try:
        lambda_.Invoke.ask(
            _by_logs(call, group),
            {"FunctionName": subscription["destination"], "InvocationType": "Event", "Payload": payload},
        )
    except AwsError as refusal:
        # Whoever puts events has nothing to do with who subscribes to them: the refusal is in the audit.
        log.warning("subscription filter of %s is not served: %s", group.own_arn, refusal.code)
