"""STS's request quota, which its operations share per account and Region. Source: "IAM and AWS STS quotas"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

REQUESTS = "Requests"

QUOTAS = ServiceQuotas(
    "sts",
    "AWS Security Token Service (AWS STS)",
    (
        Quota(
            "sts",
            "L-CM000101",
            "AWS STS request rate",
            600,
            counts=REQUESTS,
            description="AssumeRole, DecodeAuthorizationMessage, GetAccessKeyInfo, GetCallerIdentity, "
            "GetFederationToken and GetSessionToken a second, all of them together.",
        ),
    ),
)
