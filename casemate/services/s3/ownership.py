"""Object ownership: whether the bucket's owner owns everything in it, so that policies alone decide, or access
control lists count. Source: "Controlling ownership of objects and disabling ACLs for your bucket".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3.acl_rules import canonical
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import malformed_xml, no_acl_with_ownership
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.GetBucketOwnershipControls.reads(named_bucket)
def get_bucket_ownership_controls(
    call: Call, req: s3.GetBucketOwnershipControlsRequest, bucket: Bucket
) -> s3.GetBucketOwnershipControlsOutput:
    """Who owns the bucket's objects."""
    if not bucket.ownership:
        raise AwsError(
            "OwnershipControlsNotFoundError",
            "The bucket ownership controls were not found",
            404,
            BucketName=bucket.name,
        )
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}  # type: ignore[typeddict-item]  # as it was put


@s3.PutBucketOwnershipControls.writes(configured_bucket)
def put_bucket_ownership_controls(
    call: Call, req: s3.PutBucketOwnershipControlsRequest, bucket: Bucket
) -> s3.PutBucketOwnershipControlsResponse:
    """Say who owns the bucket's objects. Lists are disabled only where the bucket's own gives nothing to others."""
    rules = req["OwnershipControls"]["Rules"]
    if len(rules) != 1:
        raise malformed_xml()
    ownership = rules[0]["ObjectOwnership"]
    owner = canonical(bucket.account)
    if ownership == "BucketOwnerEnforced" and any(grant.grantee != owner for grant in bucket.acl):
        raise no_acl_with_ownership()
    call.part(Buckets).configure(call.tx, bucket, Ownership=ownership)
    return {}


@s3.DeleteBucketOwnershipControls.writes(named_bucket, Need("s3:PutBucketOwnershipControls"))
def delete_bucket_ownership_controls(
    call: Call, req: s3.DeleteBucketOwnershipControlsRequest, bucket: Bucket
) -> s3.DeleteBucketOwnershipControlsResponse:
    """Say nothing of ownership: whoever writes an object owns it, and lists count."""
    # Not None: that is what a new bucket's would be.
    call.part(Buckets).configure(call.tx, bucket, Ownership="")
    return {}
