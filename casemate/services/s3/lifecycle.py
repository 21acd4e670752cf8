"""Lifecycle: rules by which objects, older versions and abandoned uploads go by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.gate.operation import Need
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.lifecycle_job import plan
from casemate.services.s3.lifecycle_rules import no_configuration, shown, stored
from casemate.services.s3.refusals import malformed_xml
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import described_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_USUAL_MINIMUM: s3.TransitionDefaultMinimumObjectSize = "all_storage_classes_128K"


@s3.PutBucketLifecycleConfiguration.writes(described_bucket, Need("s3:PutLifecycleConfiguration"))
def put_bucket_lifecycle_configuration(
    call: Call, req: s3.PutBucketLifecycleConfigurationRequest, bucket: Bucket
) -> s3.PutBucketLifecycleConfigurationOutput:
    """Replace the rules by which objects, older versions and abandoned uploads go by themselves."""
    given = req.get("LifecycleConfiguration")
    if given is None:
        raise malformed_xml()
    minimum = req.get("TransitionDefaultMinimumObjectSize", _USUAL_MINIMUM)
    lifecycle = {"Rules": stored(given["Rules"]), "Minimum": minimum}
    plan(call.tx, call.part(Buckets).configure(call.tx, bucket, Lifecycle=lifecycle), call.now)
    return {"TransitionDefaultMinimumObjectSize": minimum}


@s3.GetBucketLifecycleConfiguration.reads(named_bucket, Need("s3:GetLifecycleConfiguration"))
def get_bucket_lifecycle_configuration(
    call: Call, req: s3.GetBucketLifecycleConfigurationRequest, bucket: Bucket
) -> s3.GetBucketLifecycleConfigurationOutput:
    """The rules by which objects, older versions and abandoned uploads go by themselves."""
    lifecycle = bucket.settings.get("Lifecycle")
    if lifecycle is None:
        raise no_configuration(bucket.name)
    return {
        "Rules": shown(lifecycle["Rules"]),
        "TransitionDefaultMinimumObjectSize": lifecycle["Minimum"],
    }


@s3.DeleteBucketLifecycle.writes(named_bucket, Need("s3:PutLifecycleConfiguration"))
def delete_bucket_lifecycle(
    call: Call, req: s3.DeleteBucketLifecycleRequest, bucket: Bucket
) -> s3.DeleteBucketLifecycleResponse:
    """Let everything stay."""
    plan(call.tx, call.part(Buckets).configure(call.tx, bucket, Lifecycle=None), call.now)
    return {}
