"""S3 Control: what an account has configured for all its buckets, and tags of buckets by their ARNs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3control
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.gate.regions import partition_of
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.digests import check_document
from casemate.services.s3.refusals import invalid_request, not_supported, other_region
from casemate.services.s3.resources import AccountWide, Bucket
from casemate.services.s3.settings import BLOCKS
from casemate.services.s3.tag_rules import checked_tags
from casemate.services.s3.targets import bucket_named

if TYPE_CHECKING:
    from casemate.gate.call import Call


def named_account(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """AccountId. Nobody is allowed anything of another account than their own: accounts have no policy that would."""
    check_document(call, required=False)
    return AccountWide("*", request["AccountId"])


@s3control.PutPublicAccessBlock.writes(named_account, Need("s3:PutAccountPublicAccessBlock"))
def put_public_access_block(
    call: Call, req: s3control.PutPublicAccessBlockRequest, account: AccountWide
) -> s3control.PutPublicAccessBlockResponse:
    """Replace the account's settings, which count for all its buckets besides their own."""
    given = req["PublicAccessBlockConfiguration"]
    blocks = {name: bool(given.get(name)) for name in BLOCKS}
    call.part(Buckets).configure_account(call.tx, account.account, PublicAccessBlock=blocks)
    return {}


@s3control.GetPublicAccessBlock.reads(named_account, Need("s3:GetAccountPublicAccessBlock"))
def get_public_access_block(
    call: Call, req: s3control.GetPublicAccessBlockRequest, account: AccountWide
) -> s3control.GetPublicAccessBlockOutput:
    """The account's settings."""
    blocks = call.part(Buckets).of_account(call.tx, account.account).get("PublicAccessBlock")
    if blocks is None:
        raise AwsError(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
            404,
            AccountId=account.account,
        )
    return {"PublicAccessBlockConfiguration": blocks}


@s3control.DeletePublicAccessBlock.writes(named_account, Need("s3:PutAccountPublicAccessBlock"))
def delete_public_access_block(
    call: Call, req: s3control.DeletePublicAccessBlockRequest, account: AccountWide
) -> s3control.DeletePublicAccessBlockResponse:
    """Remove the account's settings: its buckets' own are what counts."""
    call.part(Buckets).configure_account(call.tx, account.account, PublicAccessBlock=None)
    return {}


# --- tags


def tagged_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """ResourceArn, which is a bucket's of the account."""
    check_document(call, required=False)
    arn: str = request["ResourceArn"]
    head = f"arn:{partition_of(call.region)}:s3:::"
    name = arn.removeprefix(head)
    if name == arn or "/" in name:
        if arn.split(":")[2:3] == ["s3"]:
            raise not_supported("Tagging of what is no bucket")
        raise invalid_request("The specified ARN is not valid.")
    bucket = bucket_named(call, name)
    if bucket.region != call.region:
        raise other_region(call.region, bucket.region)
    if bucket.account != request["AccountId"]:
        raise invalid_request("The bucket does not belong to the account.")
    return bucket


@s3control.TagResource.writes(tagged_bucket)
def tag_resource(
    call: Call, req: s3control.TagResourceRequest, bucket: Bucket
) -> s3control.TagResourceResult:
    """Add tags to a bucket, or give those that it has other values."""
    given = checked_tags(req["Tags"])
    checked_tags({"Key": key, "Value": value} for key, value in {**bucket.shown_tags, **given}.items())
    call.part(Buckets).configure(call.tx, bucket, Tags={**bucket.shown_tags, **given} or None)
    return {}


@s3control.UntagResource.writes(tagged_bucket)
def untag_resource(
    call: Call, req: s3control.UntagResourceRequest, bucket: Bucket
) -> s3control.UntagResourceResult:
    """Remove tags from a bucket."""
    kept = {key: value for key, value in bucket.shown_tags.items() if key not in req["TagKeys"]}
    call.part(Buckets).configure(call.tx, bucket, Tags=kept or None)
    return {}


@s3control.ListTagsForResource.reads(tagged_bucket)
def list_tags_for_resource(
    call: Call, req: s3control.ListTagsForResourceRequest, bucket: Bucket
) -> s3control.ListTagsForResourceResult:
    """A bucket's tags, none where it has none."""
    return {"Tags": [{"Key": key, "Value": value} for key, value in bucket.shown_tags.items()]}
