"""Who calls: an identity with what is attached to it, and the credential that proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from casemate.engine.policy import Attached, Policy, Principal, Residual
from casemate.store.database import Tx

MAX_RESIDUALS = 20_000


class Identity:
    """A principal with its policies. Cached between requests; made anew when anything of it changes.

    known: the condition keys that follow from the principal alone (lower case); audit: CloudTrail's
    userIdentity; residuals: decisions evaluated as far as possible, by (action, resource ARN), with the
    resource policy and the owner that they rest on.
    """

    __slots__ = ("account", "attached", "audit", "known", "principal", "residuals")

    def __init__(
        self,
        principal: Principal,
        attached: Attached,
        known: Mapping[str, str | Sequence[str] | None],
        audit: Mapping[str, Any],
    ) -> None:
        self.principal = principal
        self.account = principal.account
        self.attached = attached
        self.known = known
        self.audit = orjson.dumps(audit)
        self.residuals: dict[tuple[str, str], tuple[Policy | None, str, Residual]] = {}

    def __repr__(self) -> str:
        return f"<Identity {self.principal.arn}>"


class Credential:
    """An access key as the gate needs it to check a signature. Its repr does not show the secret."""

    __slots__ = ("access_key_id", "active", "identity", "secret")

    def __init__(self, access_key_id: str, secret: str, active: bool, identity: Identity) -> None:
        self.access_key_id = access_key_id
        self.secret = secret
        self.active = active
        self.identity = identity

    def __repr__(self) -> str:
        return f"<Credential {self.access_key_id}>"


class Directory(Protocol):
    """Where the gate finds identities. The IAM service is one; the gate knows no more of it than this."""

    def credential(self, access_key_id: str, tx: Tx | None) -> Credential | None:
        """The access key, None when there is none. Raises Miss when it is not in memory and tx is None."""
        ...

    def resource_controls(self, account: str, tx: Tx | None) -> tuple[tuple[Policy, ...], ...]:
        """The resource control policies over the resources of an account, level by level."""
        ...


def unknown_caller(access_key_id: str = "") -> Identity:
    """Somebody who has not proved who they are; the access key that they claim is for the audit."""
    who = {"type": "Unknown"}
    if access_key_id:
        who["accessKeyId"] = access_key_id
    return Identity(Principal(kind="anonymous", arn="anonymous", account=""), Attached(), {}, who)


UNKNOWN = unknown_caller()
