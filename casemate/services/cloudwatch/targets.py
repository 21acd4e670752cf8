"""What CloudWatch's operations on metrics act on: the account's metrics, all of them.

Policies allow them on ``*`` only. Services that publish metrics of what they do for an account are allowed to by what
stands here in place of a resource policy, which CloudWatch has none of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from casemate.engine.policy import Policy, parse
from casemate.gate.resource import Resource, Value

if TYPE_CHECKING:
    from casemate.gate.call import Call

PUBLISHERS = ("logs.amazonaws.com",)


class AccountMetrics(Resource):
    """The metrics of an account in a Region."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        if key == "cloudwatch:namespace":
            namespace = request.get("Namespace")
            return namespace if isinstance(namespace, str) else None
        return None


@cache
def _publishing(account: str) -> Policy:
    """Lets services publish for the account on whose behalf they act."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": list(PUBLISHERS)},
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "resource")


def account_metrics(call: Call, request: Mapping[str, Any]) -> AccountMetrics:
    """The caller's."""
    return AccountMetrics("*", call.account)


def published_metrics(call: Call, request: Mapping[str, Any]) -> AccountMetrics:
    """The same, which services may add to."""
    return AccountMetrics("*", call.account, policy=_publishing(call.account))
