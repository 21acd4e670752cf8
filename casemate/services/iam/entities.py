"""What IAM holds of an account: users, groups, roles, managed policies and instance profiles.

Values, never changed: a change makes another (``dataclasses.replace``), which ``Entities.save`` stores.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

_ID_ALPHABET = string.ascii_uppercase + "234567"


def unique_id(prefix: str, length: int = 17) -> str:
    """An IAM unique id: a prefix that tells the kind (AIDA a user, AKIA an access key) and random characters, 17 for
    entities and 16 for access keys."""
    return prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(length))


class Link(NamedTuple):
    """What an entity refers to. relation: "policy" or "boundary" (target: a policy's ARN), "group", "role" or "user"
    (target: an id)."""

    relation: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """What all kinds have. path: "/" or "/division/team/"; created: seconds since the epoch; tags: value by key.

    KIND: the kind as ARNs name it; PREFIX: what its unique ids begin with; CACHED: whether the directory keeps what
    follows from it in memory, so that a change must be told.
    """

    KIND: ClassVar[str]
    PREFIX: ClassVar[str]
    CACHED: ClassVar[bool] = True

    account: str
    name: str
    path: str = "/"
    id: str
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:{self.KIND}{self.path}{self.name}"

    @property
    def handle(self) -> str:
        """By what it is found: names differ by more than case."""
        return self.name.lower()

    def links(self) -> Iterator[Link]:
        """What it refers to."""
        yield from ()

    def content(self) -> str:
        """All but the columns that every kind has, as JSON."""
        members = {name: getattr(self, name) for name in _members(type(self))}
        return json.dumps(members, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal(Entity):
    """What policies are attached to. attached: ARNs of managed policies, in the order in which they were attached;
    inline: documents by name."""

    attached: Sequence[str] = ()
    inline: Mapping[str, str] = field(default_factory=dict)

    def links(self) -> Iterator[Link]:
        for arn in self.attached:
            yield Link("policy", arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Principal):
    KIND = "group"
    PREFIX = "AGPA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(Principal):
    """boundary: the ARN of the managed policy that is its permissions boundary, "" without one."""

    boundary: str = ""

    def links(self) -> Iterator[Link]:
        yield from Principal.links(self)
        if self.boundary:
            yield Link("boundary", self.boundary)


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Bounded):
    """groups: the ids of the groups that it is in."""

    KIND = "user"
    PREFIX = "AIDA"

    groups: Sequence[str] = ()

    def links(self) -> Iterator[Link]:
        yield from Bounded.links(self)
        for group in self.groups:
            yield Link("group", group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role(Bounded):
    """trust: the trust policy's document; trusted: the unique ids of the users and roles that it names, by their
    ARNs, as of when it was put; longest: a session's seconds at most."""

    KIND = "role"
    PREFIX = "AROA"

    trust: str
    trusted: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    longest: int = 3600

    @property
    def service_linked(self) -> bool:
        return self.path.startswith("/aws-service-role/")


class Version(NamedTuple):
    """A version of a managed policy. created: seconds since the epoch."""

    document: str
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicy(Entity):
    """A managed policy. versions: by id ("v1"), oldest first; default: the id of the one in effect; latest: the
    number of the version made last, which is not given again; updated: seconds since the epoch."""

    KIND = "policy"
    PREFIX = "ANPA"

    description: str = ""
    versions: Mapping[str, Version]
    default: str = "v1"
    latest: int = 1
    updated: float = 0.0

    @property
    def document(self) -> str:
        """The default version's."""
        return self.versions[self.default].document


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceProfile(Entity):
    """role: the id of the role in it, "" without one."""

    KIND = "instance-profile"
    CACHED = False
    PREFIX = "AIPA"

    role: str = ""

    def links(self) -> Iterator[Link]:
        if self.role:
            yield Link("role", self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaDevice(Entity):
    """A virtual MFA device. seed: what its codes follow from, wrapped, in base 64; owner: the id of the user whose it
    is (the account's for the root user), "" while it is nobody's; enabled: since when; step: that of the last code
    that was used, which no earlier one may follow; drift: by how many steps the device is ahead; failures: wrong
    codes since the last right one; failed: when the last of them came, by the machine's time."""

    KIND = "mfa"
    CACHED = False
    PREFIX = "AMFA"

    seed: str
    owner: str = ""
    enabled: float = 0.0
    step: int = 0
    drift: int = 0
    failures: int = 0
    failed: float = 0.0

    def links(self) -> Iterator[Link]:
        if self.owner:
            yield Link("user", self.owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginProfile(Entity):
    """A user's password, by the user's id as its name. verifier: what it is checked against; former: those of the
    passwords before it, newest first; changed: since when it is the password; reset: the user must change it."""

    KIND = "login-profile"
    CACHED = False
    PREFIX = "ALPA"

    verifier: str
    former: Sequence[str] = ()
    changed: float
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy(Entity):
    """An account's rules for passwords, by the account's id as its name. Ages in days; 0: no bound."""

    KIND = "password-policy"
    CACHED = False
    PREFIX = "APPA"

    length: int = 6
    symbols: bool = False
    numbers: bool = False
    uppercase: bool = False
    lowercase: bool = False
    own_change: bool = False
    age: int = 0
    reuse: int = 0
    hard_expiry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider(Entity):
    """An OpenID Connect identity provider. Its name is its URL without https://.

    clients: the audiences that its tokens may be for; thumbprints: SHA-1, in hex, of certificates that its server may
    have when no trusted authority signed its own."""

    KIND = "oidc-provider"
    PREFIX = "OIDC"

    clients: Sequence[str] = ()
    thumbprints: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate(Entity):
    """body, chain: PEM; key: the private key, wrapped, in base 64; expires: seconds since the epoch."""

    KIND = "server-certificate"
    PREFIX = "ASCA"

    body: str
    chain: str = ""
    key: str
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlProvider(Entity):
    """A SAML identity provider. metadata: its metadata document."""

    KIND = "saml-provider"
    PREFIX = "ASMP"

    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootAccess(Entity):
    """What an organisation's management account may do with its members' root users, by the organisation's id as its
    name. features: "RootCredentialsManagement", "RootSessions"."""

    KIND = "root-access"
    PREFIX = "ARRA"

    features: Sequence[str] = ()


KINDS: Mapping[str, type[Entity]] = {
    kind.KIND: kind
    for kind in (
        *(User, Group, Role, ManagedPolicy, InstanceProfile),
        *(MfaDevice, LoginProfile, PasswordPolicy, OidcProvider, SamlProvider, ServerCertificate, RootAccess),
    )
}

_COLUMNS = frozenset({"account", "name", "path", "id", "created"})


def _members(kind: type[Entity]) -> list[str]:
    return [each.name for each in dataclasses.fields(kind) if each.name not in _COLUMNS]


def of_content(kind: str, content: str, **columns: Any) -> Entity:
    """The entity that ``content`` made. columns: the others' values."""
    members: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in json.loads(content).items()
    }
    if "versions" in members:
        members["versions"] = {name: Version(*each) for name, each in members["versions"].items()}
    return KINDS[kind](**columns, **members)
