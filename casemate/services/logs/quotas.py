"""CloudWatch Logs' quotas. Source: "CloudWatch Logs quotas"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import AwsError
from casemate.gate.quotas import Quota, ServiceQuotas

if TYPE_CHECKING:
    from casemate.gate.call import Call

GROUPS = Quota(
    "logs",
    "L-CM000201",
    "Log groups",
    1_000_000,
    description="Log groups of an account in a Region.",
)

QUOTAS = ServiceQuotas("logs", "Amazon CloudWatch Logs", (GROUPS,))


def must_be_within(call: Call, quota: Quota, count: int, what: str) -> None:
    """Raises LimitExceededException."""
    if count > call.limit(quota):
        raise AwsError("LimitExceededException", f"Resource limit exceeded: {what}.")
