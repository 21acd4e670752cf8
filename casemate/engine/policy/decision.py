"""The answer to "may they?", with its reasons in AWS's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IDENTITY: Final = "identity-based policy"
RESOURCE: Final = "resource-based policy"
TRUST: Final = "role trust policy"
SCP: Final = "service control policy"
RCP: Final = "resource control policy"
BOUNDARY: Final = "permissions boundary"
SESSION: Final = "session policy"
GRANT: Final = "grant"

_WITH_ARTICLE: Final = {IDENTITY: "an " + IDENTITY, TRUST: "the " + TRUST}


@dataclass(frozen=True, slots=True)
class Matched:
    """A statement that decided. policy: the policy's name; index: its place in the document, from 0."""

    policy_kind: str
    policy: str
    sid: str
    index: int
    effect: str


@dataclass(frozen=True, slots=True)
class Decision:
    """explicit: a Deny statement applied. policy_kind: the kind of policy that decided, as AWS's error texts
    call it: of the Deny, of the missing Allow, or of the Allow. statements: which ones; none when an Allow is
    missing, the root user needs none, or a grant allows."""

    allowed: bool
    explicit: bool
    policy_kind: str
    statements: tuple[Matched, ...] = ()

    def reason(self, action: str) -> str:
        """How AWS's message ends, after "is not authorized to perform: kms:Encrypt on resource: ..." (AWS:
        "Troubleshoot access denied error messages"). Empty when allowed."""
        if self.allowed:
            return ""
        if self.explicit:
            return f"with an explicit deny in {_WITH_ARTICLE.get(self.policy_kind, 'a ' + self.policy_kind)}"
        return f"because no {self.policy_kind} allows the {action} action"
