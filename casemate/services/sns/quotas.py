"""SNS's quotas. Source: "Amazon SNS endpoints and quotas"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

TOPICS = Quota(
    "sns",
    "L-61103206",
    "Topics per Account",
    100_000,
    description="The maximum number of topics in this account in a Region.",
)

QUOTAS = ServiceQuotas("sns", "Amazon Simple Notification Service (Amazon SNS)", (TOPICS,))
