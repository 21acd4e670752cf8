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
from casemate.gate.vpc_endpoints import endpoint_of
from casemate.services.s3.access_notes import note
from casemate.services.s3.access_points import AccessPoints
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.digests import check_document
from casemate.services.s3.naming import ALIAS, may_be_bucket, point_in_host
from casemate.services.s3.refusals import (
    access_denied,
    invalid_bucket_name,
    method_not_allowed,
    no_access_point,
    no_bucket,
    other_region,
)
from casemate.services.s3.resources import AccessPoint, AccountWide, Bucket

_ACCOUNT = re.compile(r"[0-9]{12}")


def bucket_named(call: Call, name: str) -> Bucket:
    """The bucket of that name, in any Region and account. Raises NoSuchBucket, InvalidBucketName."""
    if not may_be_bucket(name):
        raise invalid_bucket_name(name)
    if name.endswith(ALIAS):
        return _by_way_of(call, name, call.part(AccessPoints).aliased(call, name))
    bucket = call.part(Buckets).find(call, name)
    host = point_in_host(name)
    # A name that tells an account is that account's: another one's bucket does not come in between.
    if host is not None and (bucket is None or bucket.account != host[1]):
        point = call.part(AccessPoints).find(call, host[1], call.region, host[0])
        if point is not None:
            return _by_way_of(call, name, point)
    if bucket is None:
        raise no_bucket(name)
    return bucket


def _by_way_of(call: Call, name: str, point: AccessPoint | None) -> Bucket:
    """The bucket of an access point. Raises NoSuchAccessPoint; MethodNotAllowed for what works on buckets alone."""
    if point is None:
        raise no_access_point(name)
    assert call.route is not None
    if call.route.operation.name not in _BY_ACCESS_POINTS:
        raise method_not_allowed()
    vpc = point.settings.get("Vpc")
    if vpc is not None:
        endpoint = endpoint_of(call)
        if endpoint is None or endpoint.vpc != vpc:
            raise access_denied()
    bucket = call.part(Buckets).find(call, point.bucket)
    if bucket is None or bucket.account != point.settings.get("BucketAccount", bucket.account):
        # It is gone, or another account has its name by now.
        raise no_bucket(point.bucket)
    return bucket.by_way_of(point)


# Source: "Access point compatibility".
_BY_ACCESS_POINTS = frozenset(
    {
        *("AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload"),
        *("DeleteObject", "DeleteObjectTagging", "DeleteObjects", "GetBucketAcl", "GetBucketCors"),
        *("GetBucketLocation", "GetBucketNotificationConfiguration", "GetBucketPolicy", "GetObject"),
        *("GetObjectAcl", "GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention"),
        *("GetObjectTagging", "HeadBucket", "HeadObject", "ListMultipartUploads", "ListObjectVersions"),
        *("ListObjects", "ListObjectsV2", "ListParts", "PostObject", "PutObject", "PutObjectAcl"),
        *("PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "UploadPart", "UploadPartCopy"),
    }
)


def watch(call: Call, bucket: Bucket, request: Mapping[str, Any], *, copied: bool = False) -> None:
    """What a request goes through to a bucket that is logged, or whose requesters pay. copied: it copies from it.
    Raises AccessDenied."""
    if bucket.logged:
        note(call, bucket, copied=copied)
    if not bucket.requester_pays or call.account == bucket.account or call.service:
        return
    said = request.get("RequestPayer") or call.headers.get(b"x-amz-request-payer", b"").decode("latin-1")
    if said != "requester" or not call.account:
        # Who signs nothing has no account that could pay.
        raise access_denied()
    call.head = b"x-amz-request-charged: requester\r\n"


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
    if bucket.watched:
        watch(call, bucket, request)
    must_be_owned_by(bucket, request.get("ExpectedBucketOwner"))
    return bucket


def configured_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """Bucket as named_bucket, for a request whose body says what is to be configured, and may come with a digest."""
    bucket = named_bucket(call, request)
    check_document(call, required=False)
    return bucket


def described_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """Bucket as named_bucket, for a request whose body must come with a digest."""
    bucket = named_bucket(call, request)
    check_document(call, required=True)
    return bucket


def located_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """GetBucketLocation's: a request for us-east-1 finds buckets in all Regions."""
    bucket = bucket_named(call, request["Bucket"])
    if call.region not in (bucket.region, "us-east-1"):
        raise other_region(call.region, bucket.region)
    if bucket.watched:
        watch(call, bucket, request)
    must_be_owned_by(bucket, request.get("ExpectedBucketOwner"))
    return bucket


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """The caller's account."""
    return AccountWide("*", call.account)
