"""Object ownership and access control lists, which are disabled: under BucketOwnerEnforced the bucket's owner owns
everything in it, and policies alone decide. Source: "Controlling ownership of objects and disabling ACLs for your
bucket".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.canonical_user import canonical_user
from casemate.services.s3.refusals import malformed_xml, not_supported
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")


def no_acls() -> AwsError:
    return AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)


def must_set_no_acl(request: Mapping[str, Any]) -> None:
    """For requests that make objects: they may say no more than that the bucket's owner has full control. Raises
    AccessControlListNotSupported."""
    if request.get("ACL", "bucket-owner-full-control") != "bucket-owner-full-control":
        raise no_acls()
    if any(name in request for name in _GRANTS):
        raise no_acls()


def owners_control(account: str) -> s3.GetBucketAclOutput:
    """The ACL of what an account owns, as it is shown while ACLs are disabled."""
    owner = canonical_user(account)
    return {
        "Owner": {"ID": owner},
        "Grants": [{"Grantee": {"ID": owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}],
    }


@s3.GetBucketAcl.reads(named_bucket)
def get_bucket_acl(call: Call, req: s3.GetBucketAclRequest, bucket: Bucket) -> s3.GetBucketAclOutput:
    """That the owner has full control, and nobody else has any by an ACL."""
    return owners_control(bucket.account)


@s3.PutBucketAcl.writes(configured_bucket)
def put_bucket_acl(call: Call, req: s3.PutBucketAclRequest, bucket: Bucket) -> s3.PutBucketAclResponse:
    """Refused, as by every bucket of AWS's whose ACLs are disabled."""
    raise no_acls()


@s3.GetBucketOwnershipControls.reads(named_bucket)
def get_bucket_ownership_controls(
    call: Call, req: s3.GetBucketOwnershipControlsRequest, bucket: Bucket
) -> s3.GetBucketOwnershipControlsOutput:
    """Who owns the bucket's objects: its owner."""
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}


@s3.PutBucketOwnershipControls.writes(configured_bucket)
def put_bucket_ownership_controls(
    call: Call, req: s3.PutBucketOwnershipControlsRequest, bucket: Bucket
) -> s3.PutBucketOwnershipControlsResponse:
    """Let the bucket's owner own its objects, as is the case; other ownership is not served."""
    rules = req["OwnershipControls"]["Rules"]
    if len(rules) != 1:
        raise malformed_xml()
    if rules[0]["ObjectOwnership"] != "BucketOwnerEnforced":
        raise not_supported(f"Object ownership {rules[0]['ObjectOwnership']}")
    return {}
