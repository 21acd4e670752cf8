"""Object ownership and access control lists, which are disabled: under BucketOwnerEnforced the bucket's owner owns
everything in it, and policies alone decide. Source: "Controlling ownership of objects and disabling ACLs for your
bucket".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.gate.canonical_user import canonical_user
from casemate.services.s3.digests import check_document
from casemate.services.s3.object_targets import NamedObject, named_object, needs_of, readable
from casemate.services.s3.refusals import malformed_xml, no_acls, not_supported
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _owners_control(account: str) -> tuple[s3.Owner, list[s3.Grant]]:
    """The ACL of what an account owns, as it is shown while ACLs are disabled: its owner, and what they have."""
    owner = canonical_user(account)
    return {"ID": owner}, [{"Grantee": {"ID": owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]


@s3.GetBucketAcl.reads(named_bucket)
def get_bucket_acl(call: Call, req: s3.GetBucketAclRequest, bucket: Bucket) -> s3.GetBucketAclOutput:
    """That the owner has full control, and nobody else has any by an ACL."""
    owner, grants = _owners_control(bucket.account)
    return {"Owner": owner, "Grants": grants}


@s3.PutBucketAcl.writes(configured_bucket)
def put_bucket_acl(call: Call, req: s3.PutBucketAclRequest, bucket: Bucket) -> s3.PutBucketAclResponse:
    """Refused, as by every bucket of AWS's whose ACLs are disabled."""
    raise no_acls()


@s3.GetObjectAcl.reads(named_object, *needs_of("s3:GetObjectAcl", "s3:GetObjectVersionAcl"))
def get_object_acl(call: Call, req: s3.GetObjectAclRequest, target: NamedObject) -> s3.GetObjectAclOutput:
    """That the bucket's owner has full control, and nobody else has any by an ACL."""
    readable(call, target)
    owner, grants = _owners_control(target.bucket.account)
    return {"Owner": owner, "Grants": grants}


@s3.PutObjectAcl.writes(named_object, *needs_of("s3:PutObjectAcl", "s3:PutObjectVersionAcl"))
def put_object_acl(call: Call, req: s3.PutObjectAclRequest, target: NamedObject) -> s3.PutObjectAclOutput:
    """Refused, as in every bucket of AWS's whose ACLs are disabled."""
    check_document(call, required=False)
    readable(call, target)
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
