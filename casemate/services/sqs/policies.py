"""Queue policies: what may be one, AddPermission and RemovePermission.

Source: "AddPermission", "Basic examples of Amazon SQS policies".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sqs
from casemate.engine.policy import PolicyError, parse
from casemate.errors import AwsError
from casemate.gate.regions import partition_of
from casemate.services.sqs.queues import Queue, Queues
from casemate.services.sqs.refusals import invalid_parameter, invalid_value, missing
from casemate.services.sqs.targets import own_queue

if TYPE_CHECKING:
    from casemate.gate.call import Call

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_SHARED = frozenset(
    {
        *("*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl"),
        *("ListDeadLetterSourceQueues", "PurgeQueue", "ReceiveMessage", "SendMessage"),
    }
)
"""What other accounts can be let do."""
_MOST_ACTIONS = 7
_MOST_STATEMENTS = 20
_LARGEST = 8192
"""Bytes of a policy. Source: "Amazon SQS policy quotas"."""


def accepted(call: Call, attributes: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The attributes, whose policy may be a queue's, and the unique ids of whom it names. Raises
    InvalidAttributeValue, also for a policy that names users or roles who do not exist."""
    text = attributes.get("Policy", "")
    if not text:
        return dict(attributes), {}
    if len(text.encode()) > _LARGEST:
        raise invalid_value("Policy")
    try:
        policy = parse(text, "resource")
    except PolicyError:
        raise invalid_value("Policy") from None
    if len(_statements_of(json.loads(text))) > _MOST_STATEMENTS:
        raise AwsError("OverLimit", f"More than {_MOST_STATEMENTS} statements were found in the policy.", 403)
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise invalid_value("Policy")
    return dict(attributes), cast("dict[str, str]", dict(ids))


def _statements(queue: Queue) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if not queue.row.policy:
        return {"Version": "2012-10-17", "Id": f"{queue.arn}/SQSDefaultPolicy"}, []
    document = json.loads(queue.row.policy)
    statements = _statements_of(document)
    document.pop("Statement")
    return document, statements


def _statements_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _save(call: Call, queue: Queue, document: dict[str, Any], statements: list[dict[str, Any]]) -> None:
    attributes = dict(queue.row.attributes)
    attributes.pop("Policy", None)
    if statements:
        attributes["Policy"] = json.dumps({**document, "Statement": statements})
    attributes, principals = accepted(call, attributes)
    row = queue.row._replace(attributes=attributes, principals=principals, modified=int(call.now))
    call.part(Queues).save(call.tx, row)


@sqs.AddPermission.writes(own_queue)
def add_permission(call: Call, req: sqs.AddPermissionRequest, queue: Queue) -> sqs.AddPermissionResponse:
    """Add a statement that lets accounts do something."""
    label, accounts, actions = req["Label"], req["AWSAccountIds"], req["Actions"]
    if not _LABEL.fullmatch(label):
        raise invalid_parameter(
            "Label",
            label,
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.",
        )
    if not accounts:
        raise missing("PrincipalId")
    if not actions:
        raise missing("Actions")
    for action in actions:
        if action not in _SHARED:
            raise invalid_parameter(
                "ActionName", f"SQS:{action}", "Only the queue owner is allowed to invoke this action."
            )
    for account in accounts:
        if not _ACCOUNT.fullmatch(account):
            raise invalid_parameter("PrincipalId", f"[{account}]", "Unable to verify.")
    document, statements = _statements(queue)
    if any(statement.get("Sid") == label for statement in statements):
        raise invalid_parameter("Label", label, "Already exists.")
    if len(actions) > _MOST_ACTIONS:
        raise AwsError(
            "OverLimit", f"{len(actions)} Actions were found, maximum allowed is {_MOST_ACTIONS}.", 403
        )
    if len(statements) >= _MOST_STATEMENTS:
        raise AwsError(
            "OverLimit",
            f"{len(statements) + 1} statements were found, maximum allowed is {_MOST_STATEMENTS}.",
            403,
        )
    principals = [f"arn:{partition_of(call.region)}:iam::{account}:root" for account in accounts]
    names = [f"SQS:{action}" for action in actions]
    statements.append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": principals[0] if len(principals) == 1 else principals},
            "Action": names[0] if len(names) == 1 else names,
            "Resource": queue.arn,
        }
    )
    _save(call, queue, document, statements)
    return {}


@sqs.RemovePermission.writes(own_queue)
def remove_permission(
    call: Call, req: sqs.RemovePermissionRequest, queue: Queue
) -> sqs.RemovePermissionResponse:
    """Remove the statement of that label."""
    document, statements = _statements(queue)
    kept = [statement for statement in statements if statement.get("Sid") != req["Label"]]
    if len(kept) == len(statements):
        raise invalid_parameter("Label", req["Label"], "can't find label.")
    _save(call, queue, document, kept)
    return {}
