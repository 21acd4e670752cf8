"""ListBuckets, HeadBucket and GetBucketLocation: which buckets there are, and where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.gate.canonical_user import canonical_user
from casemate.gate.markers import read_marker, write_marker
from casemate.gate.operation import Need
from casemate.gate.regions import regions
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import invalid_argument
from casemate.services.s3.resources import AccountWide, Bucket, BucketRow
from casemate.services.s3.targets import account_wide, located_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 10_000


@s3.ListBuckets.reads(account_wide, Need("s3:ListAllMyBuckets"))
def list_buckets(call: Call, req: s3.ListBucketsRequest, account: AccountWide) -> s3.ListBucketsOutput:
    """The account's buckets by name, of all Regions or of one."""
    limit = req.get("MaxBuckets", _MOST)
    if not 1 <= limit <= _MOST:
        raise invalid_argument(
            "Argument max-buckets must be an integer between 1 and 10000", "max-buckets", str(limit)
        )
    region = req.get("BucketRegion", "")
    if region and region not in regions():
        raise invalid_argument(f"Argument value {region} is not a valid AWS Region", "bucket-region", region)
    if region not in ("", call.region):
        raise invalid_argument(
            f"Argument bucket-region must be the Region of the endpoint, {call.region}",
            "bucket-region",
            region,
        )
    after, token = "", req.get("ContinuationToken", "")
    if token:
        after = read_marker("ListBuckets", token) or ""
        if not after:
            raise invalid_argument("The continuation token provided is incorrect", "continuation-token")
    found = call.part(Buckets).page(
        call.tx, call.account, after=after, prefix=req.get("Prefix", ""), region=region, limit=limit + 1
    )
    # Source: "ListBuckets": the Region is told to those who use one of the parameters.
    with_region = bool(req.keys() & {"MaxBuckets", "ContinuationToken", "Prefix", "BucketRegion"})
    answer: s3.ListBucketsOutput = {
        "Owner": {"ID": canonical_user(call.account)},
        "Buckets": [_entry(row, with_region=with_region) for row in found[:limit]],
    }
    if len(found) > limit:
        answer["ContinuationToken"] = write_marker("ListBuckets", found[limit - 1].name)
    if "Prefix" in req:
        answer["Prefix"] = req["Prefix"]
    return answer


def _entry(row: BucketRow, *, with_region: bool) -> s3.Bucket:
    entry: s3.Bucket = {
        "Name": row.name,
        "CreationDate": datetime.fromtimestamp(int(row.created), UTC),
        "BucketArn": Bucket(row).arn,
    }
    if with_region:
        entry["BucketRegion"] = row.region
    return entry


@s3.HeadBucket.reads(named_bucket, Need("s3:ListBucket"))
def head_bucket(call: Call, req: s3.HeadBucketRequest, bucket: Bucket) -> s3.HeadBucketOutput:
    """Whether there is such a bucket that the caller may list, and where it is."""
    by_alias = bucket.point is not None and req["Bucket"] == bucket.point.row.alias
    return {"BucketArn": bucket.arn, "BucketRegion": bucket.region, "AccessPointAlias": by_alias}


@s3.GetBucketLocation.reads(located_bucket)
def get_bucket_location(
    call: Call, req: s3.GetBucketLocationRequest, bucket: Bucket
) -> s3.GetBucketLocationOutput:
    """The bucket's Region, empty for us-east-1."""
    if bucket.region == "us-east-1":
        return {}
    return {"LocationConstraint": bucket.region}  # type: ignore[typeddict-item]  # a Region, as CreateBucket took it
