"""iam:PassRole: whoever gives a service a role to act by must be allowed to, and the role must trust the service.

    Need("iam:PassRole", lambda target: target.role)   beside the operation's own need; target.role by passed_role
    if not trusts(call, arn, actor): raise ...         in the handler, with the error that the service's API has

Source: "Grant a user permissions to pass a role to an AWS service".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.engine.policy import Policy
from casemate.gate.acting import Actor, act_as
from casemate.gate.authorise import decide
from casemate.gate.call import Call
from casemate.gate.identity import RoleEntry
from casemate.gate.resource import Resource

if TYPE_CHECKING:
    from casemate.gate.resource import Value

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:[!-~]+/)?([\w+=,.@-]{1,64})", re.ASCII)


class PassedRole(Resource):
    """A role as it is passed. entry: None when there is none, which iam:PassRole does not tell; service: to whom
    ("lambda.amazonaws.com"), for iam:PassedToService; associated: the ARN of the resource that it is for, for
    iam:AssociatedResourceArn, '' where the service does not say."""

    __slots__ = ("associated", "entry", "service")

    def __init__(
        self, arn: str, account: str, entry: RoleEntry | None, service: str, associated: str
    ) -> None:
        super().__init__(arn, account)
        self.entry = entry
        self.service = service
        self.associated = associated

    def tags(self) -> Mapping[str, str]:
        return {} if self.entry is None else self.entry.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        if key == "iam:passedtoservice":
            return self.service
        if key == "iam:associatedresourcearn":
            return self.associated or None
        if key.startswith("iam:resourcetag/"):
            wanted = key.partition("/")[2]
            return next((value for name, value in self.tags().items() if name.lower() == wanted), None)
        return None


def passed_role(call: Call, arn: str, service: str, associated: str = "") -> PassedRole:
    """The role of that ARN, to be passed to a service. What is no role's ARN is a role of the caller's account that
    does not exist. A role of another account cannot be passed: no policy allows it."""
    found = _ROLE.fullmatch(arn)
    account = call.account if found is None else found[1]
    return PassedRole(arn, account, role_entry(call, arn), service, associated)


def role_entry(call: Call, arn: str) -> RoleEntry | None:
    """The role of that ARN; None when there is none."""
    found = _ROLE.fullmatch(arn)
    if found is None:
        return None
    entry = call.gate.directory.role(found[1], found[2], call.transaction)
    return entry if entry is not None and entry.arn == arn else None


def trusts(call: Call, arn: str, actor: Actor) -> bool:
    """Whether the actor's service could assume that role now: the trust policy lets it."""
    entry = role_entry(call, arn)
    if entry is None:
        return False
    role = _Trusting(arn, entry.account, entry.trust)
    return decide(act_as(call, actor._replace(role="")), "sts:AssumeRole", role, {}).allowed


class _Trusting(Resource):
    __slots__ = ()

    def __init__(self, arn: str, account: str, trust: Policy) -> None:
        super().__init__(arn, account, policy=trust, guarded=True)
