"""How much of everything an account may have. Source: "IAM and AWS STS quotas".

Service Quotas tells and raises them, in us-east-1, since IAM is global; codes are AWS's. What has no code here is not
told there, and always the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from casemate.gate.call import Call
from casemate.gate.quotas import Quota, ServiceQuotas
from casemate.services.iam.entities import (
    Entity,
    Group,
    InstanceProfile,
    ManagedPolicy,
    OidcProvider,
    Principal,
    Role,
    SamlProvider,
    ServerCertificate,
    User,
)
from casemate.services.iam.refusals import limit_exceeded
from casemate.services.iam.store import Entities


class Limit(NamedTuple):
    """name: as refusals give it."""

    name: str
    quota: Quota

    def most(self, call: Call) -> int:
        """What applies to the call's account."""
        return int(call.limit(self.quota, self.quota.region))


def _limit(name: str, code: str, shown: str, value: int, *, adjustable: bool = True) -> Limit:
    quota = Quota(
        "iam",
        code,
        shown,
        value,
        adjustable=adjustable,
        description=f"{shown} in this account.",
        region="us-east-1",
    )
    return Limit(name, quota)


OF_ACCOUNT: Mapping[type[Entity], Limit] = {
    User: _limit("UsersPerAccount", "L-F55AF5E4", "Users per account", 5000, adjustable=False),
    Group: _limit("GroupsPerAccount", "L-F4A5425F", "Groups per account", 300),
    Role: _limit("RolesPerAccount", "L-FE177D64", "Roles per account", 1000),
    ManagedPolicy: _limit("PoliciesPerAccount", "L-E95E4862", "Customer managed policies per account", 1500),
    InstanceProfile: _limit(
        "InstanceProfilesPerAccount", "L-6E65F664", "Instance profiles per account", 1000
    ),
    ServerCertificate: _limit(
        "ServerCertificatesPerAccount", "L-BF35879D", "Server certificates per account", 20
    ),
    SamlProvider: _limit("SAMLProvidersPerAccount", "L-DB618D39", "SAML providers per account", 100),
    OidcProvider: _limit(
        "OpenIdConnectProvidersPerAccount", "L-858F3967", "OpenId connect providers per account", 100
    ),
}
ATTACHED: Mapping[type[Principal], Limit] = {
    User: _limit("PoliciesPerUser", "L-4019AD8B", "Managed policies per user", 10),
    Group: _limit("PoliciesPerGroup", "L-384571C4", "Managed policies per group", 10, adjustable=False),
    Role: _limit("PoliciesPerRole", "L-0DA4ABF3", "Managed policies per role", 10),
}
TRUST_SIZE = _limit("ACLSizePerRole", "L-C07B4B0D", "Role trust policy length", 2048)
"""Characters."""
GROUPS_OF_USER = _limit("GroupsPerUser", "L-7A1621EC", "IAM groups per user", 10, adjustable=False)
KEYS_OF_USER = _limit("AccessKeysPerUser", "L-8758042E", "Access keys per user", 2, adjustable=False)

QUOTAS = ServiceQuotas(
    "iam",
    "AWS Identity and Access Management (IAM)",
    tuple(
        limit.quota
        for limit in (*OF_ACCOUNT.values(), *ATTACHED.values(), TRUST_SIZE, GROUPS_OF_USER, KEYS_OF_USER)
    ),
)

INLINE_SIZE: Mapping[type[Principal], int] = {User: 2048, Group: 5120, Role: 10_240}
"""Characters of all inline policies together."""
POLICY_SIZE = 6144
"""Characters of a managed policy."""
VERSIONS = 5


def check_room(call: Call, kind: type[Entity]) -> None:
    """Raises LimitExceeded when the account has as many of the kind as it may."""
    check(call, OF_ACCOUNT[kind], call.part(Entities).count(call.tx, kind, call.account))


def check(call: Call, limit: Limit, there_are: int) -> None:
    """Raises LimitExceeded where there are as many as there may be."""
    most = limit.most(call)
    if there_are >= most:
        raise limit_exceeded(limit.name, most)
