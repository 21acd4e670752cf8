"""PutPermission, RemovePermission: the policy of a bus, which lets other accounts and services put events there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from casemate.api import events
from casemate.engine.policy import PolicyError, parse, with_names
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.events.quotas import POLICY
from casemate.services.events.refusals import absent, invalid
from casemate.services.events.resources import NamedBus, permitting_bus
from casemate.services.events.store import Things

_VERSION = "2012-10-17"


def shown_policy(call: Call, says: Mapping[str, Any]) -> str:
    """A bus's policy as it is shown: who is no more, by their unique id."""
    document: str = says["policy"]
    principals = says.get("principals", {})
    if not principals:
        return document
    return with_names(document, call.gate.directory.principal_names(call.tx, principals))


@events.PutPermission.writes(permitting_bus)
def put_permission(
    call: Call, req: events.PutPermissionRequest, target: NamedBus
) -> events.PutPermissionResponse:
    """Replace the bus's policy, or add a statement that lets an account, or everybody, put events."""
    if "Policy" in req:
        given = [name for name in ("Action", "Principal", "StatementId", "Condition") if name in req]
        if given:
            raise invalid(f"Policy cannot be specified together with {', '.join(given)}.")
        document = req["Policy"]
    else:
        document = _with_statement(req, target)
    if len(document) > POLICY:
        raise AwsError("PolicyLengthExceededException", f"The policy is longer than {POLICY} characters.")
    _put(call, target, document)
    return {}


def _with_statement(req: Mapping[str, Any], target: NamedBus) -> str:
    for name in ("Action", "Principal", "StatementId"):
        if name not in req:
            raise invalid(f"Parameter {name} must be specified.")
    if req["Action"] != "events:PutEvents":
        raise invalid("Provided value in parameter 'action' is not supported.")
    principal = req["Principal"]
    statement: dict[str, Any] = {
        "Sid": req["StatementId"],
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": req["Action"],
        "Resource": target.arn,
    }
    condition = req.get("Condition")
    if condition is not None:
        if condition["Type"] != "StringEquals" or condition["Key"] != "aws:PrincipalOrgID":
            raise invalid("Condition must be of Type StringEquals with the Key aws:PrincipalOrgID.")
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    kept = [each for each in _statements(target) if each.get("Sid") != statement["Sid"]]
    return json.dumps({"Version": _VERSION, "Statement": [*kept, statement]}, separators=(",", ":"))


def _statements(target: NamedBus) -> list[dict[str, Any]]:
    document = target.found.says.get("policy")
    if document is None:
        return []
    statements = json.loads(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _put(call: Call, target: NamedBus, document: str) -> None:
    try:
        policy = parse(document, "resource")
    except PolicyError as error:
        raise invalid(error.message) from None
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise invalid("Invalid principal in policy.")
    principals = {arn: unique_id for arn, unique_id in ids.items() if unique_id is not None}
    says = {**target.found.says, "policy": document, "principals": principals, "changed": call.now}
    created = target.found.created or call.now
    call.part(Things).save(call.tx, target.found._replace(created=created, says=says))


@events.RemovePermission.writes(permitting_bus)
def remove_permission(
    call: Call, req: events.RemovePermissionRequest, target: NamedBus
) -> events.RemovePermissionResponse:
    """Take a statement out of the bus's policy, or all of it."""
    things, bus = call.part(Things), target.found
    statements = _statements(target)
    if req.get("RemoveAllPermissions"):
        kept = []
    else:
        if "StatementId" not in req:
            raise invalid("Parameter StatementId must be specified.")
        if not statements:
            raise absent("EventBus does not have a policy.")
        kept = [each for each in statements if each.get("Sid") != req["StatementId"]]
        if len(kept) == len(statements):
            raise absent("Statement with the provided id does not exist.")
    if kept:
        _put(call, target, json.dumps({"Version": _VERSION, "Statement": kept}, separators=(",", ":")))
    elif statements:
        says = {name: value for name, value in bus.says.items() if name not in ("policy", "principals")}
        things.save(call.tx, bus._replace(says={**says, "changed": call.now}))
    return {}
