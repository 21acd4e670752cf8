"""CreateBucket and DeleteBucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3 import acl_rules
from casemate.services.s3.access_points import AccessPoints
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.collecting import schedule
from casemate.services.s3.inventory_rows import remove_all
from casemate.services.s3.naming import bucket_arn, is_of_namespace, is_regional, may_name_bucket
from casemate.services.s3.object_rows import Objects
from casemate.services.s3.quotas import BUCKETS
from casemate.services.s3.refusals import invalid_bucket_name, no_acl_with_ownership, not_supported
from casemate.services.s3.resources import Bucket, S3Resource
from casemate.services.s3.settings import NEW
from casemate.services.s3.tag_rules import checked_tags
from casemate.services.s3.targets import named_bucket
from casemate.services.s3.upload_rows import Uploads

if TYPE_CHECKING:
    from casemate.gate.call import Call

_GLOBAL_HOME = "us-east-1"


class NewBucket(S3Resource):
    """The bucket that CreateBucket would make, as the request describes it. region: where; the others: what further
    permissions are needed on, None where the request does not ask for it."""

    __slots__ = ("listed", "locked", "owned", "region", "tagged")

    listed: NewBucket | None
    locked: NewBucket | None
    owned: NewBucket | None
    region: str
    tagged: NewBucket | None


def new_bucket(call: Call, request: Mapping[str, Any]) -> NewBucket:
    """CreateBucket's."""
    name: str = request["Bucket"]
    region = _region(call, request)
    account_regional = request.get("BucketNamespace") == "account-regional"
    if not may_name_bucket(name) or account_regional != is_regional(name):
        raise invalid_bucket_name(name)
    if account_regional and not is_of_namespace(name, call.account, region):
        raise invalid_bucket_name(name)
    found = NewBucket(bucket_arn(name, region), call.account, type="AWS::S3::Bucket")
    found.region = region
    listed = request.get("ACL", "private") != "private" or any(each in request for each in acl_rules.HEADERS)
    found.listed = found if listed else None
    found.locked = found if request.get("ObjectLockEnabledForBucket") else None
    found.owned = found if "ObjectOwnership" in request else None
    found.tagged = found if request.get("CreateBucketConfiguration", {}).get("Tags") else None
    return found


def _region(call: Call, request: Mapping[str, Any]) -> str:
    """Where the bucket is to be: in the request's Region, which must be named unless it is us-east-1; by way of
    us-east-1, anywhere."""
    configuration = request.get("CreateBucketConfiguration", {})
    if "Location" in configuration or "Bucket" in configuration:
        raise not_supported("A directory bucket")
    constraint: str | None = configuration.get("LocationConstraint")
    region = {None: _GLOBAL_HOME, "EU": "eu-west-1"}.get(constraint, constraint)
    assert region is not None
    if call.region not in (_GLOBAL_HOME, region):
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {constraint or 'unspecified'} location constraint is incompatible for the region specific "
            "endpoint this request was sent to.",
        )
    return region


@s3.CreateBucket.writes(
    new_bucket,
    Need("s3:CreateBucket"),
    Need("s3:PutBucketAcl", lambda new: new.listed),
    Need("s3:PutBucketObjectLockConfiguration", lambda new: new.locked),
    Need("s3:PutBucketVersioning", lambda new: new.locked),
    Need("s3:PutBucketOwnershipControls", lambda new: new.owned),
    Need("s3:TagResource", lambda new: new.tagged),
)
def create_bucket(call: Call, req: s3.CreateBucketRequest, new: NewBucket) -> s3.CreateBucketOutput:
    """Make a bucket, private, encrypted and without ACLs unless the request says otherwise."""
    name, buckets = req["Bucket"], call.part(Buckets)
    answer: s3.CreateBucketOutput = {"Location": _location(name, new.region, req), "BucketArn": new.arn}
    settings = _settings(req, new)
    there = buckets.find(call, name)
    if there is not None:
        if there.account != call.account:
            raise AwsError(
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by all users of the "
                "system. Please select a different name and try again.",
                409,
                BucketName=name,
            )
        if there.region != _GLOBAL_HOME or call.region != _GLOBAL_HOME or new.region != _GLOBAL_HOME:
            raise AwsError(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
                409,
                BucketName=name,
            )
        # A peculiarity of us-east-1, which AWS keeps: nothing happens.
        return answer
    if buckets.count(call.tx, call.account) >= int(call.limit(BUCKETS, _GLOBAL_HOME)):
        raise AwsError("TooManyBuckets", "You have attempted to create more buckets than allowed", 400)
    buckets.create(call.tx, name, call.account, new.region, call.now, settings)
    schedule(call.tx, call.now)
    return answer


def _settings(req: s3.CreateBucketRequest, new: NewBucket) -> dict[str, Any]:
    ownership = req.get("ObjectOwnership", "BucketOwnerEnforced")
    settings = {**NEW, "Ownership": ownership}
    acl = acl_rules.asked(req, new.account)
    if acl is not None and new.listed is not None:
        if ownership == "BucketOwnerEnforced":
            raise no_acl_with_ownership()
        if acl_rules.is_public(acl):
            # A new bucket's public access is blocked.
            raise AwsError(
                "InvalidBucketAclWithBlockPublicAccessError",
                "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
                400,
            )
        settings["Acl"] = acl_rules.kept(acl)
    if new.locked is not None:
        settings |= {"Versioning": "Enabled", "ObjectLock": {"ObjectLockEnabled": "Enabled"}}
    if new.tagged is not None:
        settings["Tags"] = checked_tags(req.get("CreateBucketConfiguration", {}).get("Tags", []))
    return settings


def _location(name: str, region: str, req: s3.CreateBucketRequest) -> str:
    if region == _GLOBAL_HOME or req.get("BucketNamespace") == "account-regional":
        return f"/{name}"
    return f"http://{name}.s3.amazonaws.com/"


@s3.DeleteBucket.writes(named_bucket)
def delete_bucket(call: Call, req: s3.DeleteBucketRequest, bucket: Bucket) -> s3.DeleteBucketResponse:
    """Remove a bucket, which must be empty."""
    if not call.part(Objects).is_empty(call.tx, bucket):
        text = "The bucket you tried to delete is not empty"
        if bucket.versioning:
            text += ". You must delete all versions in the bucket."
        raise AwsError("BucketNotEmpty", text, 409, BucketName=bucket.name)
    # Other accounts' access points do not hold it: they stay, and lead nowhere.
    if call.part(AccessPoints).of_bucket(call.tx, bucket.name, bucket.account):
        raise AwsError(
            "BucketHasAccessPointsAttached",
            "The bucket you tried to delete has access points attached. Delete your access points and try again.",
            409,
            BucketName=bucket.name,
        )
    call.part(Uploads).forget_all(call.tx, bucket)
    remove_all(call.tx, bucket)
    call.part(Buckets).delete(call.tx, bucket)
    return {}
