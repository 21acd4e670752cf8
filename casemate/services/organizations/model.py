"""What Organizations holds, as values: a change makes another (``_replace``), which ``Organizations`` saves.

Source of the ARNs: "Resource types defined by AWS Organizations".
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from typing import NamedTuple

ROOT, UNIT, ACCOUNT = "ROOT", "ORGANIZATIONAL_UNIT", "ACCOUNT"
ALL_FEATURES, BILLING = "ALL", "CONSOLIDATED_BILLING"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
CREATED, INVITED = "CREATED", "INVITED"

_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str, length: int) -> str:
    """A random id: prefix and so many lower-case letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Organization(NamedTuple):
    """management: the management account's id; root: its root's id; created: seconds since the epoch; policy_types:
    those enabled in the root; delegation: the delegation policy's document, '' where there is none."""

    id: str
    management: str
    feature_set: str
    root: str
    created: float
    policy_types: tuple[str, ...] = ()
    delegation_id: str = ""
    delegation: str = ""
    delegation_tags: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        return self.arn_of("organization")

    def arn_of(self, kind: str, *path: str) -> str:
        """The ARN of something of the organisation."""
        return f"arn:aws:organizations::{self.management}:{kind}/{'/'.join((self.id, *path))}"


class Node(NamedTuple):
    """The root, a unit or an account. policies: the ids of those attached, in the order of attachment; method: how an
    account joined; joined: when it did, or when the node was made."""

    organization: str
    id: str
    kind: str
    parent: str
    name: str
    policies: tuple[str, ...]
    tags: Mapping[str, str]
    method: str
    joined: float


class Account(NamedTuple):
    """An account wherever it belongs. created: when Organizations made it, None of other accounts; closed: since when
    it is, None while it is open."""

    id: str
    email: str
    created: float | None = None
    closed: float | None = None


class PolicyRow(NamedTuple):
    """organization: '' of AWS's own policies; type: as the API names it; updated: seconds since the epoch."""

    organization: str
    id: str
    type: str
    name: str
    description: str
    content: str
    tags: Mapping[str, str]
    updated: float

    @property
    def aws_managed(self) -> bool:
        return not self.organization


class Handshake(NamedTuple):
    """account: whom it was sent to, '' where no account is known; email: whom it was sent to by email, else '';
    resolved: when it was answered, None while it is open; parent: the handshake that it is part of."""

    id: str
    organization: str
    management: str
    action: str
    account: str
    email: str
    state: str
    requested: float
    expires: float
    resolved: float | None
    notes: str
    tags: Mapping[str, str]
    parent: str


class Creation(NamedTuple):
    """A request to make an account. account: '' and reason: why, when none was made."""

    organization: str
    id: str
    name: str
    requested: float
    completed: float
    account: str
    reason: str


_FULL_ACCESS = """{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",%s
      "Action": "*",
      "Resource": "*"
    }
  ]
}"""

FULL_ACCESS: Mapping[str, PolicyRow] = {
    SCP: PolicyRow(
        "",
        "p-FullAWSAccess",
        SCP,
        "FullAWSAccess",
        "Allows access to every operation",
        _FULL_ACCESS % "",
        {},
        0.0,
    ),
    RCP: PolicyRow(
        "",
        "p-RCPFullAWSAccess",
        RCP,
        "RCPFullAWSAccess",
        "Allows access to every resource",
        _FULL_ACCESS % '\n      "Principal": "*",',
        {},
        0.0,
    ),
}
"""AWS's own policies, by type: each node has them while their type is enabled, unless an SCP took their place."""

AWS_POLICIES: Mapping[str, PolicyRow] = {policy.id: policy for policy in FULL_ACCESS.values()}


def policy_arn(organization: Organization, policy: PolicyRow) -> str:
    kind = policy.type.lower()
    if policy.aws_managed:
        return f"arn:aws:organizations::aws:policy/{kind}/{policy.id}"
    return organization.arn_of("policy", kind, policy.id)


def node_arn(organization: Organization, kind: str, node_id: str) -> str:
    name = {ROOT: "root", UNIT: "ou", ACCOUNT: "account"}[kind]
    return organization.arn_of(name, node_id)


def kind_of(node_id: str) -> str:
    """What a node's id tells of its kind."""
    return ROOT if node_id.startswith("r-") else UNIT if node_id.startswith("ou-") else ACCOUNT
