"""S3's quotas. Source: "Amazon S3 endpoints and quotas"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

BUCKETS = Quota(
    "s3",
    "L-DC2B2D3D",
    "General purpose buckets",
    10_000,
    description="General purpose buckets of the account, in all Regions.",
    region="us-east-1",
)

QUOTAS = ServiceQuotas("s3", "Amazon Simple Storage Service (Amazon S3)", (BUCKETS,))
