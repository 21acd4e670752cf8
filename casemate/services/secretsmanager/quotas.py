"""Secrets Manager's quotas, per account and Region. Source: "AWS Secrets Manager quotas", as of November 2026.

Codes begin with ``L-CM`` where AWS's could not be found in public.
"""

from __future__ import annotations

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.quotas import Quota, ServiceQuotas

READS, CHANGES, POLICIES, ROTATIONS, TAGS = (
    *("DescribeSecretAndGetSecretValue", "ChangesOfSecrets", "ResourcePolicies", "Rotations", "Tags"),
)
"""Request quotas that several operations share."""


def _resource(code: str, name: str, value: float, description: str, adjustable: bool = False) -> Quota:
    return Quota("secretsmanager", code, name, value, adjustable=adjustable, description=description)


SECRETS = _resource("L-2F66C23C", "Secrets", 500_000, "Secrets in the Region.")
LABELS = _resource(
    "L-CM000101",
    "Staging labels attached across all versions of a secret",
    20,
    "Staging labels of one secret, on all of its versions.",
)
VERSIONS = _resource(
    "L-CM000102",
    "Versions per secret",
    100,
    "Versions that a secret keeps, besides those of the last 24 hours and those with a staging label.",
)


def _rate(counts: str, code: str, name: str, value: float) -> Quota:
    return Quota(
        "secretsmanager",
        code,
        f"{name} request rate",
        value,
        adjustable=False,
        counts=counts,
        description=f"{name} requests a second.",
    )


QUOTAS = ServiceQuotas(
    "secretsmanager",
    "AWS Secrets Manager",
    (
        SECRETS,
        LABELS,
        VERSIONS,
        _rate("BatchGetSecretValue", "L-CM000103", "BatchGetSecretValue", 100),
        _rate("CreateSecret", "L-CM000104", "CreateSecret", 50),
        _rate("DeleteSecret", "L-CM000105", "DeleteSecret", 50),
        _rate(READS, "L-CM000106", "Combined DescribeSecret and GetSecretValue", 10_000),
        _rate("GetRandomPassword", "L-CM000107", "GetRandomPassword", 50),
        _rate(
            POLICIES,
            "L-CM000108",
            "Combined DeleteResourcePolicy, GetResourcePolicy, PutResourcePolicy and ValidateResourcePolicy",
            50,
        ),
        _rate("ListSecretVersionIds", "L-CM000109", "ListSecretVersionIds", 50),
        _rate("ListSecrets", "L-CM000110", "ListSecrets", 100),
        _rate(
            CHANGES,
            "L-CM000111",
            "Combined PutSecretValue, RemoveRegionsFromReplication, ReplicateSecretToRegions, "
            "StopReplicationToReplica, UpdateSecret and UpdateSecretVersionStage",
            50,
        ),
        _rate("RestoreSecret", "L-CM000112", "RestoreSecret", 50),
        _rate(ROTATIONS, "L-CM000113", "Combined CancelRotateSecret and RotateSecret", 50),
        _rate(TAGS, "L-CM000114", "Combined TagResource and UntagResource", 50),
    ),
)


def must_be_within(call: Call, quota: Quota, count: int, what: str, region: str = "") -> None:
    """Raises LimitExceededException when so many are more than the quota allows. what: "secrets"; region: the call's
    unless given."""
    limit = int(call.limit(quota, region))
    if count > limit:
        raise AwsError("LimitExceededException", f"You've reached the limit of {limit} {what}.")
