"""What a request acts on: one resolver for each way in which S3's operations name it.

Which buckets there are is no secret: names are unique over all accounts, and AWS tells everybody that a bucket does
not exist or that it is in another Region. So these resolvers raise, other than those of other services.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.digests import check_document
from casemate.services.s3.naming import may_be_bucket
from casemate.services.s3.refusals import access_denied, invalid_bucket_name, no_bucket, other_region
from casemate.services.s3.resources import AccountWide, Bucket

_ACCOUNT = re.compile(r"[0-9]{12}")


def bucket_named(call: Call, name: str) -> Bucket:
    """The bucket of that name, in any Region and account. Raises NoSuchBucket, InvalidBucketName."""
    if not may_be_bucket(name):
        raise invalid_bucket_name(name)
    bucket = call.part(Buckets).find(call, name)
    if bucket is None:
        raise no_bucket(name)
    return bucket


def must_be_owned_by(bucket: Bucket, expected: str | None) -> None:
    """x-amz-expected-bucket-owner and its like. Raises AccessDenied. Source: "Verifying bucket ownership with bucket
    owner condition"."""
    if expected is None:
        return
    if _ACCOUNT.fullmatch(expected) is None:
        raise AwsError(
            "InvalidBucketOwnerAWSAccountID",
            "The value of the expected bucket owner parameter must be an AWS account ID.",
            400,
            BucketName=bucket.name,
        )
    if expected != bucket.account:
        raise access_denied()


def named_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """Bucket, which must be in the Region that the request is signed for, and of whom ExpectedBucketOwner says."""
    bucket = bucket_named(call, request["Bucket"])
    if bucket.region != call.region:
        if call.identity.principal.kind != "anonymous":
            raise other_region(call.region, bucket.region)
        # No signature tells a Region.
        call.region = bucket.region
    must_be_owned_by(bucket, request.get("ExpectedBucketOwner"))
    return bucket


def described_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """Bucket as named_bucket, for a request whose body describes what is to be configured and must be digested."""
    bucket = named_bucket(call, request)
    check_document(call, required=True)
    return bucket


def located_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """GetBucketLocation's: a request for us-east-1 finds buckets in all Regions."""
    bucket = bucket_named(call, request["Bucket"])
    if call.region not in (bucket.region, "us-east-1"):
        raise other_region(call.region, bucket.region)
    must_be_owned_by(bucket, request.get("ExpectedBucketOwner"))
    return bucket


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """The caller's account."""
    return AccountWide("*", call.account)
