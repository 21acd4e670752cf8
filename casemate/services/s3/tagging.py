"""Tags of buckets, and whether policies heed them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import malformed_xml
from casemate.services.s3.resources import Bucket
from casemate.services.s3.tag_rules import checked_tags
from casemate.services.s3.targets import configured_bucket, described_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _must_be_without_abac(bucket: Bucket) -> None:
    """Source: "Enabling ABAC in general purpose buckets": tags that decide rights are changed by TagResource and
    UntagResource alone."""
    if bucket.settings.get("Abac") == "Enabled":
        raise AwsError(
            "InvalidRequest",
            "This operation is not supported for buckets with attribute-based access control (ABAC) enabled. Use "
            "TagResource and UntagResource instead.",
            400,
        )


@s3.PutBucketTagging.writes(described_bucket)
def put_bucket_tagging(
    call: Call, req: s3.PutBucketTaggingRequest, bucket: Bucket
) -> s3.PutBucketTaggingResponse:
    """Replace the bucket's tags."""
    _must_be_without_abac(bucket)
    tags = checked_tags(req["Tagging"]["TagSet"])
    call.part(Buckets).configure(call.tx, bucket, Tags=tags or None)
    return {}


@s3.GetBucketTagging.reads(named_bucket)
def get_bucket_tagging(
    call: Call, req: s3.GetBucketTaggingRequest, bucket: Bucket
) -> s3.GetBucketTaggingOutput:
    """The bucket's tags."""
    if not bucket.shown_tags:
        raise AwsError("NoSuchTagSet", "The TagSet does not exist", 404, BucketName=bucket.name)
    return {"TagSet": [{"Key": key, "Value": value} for key, value in bucket.shown_tags.items()]}


@s3.DeleteBucketTagging.writes(named_bucket, Need("s3:PutBucketTagging"))
def delete_bucket_tagging(
    call: Call, req: s3.DeleteBucketTaggingRequest, bucket: Bucket
) -> s3.DeleteBucketTaggingResponse:
    """Remove the bucket's tags."""
    _must_be_without_abac(bucket)
    call.part(Buckets).configure(call.tx, bucket, Tags=None)
    return {}


@s3.PutBucketAbac.writes(configured_bucket)
def put_bucket_abac(call: Call, req: s3.PutBucketAbacRequest, bucket: Bucket) -> s3.PutBucketAbacResponse:
    """Let policies' conditions on tags heed the bucket's tags, or not."""
    status = req["AbacStatus"].get("Status")
    if status is None:
        raise malformed_xml()
    call.part(Buckets).configure(call.tx, bucket, Abac=status)
    return {}


@s3.GetBucketAbac.reads(named_bucket)
def get_bucket_abac(call: Call, req: s3.GetBucketAbacRequest, bucket: Bucket) -> s3.GetBucketAbacOutput:
    """Whether policies' conditions on tags heed the bucket's tags."""
    return {"AbacStatus": {"Status": bucket.settings.get("Abac", "Disabled")}}
