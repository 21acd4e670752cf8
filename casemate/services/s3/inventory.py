"""Inventory configurations: lists of a bucket's objects that are delivered to a bucket, daily or weekly.

Source: "Cataloging and analyzing your data with S3 Inventory", "PutBucketInventoryConfiguration".
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3 import inventory_rows as rows
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.naming import bucket_of_arn
from casemate.services.s3.refusals import invalid_argument, log_tampered, malformed_xml, not_supported
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 1_000
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NOT_SERVED = ("ObjectLockEventHoldStatus", "ObjectLockEventHoldDuration", "IntelligentTieringReferenceDate")


def _none() -> AwsError:
    return AwsError("NoSuchConfiguration", "The specified configuration does not exist.", 404)


@s3.PutBucketInventoryConfiguration.writes(configured_bucket, Need("s3:PutInventoryConfiguration"))
def put_bucket_inventory_configuration(
    call: Call, req: s3.PutBucketInventoryConfigurationRequest, bucket: Bucket
) -> s3.PutBucketInventoryConfigurationResponse:
    """Have the bucket's objects listed, daily or weekly, and the list put into a bucket of the same Region."""
    given: Any = req["InventoryConfiguration"]
    if _ID.fullmatch(req["Id"]) is None:
        raise invalid_argument("Invalid inventory configuration ID.", "Id", req["Id"])
    if given["Id"] != req["Id"]:
        raise malformed_xml()
    to = given["Destination"]["S3BucketDestination"]
    if to["Format"] == "ORC":
        raise not_supported(f"An inventory in {to['Format']}")
    fields = given.get("OptionalFields", [])
    if len(set(fields)) != len(fields):
        raise malformed_xml()
    for name in _NOT_SERVED:
        if name in fields:
            raise not_supported(f"The field {name} of an inventory")
    if len(to.get("Encryption", ())) > 1:
        raise malformed_xml()
    _check_destination(call, bucket, to["Bucket"])
    buckets = call.part(Buckets)
    if _found(call, bucket, req["Id"]) is None and rows.count(call.tx, bucket) >= _MOST:
        raise AwsError(
            "TooManyConfigurations",
            "You are attempting to create a new configuration but have already reached the 1,000-configuration "
            "limit.",
            400,
        )
    rows.keep(call.tx, buckets, bucket, given, call.now)
    return {}


def _check_destination(call: Call, bucket: Bucket, arn: str) -> None:
    name = bucket_of_arn(arn)
    found = None if name is None else call.part(Buckets).find(call, name)
    if found is None or found.arn != arn or found.region != bucket.region:
        raise AwsError(
            "InvalidS3DestinationBucket",
            "The destination bucket must exist, and be in the Region of the source bucket.",
            400,
        )


def _found(call: Call, bucket: Bucket, name: str) -> Any:
    try:
        return rows.find(call.tx, call.part(Buckets), bucket, name)
    except Tampered as error:
        raise log_tampered(f"inventory configuration {name} of {bucket.name}", error) from error


@s3.GetBucketInventoryConfiguration.reads(named_bucket, Need("s3:GetInventoryConfiguration"))
def get_bucket_inventory_configuration(
    call: Call, req: s3.GetBucketInventoryConfigurationRequest, bucket: Bucket
) -> s3.GetBucketInventoryConfigurationOutput:
    """An inventory configuration."""
    found = _found(call, bucket, req["Id"])
    if found is None:
        raise _none()
    return {"InventoryConfiguration": found}


@s3.ListBucketInventoryConfigurations.reads(named_bucket, Need("s3:GetInventoryConfiguration"))
def list_bucket_inventory_configurations(
    call: Call, req: s3.ListBucketInventoryConfigurationsRequest, bucket: Bucket
) -> s3.ListBucketInventoryConfigurationsOutput:
    """The bucket's inventory configurations, a hundred at a time."""
    token = req.get("ContinuationToken")
    try:
        after = "" if token is None else urlsafe_b64decode(token.encode()).decode()
    except (NotBase64, UnicodeError):
        raise invalid_argument(
            "The continuation token provided is incorrect", "continuation-token", token
        ) from None
    try:
        found: list[Any] = list(rows.page(call.tx, call.part(Buckets), bucket, after))
    except Tampered as error:
        raise log_tampered(f"an inventory configuration of {bucket.name}", error) from error
    answer: dict[str, Any] = {
        "InventoryConfigurationList": found[: rows.PAGE],
        "IsTruncated": len(found) > rows.PAGE,
    }
    if token is not None:
        answer["ContinuationToken"] = token
    if len(found) > rows.PAGE:
        last: str = found[rows.PAGE - 1]["Id"]
        answer["NextContinuationToken"] = urlsafe_b64encode(last.encode()).decode()
    return answer  # type: ignore[return-value]  # built from the model's members


@s3.DeleteBucketInventoryConfiguration.writes(named_bucket, Need("s3:PutInventoryConfiguration"))
def delete_bucket_inventory_configuration(
    call: Call, req: s3.DeleteBucketInventoryConfigurationRequest, bucket: Bucket
) -> s3.DeleteBucketInventoryConfigurationResponse:
    """Have no more such lists."""
    if not rows.remove(call.tx, bucket, req["Id"]):
        raise _none()
    return {}
