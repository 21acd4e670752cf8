"""What an operation acts on, as authorisation and the audit see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orjson import dumps

from casemate.engine.policy import Grade, Policy
from casemate.errors import AwsError

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.http import Exchange

Value = str | Sequence[str] | None


class Resource:
    """A resource with its owner and its policy. Services subclass it for their own kinds.

    account: the owner; policy: the resource's own, None where its kind has none; guarded: the policy must
    allow, as with KMS keys and roles; type: CloudFormation's name of the kind, which the audit shows ('' for
    what the audit does not list); missing: what is raised once the caller turned out to be allowed, when there
    is no such resource, so that who may not know does not learn it from the error.
    """

    __slots__ = ("_audit", "account", "arn", "guarded", "holder", "missing", "policy", "shown", "type")

    beyond: Resource | None = None
    """A further resource that every permission is needed of as well: the access point by way of which a bucket is
    used."""

    def __init__(
        self,
        arn: str,
        account: str,
        *,
        policy: Policy | None = None,
        guarded: bool = False,
        type: str = "",  # noqa: A002 - CloudTrail's own name
        missing: AwsError | None = None,
    ) -> None:
        self.arn = arn
        self.account = account
        self.holder = account
        """The account in which it is, whose RCPs are over it and who gets a record of what is done with it: the
        owner, but for what others own in it."""
        self.policy = policy
        self.guarded = guarded
        self.type = type
        self.missing = missing
        self._audit: bytes | None = None if type else b""
        self.shown = arn
        """How a refusal names it: by what a client named where that client may not learn what it stands for."""

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.arn}>"

    @property
    def audit(self) -> bytes:
        """How the audit's record shows it; b"" where it does not."""
        shown = self._audit
        if shown is None:
            # Only now: what is resolved again in a transaction is shown once.
            shown = self._audit = dumps({"accountId": self.holder, "type": self.type, "ARN": self.arn})
        return shown

    @property
    def outside_rcps(self) -> bool:
        """Whether no resource control policy is over it, as over what is AWS's own in an account."""
        return False

    def tags(self) -> Mapping[str, str]:
        """The resource's tags, for aws:ResourceTag."""
        return {}

    def cors(self, exchange: Exchange) -> bytes:  # noqa: ARG002
        """The header lines of an answer to a request from another origin, of resources that say so themselves."""
        return b""

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        """The value of one of the service's own condition keys (in lower case) for this request; None when it
        is not in the request's context."""
        return None

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:  # noqa: ARG002
        """How far a grant on the resource that allows this call reaches the caller. Asked only of calls that no
        policy allows and none denies; grants are KMS's."""
        return Grade.NONE
