"""Who calls: an identity with what is attached to it, and the credential that proves it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import orjson

from casemate.engine.policy import Attached, Plan, Policy, Principal, Residual, Value, principal_keys
from casemate.engine.session_token import Session
from casemate.gate.canonical_user import canonical_user
from casemate.gate.organization import Oversight
from casemate.store.database import Tx

DOMAIN = "iam"
"""The generation domain of everything that decides who a caller is and what they may do."""

MAX_RESIDUALS = 20_000
MAX_PLANS = 128


class Identity:
    """A principal with its policies. Cached between requests; made anew when anything of it changes.

    known: the condition keys that follow from the principal alone (lower case); audit: CloudTrail's
    userIdentity; residuals: decisions evaluated as far as possible, by (action, resource ARN, reach of a grant), with
    the resource policy and the owner that they rest on; plans: the same before the resource is known, by (action,
    owner, the owner's RCPs); session: of temporary credentials, None of others.
    """

    __slots__ = ("account", "attached", "audit", "known", "plans", "principal", "residuals", "session")

    def __init__(
        self,
        principal: Principal,
        attached: Attached,
        known: Mapping[str, Value],
        audit: Mapping[str, Any],
        session: Session | None = None,
    ) -> None:
        self.principal = principal
        self.account = principal.account
        self.attached = attached
        self.known = known
        self.audit = orjson.dumps(audit)
        self.session = session
        self.residuals: dict[tuple[str, str, int], tuple[Policy | None, str, Residual]] = {}
        self.plans: dict[tuple[str, str, tuple[tuple[Policy, ...], ...]], Plan] = {}

    def __repr__(self) -> str:
        return f"<Identity {self.principal.arn}>"


class Credential:
    """An access key as the gate needs it to check a signature. Its repr does not show the secret.

    user: whose last use is told by ``Directory.used``: the access key's id or, for a session, its role's.
    """

    __slots__ = ("access_key_id", "active", "identity", "secret", "user")

    def __init__(
        self, access_key_id: str, secret: str, active: bool, identity: Identity, user: str = ""
    ) -> None:
        self.access_key_id = access_key_id
        self.secret = secret
        self.active = active
        self.identity = identity
        self.user = user or access_key_id

    def __repr__(self) -> str:
        return f"<Credential {self.access_key_id}>"


class SessionCredential(Credential):
    """Temporary credentials. expires: seconds since the epoch; barred: services (by signing name) that do not take
    them."""

    __slots__ = ("barred", "expires")

    def __init__(
        self, session: Session, identity: Identity, user: str, barred: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(session.access_key_id, session.secret, True, identity, user)
        self.expires = session.expires
        self.barred = barred


class RoleEntry(NamedTuple):
    """A role as it is assumed. Made anew when anything of it changes, so that the same object means the same role.

    path: "/" or "/team/"; trust: its trust policy (kind "trust"), which is the role's resource policy and must allow;
    longest: seconds that a session may last at most; tags: value by key; attached: its permission policies and
    boundary.
    """

    account: str
    name: str
    path: str
    id: str
    arn: str
    trust: Policy
    longest: int
    tags: Mapping[str, str]
    attached: Attached


class OidcIssuer(NamedTuple):
    """An OpenID Connect identity provider of an account. url: its tokens' issuer, https://...; clients: the audiences
    that they may be for; thumbprints: SHA-1, in hex, of certificates that its server may have when no trusted
    authority signed its own."""

    account: str
    arn: str
    url: str
    clients: tuple[str, ...]
    thumbprints: tuple[str, ...]


def tag_keys(tags: Mapping[str, str]) -> dict[str, Value]:
    """A principal's tags as condition keys, whose names have no case: aws:PrincipalTag/<key>."""
    return {f"aws:principaltag/{key.lower()}": value for key, value in tags.items()}


def session_of(
    role: RoleEntry,
    name: str,
    access_key_id: str,
    began: float,
    *,
    policies: tuple[Policy, ...] | None = None,
    tags: Mapping[str, str] | None = None,
    known: Mapping[str, Value] | None = None,
    context: Mapping[str, Any] | None = None,
    session: Session | None = None,
) -> Identity:
    """Who calls by an assumed role's temporary credentials.

    name: the session's; began: seconds since the epoch; policies: session policies, None where none were passed;
    tags: the session's, which replace the role's of the same keys; known: further condition keys of the session
    (aws:SourceIdentity, aws:MultiFactorAuthPresent, ...), in lower case; context: further members of the audit's
    sessionContext.
    """
    principal = Principal(
        kind="role",
        arn=f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{name}",
        account=role.account,
        role_arn=role.arn,
        id=f"{role.id}:{name}",
        canonical=canonical_user(role.account),
    )
    attached = role.attached if policies is None else replace(role.attached, session=policies)
    keys = {**principal_keys(principal), **tag_keys(role.tags), **tag_keys(tags or {}), **(known or {})}
    audit = {
        "type": "AssumedRole",
        "principalId": principal.id,
        "arn": principal.arn,
        "accountId": role.account,
        "accessKeyId": access_key_id,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": role.id,
                "arn": role.arn,
                "accountId": role.account,
                "userName": role.name,
            },
            "attributes": {
                "creationDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
                "mfaAuthenticated": "false",
            },
            **(context or {}),
        },
    }
    return Identity(principal, attached, keys, audit, session)


