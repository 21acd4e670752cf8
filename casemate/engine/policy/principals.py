"""Who asks, and whether a Principal or NotPrincipal element means them (AWS: "AWS JSON policy elements:
Principal", "AWS JSON policy elements: NotPrincipal")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

from casemate.engine.policy.variables import Value

PrincipalKind = Literal[
    "root", "user", "role", "federated-user", "web-identity", "saml", "service", "anonymous"
]


class Grade(IntEnum):
    """How an Allow in a resource policy reaches a principal, from the weakest.

    ACCOUNT: it names the account, which may delegate by identity policies. ENTITY: it names the role of a
    session, or the user behind a federated session; boundary and session policies limit it. DIRECT: it names
    the very principal, or everybody.
    """

    NONE = 0
    ACCOUNT = 1
    ENTITY = 2
    DIRECT = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request.

    kind: "role" is a session of an assumed role; "web-identity" and "saml" are the callers of
        AssumeRoleWithWebIdentity and AssumeRoleWithSAML, who have no AWS identity yet.
    arn: what errors show: ``arn:aws:iam::111122223333:user/x``,
    ``arn:aws:sts::111122223333:assumed-role/R/s``,
        ``arn:aws:iam::111122223333:root``; a service's is its name, ``kms.amazonaws.com``.
    account: 12 digits; empty for a service, an anonymous or a federated caller.
    role_arn: of a session, the role's ARN in IAM, with its path.
    id: ``AIDA...`` of a user, ``AROA...:session`` of a session.
    federated: the identity provider as policies name it.
    issuer, issuer_id: of a federated-user session, the ARN and the unique id of the user (or root user) who called
        GetFederationToken.
    names: a service's further names (``logs.eu-west-1.amazonaws.com``).
    canonical: the account's canonical user id.
    """

    kind: PrincipalKind
    arn: str
    account: str
    role_arn: str = ""
    id: str = ""
    federated: str = ""
    issuer: str = ""
    issuer_id: str = ""
    names: tuple[str, ...] = ()
    canonical: str = ""

    @property
    def is_root(self) -> bool:
        """The root user, or a federated session of the root user: identity policies do not bind them."""
        return self.kind == "root" or (self.kind == "federated-user" and self.issuer.endswith(":root"))

    @property
    def is_service_linked(self) -> bool:
        """A session of a service-linked role, which SCPs and RCPs do not restrict. A path that customers choose may
        have colons, so that only the ARN's beginning tells."""
        return self.kind == "role" and self.role_arn.split(":", 5)[-1].startswith("role/aws-service-role/")

    @property
    def has_identity(self) -> bool:
        """Whether identity policies exist for such a principal at all."""
        return self.kind in ("root", "user", "role", "federated-user")


def principal_keys(principal: Principal) -> dict[str, Value]:
    """The condition keys that follow from the principal alone, in lower case; None: certainly absent (AWS:
    "AWS global condition context keys", "Principal key values")."""
    account = principal.account or None
    kind = principal.kind
    types = {"root": "Account", "user": "User", "role": "AssumedRole", "federated-user": "FederatedUser"}
    keys: dict[str, Value] = {
        "aws:principalarn": None,
        "aws:principalaccount": account,
        "aws:principaltype": types.get(kind, "Anonymous" if kind == "anonymous" else None),
        "aws:userid": principal.id or (account if kind == "root" else None),
        "aws:username": principal.arn.rpartition("/")[2] if kind == "user" else None,
        "aws:principalisawsservice": "true" if kind == "service" else "false",
        "aws:principalservicename": principal.arn if kind == "service" else None,
        "aws:principalservicenameslist": (principal.arn, *principal.names) if kind == "service" else None,
    }
    if principal.has_identity:
        keys["aws:principalarn"] = principal.role_arn or principal.arn
    if kind == "federated-user" and not principal.id:
        keys["aws:userid"] = f"{principal.account}:{principal.arn.rpartition('/')[2]}"
    return keys


#: The ways a principal element may name somebody: type in the principal map and value. Accounts are 12
#: digits.
Name = tuple[str, str]
Names = tuple[tuple[Name, ...], tuple[Name, ...], tuple[Name, ...]]


