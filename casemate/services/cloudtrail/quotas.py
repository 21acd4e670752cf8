"""CloudTrail's quotas. Source: "Quotas in AWS CloudTrail"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

TRAILS = Quota(
    "cloudtrail",
    "L-CM000302",
    "Trails per Region",
    5,
    adjustable=False,
    description="Trails of an account in a Region. One of all Regions counts in each.",
)

QUOTAS = ServiceQuotas(
    "cloudtrail",
    "AWS CloudTrail",
    (
        TRAILS,
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
