"""Block Public Access: of a bucket, and together with its account's. Source: "Blocking public access to your Amazon
S3 storage".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import access_denied
from casemate.services.s3.resources import Bucket
from casemate.services.s3.settings import BLOCKS
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


def blocked_by(call: Call, bucket: Bucket) -> Mapping[str, bool]:
    """What the bucket's block and its account's block together."""
    return call.part(Buckets).blocked(call.tx, bucket.row)


def public_is_blocked(call: Call, action: str, bucket: Bucket, what: str, setting: str) -> AwsError:
    """The refusal of what would give the public access. what: "public policies are"; setting: which one blocks it."""
    if call.account != bucket.account:
        return access_denied()
    return access_denied(
        f"User: {call.identity.principal.arn} is not authorized to perform: {action} on resource: "
        f'"{bucket.arn}" because {what} prevented by the {setting} setting in S3 Block Public Access.'
    )


@s3.PutPublicAccessBlock.writes(configured_bucket, Need("s3:PutBucketPublicAccessBlock"))
def put_public_access_block(
    call: Call, req: s3.PutPublicAccessBlockRequest, bucket: Bucket
) -> s3.PutPublicAccessBlockResponse:
    """Replace the bucket's settings; those that are not given are off."""
    given = req["PublicAccessBlockConfiguration"]
    blocks = {name: bool(given.get(name)) for name in BLOCKS}
    call.part(Buckets).configure(call.tx, bucket, PublicAccessBlock=blocks)
    return {}


@s3.GetPublicAccessBlock.reads(named_bucket, Need("s3:GetBucketPublicAccessBlock"))
def get_public_access_block(
    call: Call, req: s3.GetPublicAccessBlockRequest, bucket: Bucket
) -> s3.GetPublicAccessBlockOutput:
    """The bucket's settings."""
    blocks = bucket.settings.get("PublicAccessBlock")
    if blocks is None:
        raise AwsError(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
            404,
            BucketName=bucket.name,
        )
    return {"PublicAccessBlockConfiguration": blocks}


@s3.DeletePublicAccessBlock.writes(named_bucket, Need("s3:PutBucketPublicAccessBlock"))
def delete_public_access_block(
    call: Call, req: s3.DeletePublicAccessBlockRequest, bucket: Bucket
) -> s3.DeletePublicAccessBlockResponse:
    """Remove the bucket's settings: all four are off."""
    call.part(Buckets).configure(call.tx, bucket, PublicAccessBlock=None)
    return {}
