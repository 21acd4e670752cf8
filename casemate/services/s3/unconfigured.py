"""What is asked of a bucket that it cannot have configured yet: the answer is that it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.operation import Need
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.GetBucketAccelerateConfiguration.reads(named_bucket, Need("s3:GetAccelerateConfiguration"))
def get_bucket_accelerate_configuration(
    call: Call, req: s3.GetBucketAccelerateConfigurationRequest, bucket: Bucket
) -> s3.GetBucketAccelerateConfigurationOutput:
    """That no bucket is accelerated."""
    return {}


@s3.GetBucketReplication.reads(named_bucket, Need("s3:GetReplicationConfiguration"))
def get_bucket_replication(
    call: Call, req: s3.GetBucketReplicationRequest, bucket: Bucket
) -> s3.GetBucketReplicationOutput:
    """That no bucket is replicated."""
    raise AwsError(
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
        404,
        BucketName=bucket.name,
    )


@s3.GetBucketRequestPayment.reads(named_bucket)
def get_bucket_request_payment(
    call: Call, req: s3.GetBucketRequestPaymentRequest, bucket: Bucket
) -> s3.GetBucketRequestPaymentOutput:
    """That the owner pays."""
    return {"Payer": "BucketOwner"}


@s3.GetBucketWebsite.reads(named_bucket)
def get_bucket_website(
    call: Call, req: s3.GetBucketWebsiteRequest, bucket: Bucket
) -> s3.GetBucketWebsiteOutput:
    """That no bucket is a website."""
    raise AwsError(
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
        404,
        BucketName=bucket.name,
    )
