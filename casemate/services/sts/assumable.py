"""The role that is to be assumed, as the policies see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from casemate.engine.policy import Policy
from casemate.gate.call import Call
from casemate.gate.identity import RoleEntry
from casemate.gate.operation import Need
from casemate.gate.resource import Resource, Value
from casemate.services.sts.issue import invalid
from casemate.services.sts.request_keys import of_request

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:[!-~]+/)?([\w+=,.@-]{1,64})", re.ASCII)

_NOBODY = Policy("trust", "2012-10-17", ())
"""The trust policy of a role that does not exist: who asks for it learns no more than of one that trusts others."""


class AssumableRole(Resource):
    """A role by its ARN. entry: None when there is none; its trust policy must allow.

    given: what the caller asks of the session, by the names of AssumeRole's parameters; tagging: whether the session
    would get tags, of this request or of the chain; naming: whether it would get a source identity: each is a
    permission of its own.
    """

    __slots__ = ("entry", "given", "naming", "tagging")

    def __init__(self, arn: str, account: str, entry: RoleEntry | None, given: Mapping[str, Any]) -> None:
        trust = _NOBODY if entry is None else entry.trust
        super().__init__(arn, account, policy=trust, guarded=True, type="AWS::IAM::Role")
        self.entry = entry
        self.given = given
        self.tagging = bool(given.get("Tags"))
        self.naming = bool(given.get("SourceIdentity"))

    def tags(self) -> Mapping[str, str]:
        return {} if self.entry is None else self.entry.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        if key.startswith("iam:resourcetag/"):
            wanted = key.partition("/")[2]
            return next((value for name, value in self.tags().items() if name.lower() == wanted), None)
        return of_request(key, self.given)

    @property
    def role(self) -> RoleEntry:
        """The role, once the caller was found to be allowed, which nobody is where there is none."""
        assert self.entry is not None
        return self.entry


TAGGING = Need("sts:TagSession", lambda target: target if target.tagging else None)
NAMING = Need("sts:SetSourceIdentity", lambda target: target if target.naming else None)


def find_role(call: Call, arn: str, given: Mapping[str, Any]) -> AssumableRole:
    """The role of this ARN, for a session as it is asked for. Raises ValidationError for what is none of a role's."""
    account, name = role_named(arn)
    entry = call.gate.directory.role(account, name, call.transaction)
    if entry is not None and entry.arn != arn:
        entry = None
    return AssumableRole(arn, account, entry, given)


def role_named(arn: str) -> tuple[str, str]:
    """The account and the name in a role's ARN. Raises ValidationError."""
    found = _ROLE.fullmatch(arn)
    if found is None:
        raise invalid(f"{arn} is invalid")
    return found[1], found[2]
