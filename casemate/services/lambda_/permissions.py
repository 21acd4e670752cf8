"""Resource policies: statement by statement, as AddPermission makes them. Source: "AddPermission", "Using
resource-based policies for Lambda"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Policy, PolicyError, canonical_name, parse, with_names
from casemate.gate.regions import partition_of
from casemate.services.lambda_.refusals import invalid
from casemate.services.lambda_.rows import Permissions

MOST_BYTES = 20_480


def document(statements: Mapping[str, Mapping[str, Any]]) -> str:
    """A policy as GetPolicy shows it."""
    return json.dumps(
        {"Version": "2012-10-17", "Id": "default", "Statement": list(statements.values())},
        separators=(",", ":"),
        ensure_ascii=False,
    )


def compiled(permissions: Permissions) -> Policy:
    """A policy as it is evaluated. Raises Tampered for one that cannot be read."""
    try:
        return parse(with_names(document(permissions.statements), permissions.principals), "resource")
    except PolicyError as error:
        raise Tampered("a stored resource policy is unreadable") from error


def _principal(text: str, region: str) -> Any:
    """The Principal element. Raises InvalidParameterValueException."""
    if text == "*":
        return "*"
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:{partition_of(region)}:iam::{text}:root"}
    if canonical_name("AWS", text) is not None:
        return {"AWS": text}
    if canonical_name("Service", text) is not None:
        return {"Service": text}
    raise invalid("The provided principal was invalid. Please check the principal and try again.")


def statement(request: Mapping[str, Any], arn: str, region: str) -> dict[str, Any]:
    """What AddPermission adds to the policy of the function with that ARN. Raises
    InvalidParameterValueException."""
    conditions: dict[str, dict[str, str]] = {}
    for member, operator, key in (
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
        ("InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
    ):
        value = request.get(member)
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else value
            conditions.setdefault(operator, {})[key] = text
    made: dict[str, Any] = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"], region),
        "Action": request["Action"],
        "Resource": arn,
    }
    if conditions:
        made["Condition"] = conditions
    try:
        parse(document({made["Sid"]: made}), "resource")
    except PolicyError as error:
        raise invalid(error.message) from None
    return made
