"""How much of everything an account may have. Source: "IAM and AWS STS quotas", whose names AWS's refusals give."""

from __future__ import annotations

from collections.abc import Mapping

from casemate.services.iam.entities import (
    Entity,
    Group,
    InstanceProfile,
    ManagedPolicy,
    OidcProvider,
    Principal,
    Role,
    ServerCertificate,
    User,
)
from casemate.services.iam.refusals import limit_exceeded
from casemate.services.iam.store import Entities
from casemate.store.database import Tx

OF_ACCOUNT: Mapping[type[Entity], tuple[str, int]] = {
    User: ("UsersPerAccount", 5000),
    Group: ("GroupsPerAccount", 300),
    Role: ("RolesPerAccount", 1000),
    ManagedPolicy: ("PoliciesPerAccount", 1500),
    InstanceProfile: ("InstanceProfilesPerAccount", 1000),
    ServerCertificate: ("ServerCertificatesPerAccount", 20),
    OidcProvider: ("OpenIdConnectProvidersPerAccount", 100),
}
ATTACHED: Mapping[type[Principal], tuple[str, int]] = {
    User: ("PoliciesPerUser", 10),
    Group: ("PoliciesPerGroup", 10),
    Role: ("PoliciesPerRole", 10),
}
INLINE_SIZE: Mapping[type[Principal], int] = {User: 2048, Group: 5120, Role: 10_240}
"""Characters of all inline policies together."""
POLICY_SIZE = 6144
"""Characters of a managed policy."""
VERSIONS = 5
GROUPS_OF_USER = 10
KEYS_OF_USER = 2


def check_room(tx: Tx, entities: Entities, kind: type[Entity], account: str) -> None:
    """Raises LimitExceeded when the account has as many of the kind as it may."""
    name, most = OF_ACCOUNT[kind]
    if entities.count(tx, kind, account) >= most:
        raise limit_exceeded(name, most)