class Directory(Protocol):
    """Where the gate finds identities. The IAM service is one; the gate knows no more of it than this."""

    def credential(self, access_key_id: str, tx: Tx | None) -> Credential | None:
        """The access key, None when there is none. Raises Miss when it is not in memory and tx is None."""
        ...

    def session(self, token: str, tx: Tx | None) -> SessionCredential | None:
        """The temporary credentials of a session token, expired or not; None when the token is none or its user or
        role is no more. Raises Miss as above."""
        ...

    def role(self, account: str, name: str, tx: Tx | None) -> RoleEntry | None:
        """The role of that name, whose case does not matter; None when there is none. Raises Miss as above."""
        ...

    def oidc_issuer(self, account: str, url: str, tx: Tx | None) -> OidcIssuer | None:
        """The account's identity provider whose tokens that URL issues; None when there is none. Raises Miss as
        above."""
        ...

    def saml_metadata(self, account: str, arn: str, tx: Tx | None) -> str | None:
        """The metadata document of the account's SAML identity provider of that ARN; None when there is none. Raises
        Miss as above."""
        ...

    def policy(self, account: str, arn: str, tx: Tx | None) -> Policy | None:
        """A managed policy, AWS's or the account's own, as an identity policy; None when there is none. Raises Miss
        as above."""
        ...

    def principal_ids(self, tx: Tx, policy: Policy) -> Mapping[str, str | None]:
        """The unique ids of all users and roles that a policy names, by ARN; None of those that do not exist. Those
        of accounts that are not on this server are left out."""
        ...

    def principal_names(self, tx: Tx, ids: Mapping[str, str]) -> Mapping[str, str]:
        """What those are called now who had these ARNs and ids, where that is another name: another ARN, or the id of
        one who is no more."""
        ...

    def root_features(self, tx: Tx, organization: Oversight) -> tuple[str, ...]:
        """What an organisation may do with its members' root users: "RootSessions", "RootCredentialsManagement"."""
        ...

    def second_factor(self, tx: Tx, user: Principal, serial: str, code: str) -> bool:
        """Whether it is what the user's MFA device of that serial number shows now, which a write uses up."""
        ...

    def used(self, user: str, account: str, now: float, service: str, region: str) -> None:
        """An access key or a role's session (``Credential.user``) has signed a request. Costs no more than
        remembering it."""
        ...


def unknown_caller(access_key_id: str = "") -> Identity:
    """Somebody who has not proved who they are; the access key that they claim is for the audit."""
    who = {"type": "Unknown"}
    if access_key_id:
        who["accessKeyId"] = access_key_id
    return Identity(Principal(kind="anonymous", arn="anonymous", account=""), Attached(), {}, who)


UNKNOWN = unknown_caller()

_NOBODY = Principal(kind="anonymous", arn="anonymous", account="")
ANONYMOUS = Identity(
    _NOBODY,
    Attached(),
    principal_keys(_NOBODY),
    {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"},
)
"""Who signs nothing, where that is allowed: S3's policies decide about them like about others."""
