"""Versioning and Object Lock, as buckets have them configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import invalid_argument, malformed_xml, not_supported
from casemate.services.s3.replication_rules import SETTING
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, described_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST_DAYS, _MOST_YEARS = 36_500, 100


def _invalid_state(text: str) -> AwsError:
    return AwsError("InvalidBucketState", text, 409)


@s3.PutBucketVersioning.writes(configured_bucket)
def put_bucket_versioning(
    call: Call, req: s3.PutBucketVersioningRequest, bucket: Bucket
) -> s3.PutBucketVersioningResponse:
    """Keep the versions of objects from now on, or no further ones."""
    given = req["VersioningConfiguration"]
    status = given.get("Status")
    if status is None:
        raise AwsError(
            "IllegalVersioningConfigurationException",
            "The Versioning element must be specified",
            400,
        )
    if given.get("MFADelete") == "Enabled":
        raise not_supported("MFA delete")
    if status == "Suspended" and bucket.object_lock is not None:
        raise _invalid_state(
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        )
    if status == "Suspended" and SETTING in bucket.settings:
        raise _invalid_state(
            "A replication configuration is present on this bucket, so you cannot change the versioning state. To "
            "change the versioning state, first delete the replication configuration."
        )
    call.part(Buckets).configure(call.tx, bucket, Versioning=status)
    return {}


@s3.GetBucketVersioning.reads(named_bucket)
def get_bucket_versioning(
    call: Call, req: s3.GetBucketVersioningRequest, bucket: Bucket
) -> s3.GetBucketVersioningOutput:
    """Whether versions are kept; nothing where they never were."""
    if not bucket.versioning:
        return {}
    return {"Status": bucket.versioning}  # type: ignore[typeddict-item]  # as PutBucketVersioning took it


@s3.PutObjectLockConfiguration.writes(described_bucket, Need("s3:PutBucketObjectLockConfiguration"))
def put_object_lock_configuration(
    call: Call, req: s3.PutObjectLockConfigurationRequest, bucket: Bucket
) -> s3.PutObjectLockConfigurationOutput:
    """Turn Object Lock on, for good, and say how long new objects are kept that do not say."""
    given = req.get("ObjectLockConfiguration")
    if given is None or given.get("ObjectLockEnabled") != "Enabled":
        raise malformed_xml()
    if bucket.versioning != "Enabled":
        raise _invalid_state(
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        )
    configuration: s3.ObjectLockConfiguration = {"ObjectLockEnabled": "Enabled"}
    retention = given.get("Rule", {}).get("DefaultRetention")
    if retention is not None:
        configuration["Rule"] = {"DefaultRetention": _checked(retention)}
    elif "Rule" in given:
        raise malformed_xml()
    call.part(Buckets).configure(call.tx, bucket, ObjectLock=configuration)
    return {}


def _checked(retention: s3.DefaultRetention) -> s3.DefaultRetention:
    if "DefaultEventHold" in retention:
        raise not_supported("An event hold")
    mode, days, years = retention.get("Mode"), retention.get("Days"), retention.get("Years")
    if mode is None or (days is None) == (years is None):
        raise malformed_xml()
    if days is not None:
        if days < 1:
            raise invalid_argument("Default retention period must be a positive integer value.")
        if days > _MOST_DAYS:
            raise invalid_argument(f"Default retention period is too large: at most {_MOST_DAYS} days.")
        return {"Mode": mode, "Days": days}
    assert years is not None
    if years < 1:
        raise invalid_argument("Default retention period must be a positive integer value.")
    if years > _MOST_YEARS:
        raise invalid_argument(f"Default retention period is too large: at most {_MOST_YEARS} years.")
    return {"Mode": mode, "Years": years}


@s3.GetObjectLockConfiguration.reads(named_bucket, Need("s3:GetBucketObjectLockConfiguration"))
def get_object_lock_configuration(
    call: Call, req: s3.GetObjectLockConfigurationRequest, bucket: Bucket
) -> s3.GetObjectLockConfigurationOutput:
    """Object Lock's configuration."""
    if bucket.object_lock is None:
        raise AwsError(
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
            404,
            BucketName=bucket.name,
        )
    return {"ObjectLockConfiguration": bucket.object_lock}  # type: ignore[typeddict-item]  # as it was put
