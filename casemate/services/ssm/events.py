"""What Parameter Store tells on EventBridge: changes of parameters, and what their policies did. Source: "Setting up
notifications or triggering actions based on Parameter Store events"."""

from __future__ import annotations

from typing import Any

from casemate.gate.announcing import Announcer, ServiceEvent, announce
from casemate.gate.call import Call
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.policies import EXPIRATION
from casemate.services.ssm.rows import Policy, Row, Version
from casemate.store.database import Tx

SOURCE = "aws.ssm"

_REASONS = {EXPIRATION: "The parameter has expired and was deleted."}


def _change(operation: str, row: Row, version: Version) -> dict[str, Any]:
    detail = {"operation": operation, "name": row.name, "type": version.type}
    if version.description:
        detail["description"] = version.description
    return detail


def changed(call: Call, operation: str, row: Row, version: Version) -> None:
    """Tell of what the call does. operation: Create, Update, Delete or LabelParameterVersion."""
    announce(
        call, SOURCE, "Parameter Store Change", _change(operation, row, version), resources=[row.place.arn]
    )


def acted(announcer: Announcer, tx: Tx, parameter: Parameter, policy: Policy, now: float) -> None:
    """Tell of what a policy did; of an expiration also that the parameter is gone."""
    row, version = parameter.row, parameter.current
    detail = {
        "parameter-name": row.name,
        "parameter-type": version.type,
        "policy-type": policy.type,
        "policy-content": policy.text,
        "action-status": "Success",
        "action-reason": _REASONS.get(policy.type, ""),
    }
    told = [("Parameter Store Policy Action", detail)]
    if policy.type == EXPIRATION:
        told.append(("Parameter Store Change", _change("Delete", row, version)))
    for kind, content in told:
        place = row.place
        announcer.announce(
            tx, ServiceEvent(SOURCE, kind, content, [place.arn], place.account, place.region, now)
        )
