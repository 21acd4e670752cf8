"""PutBucketEncryption, GetBucketEncryption, DeleteBucketEncryption: what new objects are encrypted with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import invalid_argument, malformed_xml
from casemate.services.s3.resources import Bucket
from casemate.services.s3.settings import ORDINARY_ENCRYPTION
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_KMS = ("aws:kms", "aws:kms:dsse")


def _complete(rule: s3.ServerSideEncryptionRule, bucket: Bucket) -> dict[str, Any]:
    """The rule with what it leaves out: SSE-S3, no bucket key; what is blocked stays so. Raises InvalidArgument."""
    default = rule.get("ApplyServerSideEncryptionByDefault", {"SSEAlgorithm": "AES256"})
    algorithm = default["SSEAlgorithm"]
    if algorithm not in ("AES256", *_KMS):
        raise invalid_argument(
            f"The default encryption of a bucket cannot be {algorithm}", "SSEAlgorithm", algorithm
        )
    if default.get("KMSMasterKeyID") and algorithm not in _KMS:
        raise invalid_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            "KMSMasterKeyID",
        )
    blocked = rule.get("BlockedEncryptionTypes", bucket.encryption["BlockedEncryptionTypes"])
    types = blocked.get("EncryptionType", [])
    if len(types) != 1:
        raise malformed_xml()
    return {
        "ApplyServerSideEncryptionByDefault": {key: value for key, value in default.items() if value},
        "BucketKeyEnabled": bool(rule.get("BucketKeyEnabled")),
        "BlockedEncryptionTypes": {"EncryptionType": list(types)},
    }


@s3.PutBucketEncryption.writes(configured_bucket, Need("s3:PutEncryptionConfiguration"))
def put_bucket_encryption(
    call: Call, req: s3.PutBucketEncryptionRequest, bucket: Bucket
) -> s3.PutBucketEncryptionResponse:
    """Say what new objects are encrypted with that do not say, and which kinds are refused."""
    rules = req["ServerSideEncryptionConfiguration"]["Rules"]
    if len(rules) != 1:
        raise malformed_xml()
    call.part(Buckets).configure(call.tx, bucket, Encryption=_complete(rules[0], bucket))
    return {}


@s3.GetBucketEncryption.reads(named_bucket, Need("s3:GetEncryptionConfiguration"))
def get_bucket_encryption(
    call: Call, req: s3.GetBucketEncryptionRequest, bucket: Bucket
) -> s3.GetBucketEncryptionOutput:
    """What new objects are encrypted with that do not say."""
    return {"ServerSideEncryptionConfiguration": {"Rules": [bucket.encryption]}}  # type: ignore[list-item]  # as it was put


@s3.DeleteBucketEncryption.writes(named_bucket, Need("s3:PutEncryptionConfiguration"))
def delete_bucket_encryption(
    call: Call, req: s3.DeleteBucketEncryptionRequest, bucket: Bucket
) -> s3.DeleteBucketEncryptionResponse:
    """Encrypt new objects as a new bucket does."""
    call.part(Buckets).configure(call.tx, bucket, Encryption=ORDINARY_ENCRYPTION)
    return {}