def names_of(principal: Principal) -> Names:
    """By what names policies mean this principal: directly, by its entity, by its account."""
    aws = "AWS"
    account: list[Name] = [(aws, principal.account)] if principal.account else []
    if principal.canonical:
        account.append(("CanonicalUser", principal.canonical))
    match principal.kind:
        case "root":
            return tuple(account), (), ()
        case "user":
            direct = [(aws, principal.arn)] + ([(aws, principal.id)] if principal.id else [])
            return tuple(direct), (), tuple(account)
        case "role":
            role_id = principal.id.partition(":")[0]
            entity = [(aws, name) for name in (principal.role_arn, role_id) if name]
            return ((aws, principal.arn),), tuple(entity), tuple(account)
        case "federated-user":
            if principal.is_root or not principal.issuer:
                return ((aws, principal.arn),), (), tuple(account)
            issuer = [(aws, name) for name in (principal.issuer, principal.issuer_id) if name]
            return ((aws, principal.arn),), tuple(issuer), tuple(account)
        case "service":
            return tuple(("Service", name) for name in (principal.arn, *principal.names)), (), ()
        case "web-identity" | "saml":
            return (("Federated", principal.federated),) if principal.federated else (), (), ()
        case "anonymous":
            return (), (), ()


@dataclass(frozen=True, slots=True)
class PrincipalElement:
    """A Principal or (``negated``) NotPrincipal element.

    everyone: ``"*"``; every_aws: ``{"AWS": "*"}``, which leaves out only callers who come with an identity
    provider's token and no AWS identity; names: all the others.
    """

    negated: bool
    everyone: bool
    every_aws: bool
    names: frozenset[Name] = field(default_factory=frozenset)

    def allows(self, principal: Principal, names_of_principal: Names | None = None) -> Grade:
        """How far an Allow with this element reaches the principal. names_of_principal: ``names_of`` it, of those who
        have them at hand."""
        direct, entity, account = names_of_principal or names_of(principal)
        is_named = self._is_named
        if self.negated:
            # Open to all but the named. Whoever is named by session, role or account is out.
            if self._everybody(principal) or is_named(direct) or is_named(entity) or is_named(account):
                return Grade.NONE
            return Grade.DIRECT
        if is_named(direct) or self._everybody(principal):
            return Grade.DIRECT
        if is_named(entity):
            return Grade.ENTITY
        return Grade.ACCOUNT if is_named(account) else Grade.NONE

    def denies(self, principal: Principal, names_of_principal: Names | None = None) -> bool:
        """Whether a Deny with this element means the principal. A Deny for an account means everybody in it;
        a Deny with NotPrincipal spares only those whose session, role and account are all named."""
        levels = [level for level in names_of_principal or names_of(principal) if level]
        if self.negated:
            if self._everybody(principal):
                return False
            return not levels or not all(map(self._is_named, levels))
        return self._everybody(principal) or any(map(self._is_named, levels))

    def _is_named(self, names: tuple[Name, ...]) -> bool:
        return not self.names.isdisjoint(names)

    def _everybody(self, principal: Principal) -> bool:
        return self.everyone or (self.every_aws and principal.kind not in ("web-identity", "saml"))

    def __iter__(self) -> Iterator[Name]:
        return iter(sorted(self.names))


_AWS: Final = re.compile(
    r"arn:aws[a-z-]*:(?:iam::(?:\d{12}|cloudfront):(?:user|role)/[^*?]+"
    r"|sts::\d{12}:(?:assumed-role/[^*?/]+/[^*?/]+|federated-user/[^*?]+))",
    re.ASCII,
)
_ROOT: Final = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):root", re.ASCII)
_ACCOUNT: Final = re.compile(r"\d{12}", re.ASCII)
_UNIQUE_ID: Final = re.compile(r"A(?:IDA|ROA)[A-Z0-9]{8,124}", re.ASCII)
_SERVICE: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.ASCII)
_FEDERATED: Final = re.compile(
    r"arn:aws[a-z-]*:iam::\d{12}:(?:saml-provider|oidc-provider)/[^*?]+"
    r"|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:[:/][^*?]*)?",
    re.ASCII,
)
_CANONICAL: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def canonical_name(kind: str, value: str) -> Name | None:
    """The name as names_of writes it; None when no principal can be named so."""
    match kind:
        case "AWS":
            root = _ROOT.fullmatch(value)
            if root is not None:
                return kind, root[1]
            if any(form.fullmatch(value) for form in (_ACCOUNT, _AWS, _UNIQUE_ID)):
                return kind, value
        case "Service":
            if _SERVICE.fullmatch(value):
                return kind, value
        case "Federated":
            if _FEDERATED.fullmatch(value):
                return kind, value
        case "CanonicalUser":
            if _CANONICAL.fullmatch(value):
                return kind, value
        case _:
            return None
    return None
