"""Quotas. Source: "Quotas and service limits for AWS Organizations"."""

from __future__ import annotations

from collections.abc import Mapping

from casemate.gate.quotas import Quota, ServiceQuotas
from casemate.services.organizations.model import RCP, SCP

ACCOUNTS = Quota(
    "organizations",
    "L-E619E033",
    "Default maximum number of accounts",
    10,
    description="Accounts of an organization, open invitations and closed accounts among them.",
    region="us-east-1",
)
QUOTAS = ServiceQuotas("organizations", "AWS Organizations", (ACCOUNTS,))
"""What Service Quotas lets the management account raise, in us-east-1."""

UNITS = 2000
DEPTH = 5
"""Levels of units under the root."""
TAGS = 50
INVITATIONS_A_DAY = 20
REMOVABLE_AFTER = 4 * 86400.0
"""Seconds after which an account that Organizations made may leave."""
CLOSED_FOR = 90 * 86400.0
"""Seconds after which a closed account is no more of its organisation."""
INVITATION_FOR = 15 * 86400.0
ALL_FEATURES_FOR = 90 * 86400.0
HANDSHAKE_KEPT = 30 * 86400.0
"""Seconds for which a handshake that is answered or expired is shown."""

_SIZE: Mapping[str, int] = {SCP: 10_240, RCP: 5120, "AISERVICES_OPT_OUT_POLICY": 2500}
_POLICIES: Mapping[str, int] = {SCP: 10_000, RCP: 2000}
_ATTACHED: Mapping[str, int] = {RCP: 5, "CHATBOT_POLICY": 5, "AISERVICES_OPT_OUT_POLICY": 5}


def most_characters(policy_type: str) -> int:
    """Of a policy's document."""
    return _SIZE.get(policy_type, 10_000)


def most_policies(policy_type: str) -> int:
    """Of a type in an organisation."""
    return _POLICIES.get(policy_type, 1000)


def most_attached(policy_type: str) -> int:
    """Policies of a type on one root, unit or account."""
    return _ATTACHED.get(policy_type, 10)
