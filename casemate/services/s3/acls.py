"""Access control lists of buckets and objects: put, told, and settled for what is new. Source: "Access control list
(ACL) overview", "Controlling ownership of objects and disabling ACLs for your bucket".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.services.s3 import acl_rules as rules
from casemate.services.s3 import replicating
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.digests import check_document
from casemate.services.s3.happenings import acl_changed
from casemate.services.s3.object_rows import ObjectRow
from casemate.services.s3.object_targets import (
    NamedObject,
    acl_of,
    named_object,
    needs_of_owner,
    owner_of,
    readable,
    writer,
)
from casemate.services.s3.public_access import public_is_blocked
from casemate.services.s3.refusals import no_acls
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.GetBucketAcl.reads(named_bucket)
def get_bucket_acl(call: Call, req: s3.GetBucketAclRequest, bucket: Bucket) -> s3.GetBucketAclOutput:
    """The bucket's owner and its access control list; of a bucket without lists, that the owner has full control."""
    return {"Owner": {"ID": rules.canonical(bucket.account)}, "Grants": rules.shown(bucket.acl)}


@s3.PutBucketAcl.writes(configured_bucket)
def put_bucket_acl(call: Call, req: s3.PutBucketAclRequest, bucket: Bucket) -> s3.PutBucketAclResponse:
    """Replace the bucket's access control list, where lists are not disabled."""
    if not bucket.acls:
        raise no_acls()
    acl = _put(req, bucket.account)
    _must_not_be_public(call, bucket, "s3:PutBucketAcl", acl)
    call.part(Buckets).configure(call.tx, bucket, Acl=rules.kept(acl))
    return {}


_NEEDS_TO_READ = needs_of_owner("s3:GetObjectAcl", "s3:GetObjectVersionAcl")
_NEEDS_TO_PUT = needs_of_owner("s3:PutObjectAcl", "s3:PutObjectVersionAcl")


@s3.GetObjectAcl.reads(named_object, *_NEEDS_TO_READ)
def get_object_acl(call: Call, req: s3.GetObjectAclRequest, target: NamedObject) -> s3.GetObjectAclOutput:
    """A version's owner and its access control list; in a bucket without lists, that the bucket's owner has full
    control."""
    about = readable(call, target).about
    return {
        "Owner": {"ID": rules.canonical(owner_of(target.bucket, about))},
        "Grants": rules.shown(acl_of(target.bucket, about)),
    }


@s3.PutObjectAcl.writes(named_object, *_NEEDS_TO_PUT)
def put_object_acl(call: Call, req: s3.PutObjectAclRequest, target: NamedObject) -> s3.PutObjectAclOutput:
    """Replace a version's access control list, where lists are not disabled."""
    check_document(call, required=False)
    bucket, row = target.bucket, readable(call, target)
    if not bucket.acls:
        raise no_acls()
    acl = _put(req, owner_of(bucket, row.about), bucket.account)
    _must_not_be_public(call, bucket, "s3:PutObjectAcl", acl)
    changed: ObjectRow = replicating.change(call, bucket, row, {**row.about, "Acl": rules.kept(acl)})
    acl_changed(call, bucket, changed)
    return {}


def _put(request: Mapping[str, Any], owner: str, bucket_owner: str = "") -> rules.Acl:
    """The list that a request puts, by its headers or by its document. Raises AwsError."""
    acl = rules.asked(request, owner, bucket_owner)
    document = request.get("AccessControlPolicy")
    if document is None:
        if acl is None:
            raise AwsError(
                "MissingSecurityHeader",
                "Your request was missing a required header",
                400,
                MissingHeaderName="x-amz-acl",
            )
        return acl
    if acl is not None:
        raise AwsError("UnexpectedContent", "This request does not support content", 400)
    return rules.of_document(document, owner)


def _must_not_be_public(call: Call, bucket: Bucket, action: str, acl: rules.Acl) -> None:
    if bucket.blocks.get("BlockPublicAcls") and rules.is_public(acl):
        raise public_is_blocked(call, action, bucket, "public ACLs are", "BlockPublicAcls")


def settle(call: Call, bucket: Bucket, request: Mapping[str, Any]) -> dict[str, Any]:
    """Who owns an object that a request makes, and its list, for what is kept of it: nothing where both are as in a
    bucket without lists. Raises AwsError for a list that the bucket does not take."""
    if not bucket.acls:
        rules.check_disabled(request, bucket.account)
        return {}
    owner = writer(call, bucket)
    if bucket.ownership == "BucketOwnerPreferred" and request.get("ACL") == "bucket-owner-full-control":
        owner = bucket.account
    about: dict[str, Any] = {} if owner == bucket.account else {"Owner": owner}
    acl = rules.asked(request, owner, bucket.account)
    if acl is not None:
        _must_not_be_public(call, bucket, "s3:PutObject", acl)
        if acl != rules.private(owner):
            about["Acl"] = rules.kept(acl)
    return about
