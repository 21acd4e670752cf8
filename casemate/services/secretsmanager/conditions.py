"""Condition keys that follow from the request, whatever it acts on; all in lower case.

Source: "Actions, resources, and condition keys for AWS Secrets Manager".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from casemate.api import kms
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.gate.resource import Value

OWN_TAGS = "secretsmanager:resourcetag/"
"""secretsmanager:ResourceTag/tag-key: what it begins with."""
_REQUEST_TAGS = "aws:requesttag/"


def of_request(key: str, call: Call, request: Mapping[str, Any]) -> Value:
    """The value of a condition key for a request; None where the request does not have it."""
    of_member = _OF_MEMBER.get(key)
    if of_member is not None:
        return of_member(request)
    if key == "secretsmanager:kmskeyarn":
        return key_arn(call, request.get("KmsKeyId", ""))
    if key == "aws:tagkeys":
        return [*(tag["Key"] for tag in request.get("Tags", ())), *request.get("TagKeys", ())] or None
    if key.startswith(_REQUEST_TAGS):
        name = key[len(_REQUEST_TAGS) :]
        for tag in request.get("Tags", ()):
            if tag.get("Key", "").lower() == name:
                return str(tag.get("Value", ""))
    return None


def key_arn(call: Call, key_id: str) -> Value:
    """The ARN of the KMS key that a request names. Raises AccessDeniedException for an alias that the caller may not
    look up: where a policy asks which key it is, nobody gets around the answer."""
    if not key_id:
        return None
    if key_id.startswith("alias/") or ":alias/" in key_id:
        try:
            found = kms.DescribeKey.ask(call, {"KeyId": key_id}, via="secretsmanager")
        except AwsError:
            raise AwsError("AccessDeniedException", "Access to KMS is not allowed") from None
        return found.get("KeyMetadata", {}).get("Arn")
    if key_id.startswith("arn:"):
        return key_id
    return f"arn:{partition_of(call.region)}:kms:{call.region}:{call.account}:key/{key_id}"


def _text(member: str) -> Callable[[Mapping[str, Any]], Value]:
    def value(request: Mapping[str, Any]) -> Value:
        found = request.get(member)
        return None if found is None else str(found)

    return value


def _truth(member: str) -> Callable[[Mapping[str, Any]], Value]:
    def value(request: Mapping[str, Any]) -> Value:
        return "true" if request.get(member) else "false" if member in request else None

    return value


def _regions(request: Mapping[str, Any]) -> Value:
    return [each["Region"] for each in request.get("AddReplicaRegions", ()) if "Region" in each] or None


_OF_MEMBER: Mapping[str, Callable[[Mapping[str, Any]], Value]] = {
    "secretsmanager:addreplicaregions": _regions,
    "secretsmanager:blockpublicpolicy": _truth("BlockPublicPolicy"),
    "secretsmanager:description": _text("Description"),
    "secretsmanager:externalsecretrotationrolearn": _text("ExternalSecretRotationRoleArn"),
    "secretsmanager:forcedeletewithoutrecovery": _truth("ForceDeleteWithoutRecovery"),
    "secretsmanager:forceoverwritereplicasecret": _truth("ForceOverwriteReplicaSecret"),
    "secretsmanager:kmskeyid": _text("KmsKeyId"),
    "secretsmanager:modifyrotationrules": lambda request: "true" if "RotationRules" in request else "false",
    "secretsmanager:name": _text("Name"),
    "secretsmanager:recoverywindowindays": _text("RecoveryWindowInDays"),
    "secretsmanager:rotateimmediately": _truth("RotateImmediately"),
    "secretsmanager:rotationlambdaarn": _text("RotationLambdaARN"),
    "secretsmanager:secretid": _text("SecretId"),
    "secretsmanager:type": _text("Type"),
    "secretsmanager:versionid": _text("VersionId"),
}
