"""What IAM accepts in Resource and NotResource, beyond what services accept in their own resource
policies."""

from __future__ import annotations

from typing import Final

from casemate.engine.policy.errors import DIALECTS, Kind, refusal

_PARTITIONS: Final = frozenset(
    {
        "*",
        "aws",
        "aws-cn",
        "aws-us-gov",
        "aws-iso",
        "aws-iso-b",
        "aws-iso-e",
        "aws-iso-f",
        "aws-eusc",
    }
)
_IAM_PATHS: Final = (
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
)
_S3_REGIONAL: Final = ("accesspoint", "job/", "storage-lens", "async-request/", "access-grants")


def fails_legacy_parsing(resources: list[str]) -> bool:
    """IAM's first, cruder look: an ARN of a known partition without service, or cut short after an empty
    part. What is less of an ARN than that gets a better text from check_resources."""
    for resource in resources:
        parts = resource.split(":")
        if parts[0] != "arn" or parts[1:2] == [] or parts[1] not in _PARTITIONS:
            continue
        if (len(parts) < 6 and "::" in resource) or parts[2:3] == [""]:
            return True
    return False


def check_resources(resources: list[str], kind: Kind) -> None:
    """Raises PolicyError. A key policy's resource is "*"; other values are taken and mean no key (AWS:
    "Creating a key policy")."""
    for resource in resources:
        if resource == "*" or kind == "key":
            continue
        if ":" not in resource:
            raise refusal("not-an-arn", kind, resource)
        if DIALECTS[kind] == "iam":
            _check_arn(resource, kind)
        elif not resource.startswith("arn:"):
            raise refusal("not-an-arn", kind, resource)


def _check_arn(resource: str, kind: Kind) -> None:
    # IAM reads anything before the first colon as "arn".
    parts = resource.split(":", 5)
    padded = [*parts, *"*****"][:6]
    _, partition, service, region, _account, path = padded
    if partition not in _PARTITIONS:
        raise refusal("partition", kind, partition, ":".join(["arn", *padded[1:]]))
    if len(parts) < 3 or not service or "*" in service or "?" in service:
        raise refusal("resource-vendor", kind)
    if len(parts) < 6:
        return
    if service == "iam":
        if region:
            raise refusal("iam-region", kind, resource)
        # The root user, as sts:AssumeRoot's resource, is one of no kind that the error's text lists.
        if path != "root" and not path.startswith(("*", "?", *_IAM_PATHS)):
            raise refusal("iam-path", kind)
    if service == "s3" and region and not path.startswith(("*", *_S3_REGIONAL)):
        raise refusal("s3-region", kind, resource)
