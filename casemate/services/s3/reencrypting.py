"""UpdateObjectEncryption: another KMS key for an object that is there, whose content stays where and as it is.

Source: "UpdateObjectEncryption", "Updating server-side encryption for existing objects".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.services.s3 import locks, sealing
from casemate.services.s3.digests import check_document
from casemate.services.s3.object_rows import Objects
from casemate.services.s3.object_targets import NamedObject, named_object, readable
from casemate.services.s3.refusals import access_denied, invalid_request

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.UpdateObjectEncryption.writes(named_object)
def update_object_encryption(
    call: Call, req: s3.UpdateObjectEncryptionRequest, target: NamedObject
) -> s3.UpdateObjectEncryptionResponse:
    """Put an object under a KMS key, another one or with a bucket key: its data key is wrapped anew, nothing else."""
    check_document(call, required=True)
    row = readable(call, target)
    bucket, kept = target.bucket, row.about["Encryption"]
    wanted: Any = req["ObjectEncryption"].get("SSEKMS")
    if wanted is None:
        raise invalid_request(
            "Requests that modify an object encryption configuration require a valid new encryption type. Valid "
            "values are SSEKMS. Modify the request to specify SSE-KMS for the updated encryption type, and then try "
            "again."
        )
    if kept["A"] not in (sealing.S3_KEYS, sealing.KMS_KEYS):
        raise invalid_request(
            "The UpdateObjectEncryption operation doesn't support source objects with the encryption type DSSE-KMS "
            "or SSE-C. Only source objects encrypted with SSE-S3 or SSE-KMS are supported."
        )
    _check_key(wanted["KMSKeyArn"], bucket.account)
    if locks.is_locked(row.about, call.now):
        raise access_denied(
            "The encryption type for the specified object can't be updated because that object is protected by S3 "
            "Object Lock."
        )
    how = sealing.Wanted(
        sealing.KMS_KEYS, wanted["KMSKeyArn"], kept.get("C", {}), bool(wanted.get("BucketKeyEnabled"))
    )
    changed = sealing.rewrapped(call, bucket, row, how)
    call.part(Objects).describe(call.tx, bucket, row, {**row.about, "Encryption": changed})
    return {}


def _check_key(arn: str, account: str) -> None:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith("key/"):
        raise invalid_request(
            "Requests that modify an object's encryption type to SSE-KMS require a valid AWS KMS key Amazon Resource "
            "Name (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and then try again."
        )
    if parts[4] != account:
        raise AwsError(
            "AccessDenied",
            "The AWS KMS key in the request must be owned by the same account as the bucket. Modify the request to "
            "specify a KMS key from the same account, and then try again.",
            403,
        )
