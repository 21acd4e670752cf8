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


def _no_configuration() -> AwsError:
    return AwsError("NoSuchConfiguration", "The specified configuration does not exist.", 404)


_ANALYTICS = Need("s3:GetAnalyticsConfiguration")
_METRICS = Need("s3:GetMetricsConfiguration")
_TIERING = Need("s3:GetIntelligentTieringConfiguration")


@s3.GetBucketAnalyticsConfiguration.reads(named_bucket, _ANALYTICS)
def get_bucket_analytics_configuration(
    call: Call, req: s3.GetBucketAnalyticsConfigurationRequest, bucket: Bucket
) -> s3.GetBucketAnalyticsConfigurationOutput:
    """That no bucket's storage is analysed."""
    raise _no_configuration()


@s3.ListBucketAnalyticsConfigurations.reads(named_bucket, _ANALYTICS)
def list_bucket_analytics_configurations(
    call: Call, req: s3.ListBucketAnalyticsConfigurationsRequest, bucket: Bucket
) -> s3.ListBucketAnalyticsConfigurationsOutput:
    """That no bucket's storage is analysed."""
    return {"IsTruncated": False}


@s3.GetBucketMetricsConfiguration.reads(named_bucket, _METRICS)
def get_bucket_metrics_configuration(
    call: Call, req: s3.GetBucketMetricsConfigurationRequest, bucket: Bucket
) -> s3.GetBucketMetricsConfigurationOutput:
    """That no bucket's requests are measured for CloudWatch."""
    raise _no_configuration()


@s3.ListBucketMetricsConfigurations.reads(named_bucket, _METRICS)
def list_bucket_metrics_configurations(
    call: Call, req: s3.ListBucketMetricsConfigurationsRequest, bucket: Bucket
) -> s3.ListBucketMetricsConfigurationsOutput:
    """That no bucket's requests are measured for CloudWatch."""
    return {"IsTruncated": False}


@s3.GetBucketIntelligentTieringConfiguration.reads(named_bucket, _TIERING)
def get_bucket_intelligent_tiering_configuration(
    call: Call, req: s3.GetBucketIntelligentTieringConfigurationRequest, bucket: Bucket
) -> s3.GetBucketIntelligentTieringConfigurationOutput:
    """That no bucket's objects are archived by S3 Intelligent-Tiering."""
    raise _no_configuration()


@s3.ListBucketIntelligentTieringConfigurations.reads(named_bucket, _TIERING)
def list_bucket_intelligent_tiering_configurations(
    call: Call, req: s3.ListBucketIntelligentTieringConfigurationsRequest, bucket: Bucket
) -> s3.ListBucketIntelligentTieringConfigurationsOutput:
    """That no bucket's objects are archived by S3 Intelligent-Tiering."""
    return {"IsTruncated": False}
