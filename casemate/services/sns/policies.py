"""Topic policies: what may be one, AddPermission and RemovePermission."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sns
from casemate.engine.policy import PolicyError, parse
from casemate.gate.regions import partition_of
from casemate.services.sns.refusals import invalid
from casemate.services.sns.targets import named_topic
from casemate.services.sns.topics import Topic, Topics

if TYPE_CHECKING:
    from casemate.gate.call import Call

_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_SHARED = frozenset(
    {
        *("AddPermission", "DeleteTopic", "GetTopicAttributes", "ListSubscriptionsByTopic", "Publish"),
        *("RemovePermission", "SetTopicAttributes", "Subscribe"),
    }
)
"""What other accounts can be let do."""
_LARGEST = 30 * 1024
"""Bytes of a policy. Source: "Amazon SNS API permissions: Actions and resources reference"."""
_MOST_STATEMENTS = 100


def accepted(call: Call, text: str) -> dict[str, str]:
    """The unique ids of whom a policy names, by ARN. Raises InvalidParameter, also where they do not exist."""
    if len(text.encode()) > _LARGEST:
        raise invalid("Policy Error: the policy is larger than 30 KB")
    try:
        policy = parse(text, "resource")
    except PolicyError as error:
        raise invalid(f"Policy Error: {error.message}") from None
    _check_statements(json.loads(text))
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise invalid("Policy Error: PrincipalNotFound")
    return cast("dict[str, str]", dict(ids))


def _check_statements(document: Mapping[str, Any]) -> None:
    """Raises InvalidParameter for statements that can be no topic's."""
    statements = document["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    if len(statements) > _MOST_STATEMENTS:
        raise invalid("Policy Error: the policy has more than 100 statements")
    for statement in statements:
        actions = statement.get("Action", statement.get("NotAction", ()))
        for action in [actions] if isinstance(actions, str) else actions:
            service, colon, _ = action.partition(":")
            if colon and service.lower() != "sns":
                raise invalid("Policy statement action out of service scope!")


def _save(call: Call, topic: Topic, document: dict[str, Any]) -> None:
    attributes = {**topic.row.attributes, "Policy": json.dumps(document)}
    principals = accepted(call, attributes["Policy"])
    call.part(Topics).save(call.tx, topic.row._replace(attributes=attributes, principals=principals))


def _document(topic: Topic) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(topic.row.attributes["Policy"])
    if not isinstance(document["Statement"], list):
        document["Statement"] = [document["Statement"]]
    return document


@sns.AddPermission.writes(named_topic)
def add_permission(call: Call, req: sns.AddPermissionInput, topic: Topic) -> sns.AddPermissionResponse:
    """Add a statement to the topic's policy that lets accounts do something."""
    for action in req["ActionName"]:
        if action not in _SHARED:
            raise invalid("Policy statement action out of service scope!")
    for account in req["AWSAccountId"]:
        if not _ACCOUNT.fullmatch(account):
            raise invalid("AWSAccountId")
    document = _document(topic)
    if any(statement.get("Sid") == req["Label"] for statement in document["Statement"]):
        raise invalid("Statement already exists")
    partition = partition_of(call.region)
    document["Statement"].append(
        {
            "Sid": req["Label"],
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:{partition}:iam::{account}:root" for account in req["AWSAccountId"]]},
            "Action": [f"SNS:{action}" for action in req["ActionName"]],
            "Resource": topic.arn,
        }
    )
    _save(call, topic, document)
    return {}


@sns.RemovePermission.writes(named_topic)
def remove_permission(
    call: Call, req: sns.RemovePermissionInput, topic: Topic
) -> sns.RemovePermissionResponse:
    """Remove the statement of that label; that there is none is no error."""
    document = _document(topic)
    kept = [statement for statement in document["Statement"] if statement.get("Sid") != req["Label"]]
    if kept:
        _save(call, topic, {**document, "Statement": kept})
    else:
        raise invalid("Policy Error: a topic's policy has at least one statement")
    return {}
