"""CloudTrail's quotas. Source: "Quotas in AWS CloudTrail"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

QUOTAS = ServiceQuotas(
    "cloudtrail",
    "AWS CloudTrail",
    (
        Quota(
            "cloudtrail",
            "L-CM000301",
            "Transactions per second (TPS) for the LookupEvents API",
            2,
            adjustable=False,
            counts="LookupEvents",
            description="Requests of LookupEvents a second, of an account in a Region.",
        ),
    ),
    "Rate exceeded",
)
