"""Who may do what with objects: policies with S3's condition keys, across accounts, anonymous, by presigned URLs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from s3_support import OTHER_ACCOUNT, S3, access_key, allow, new_name, refused, user_arn
from test_s3_policies import OPEN, put, statement, unblocked


def objects(bucket: str, *actions: str, principal: Any = "*", **more: Any) -> dict[str, Any]:
    """A statement on the bucket's objects, that allows unless more says otherwise."""
    return statement(
        bucket, *actions, principal=principal, **{"Resource": f"arn:aws:s3:::{bucket}/*", **more}
    )


def fetched(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """An unsigned request's answer."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


# --- AWS's own examples


def test_encryption_is_forced_by_two_statements(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    put(
        s3,
        bucket,
        objects(
            bucket,
            "s3:PutObject",
            Sid="DenyIncorrectEncryptionHeader",
            Effect="Deny",
            Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}},
        ),
        objects(
            bucket,
            "s3:PutObject",
            Sid="DenyUnencryptedObjectUploads",
            Effect="Deny",
            Condition={"Null": {"s3:x-amz-server-side-encryption": "true"}},
        ),
    )
    with refused("AccessDenied", status=403):
        client.put_object(Bucket=bucket, Key="a", Body=b"1")
    with refused("AccessDenied", status=403):
        client.put_object(Bucket=bucket, Key="a", Body=b"1", ServerSideEncryption="aws:kms")
    client.put_object(Bucket=bucket, Key="a", Body=b"1", ServerSideEncryption="AES256")
    put(
        s3,
        bucket,
        objects(
            bucket,
            "s3:PutObject",
            Effect="Deny",
            Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
        ),
    )
    with refused("AccessDenied", status=403):
        client.put_object(Bucket=bucket, Key="a", Body=b"1")
    client.put_object(Bucket=bucket, Key="a", Body=b"1", ServerSideEncryption="aws:kms")


def test_forced_encryption_lets_uploads_in_parts_through(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    wrong = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}
    none = {"Null": {"s3:x-amz-server-side-encryption": "true"}}
    put(
        s3,
        bucket,
        objects(bucket, "s3:PutObject", Effect="Deny", Condition=wrong),
        objects(bucket, "s3:PutObject", Effect="Deny", Condition=none),
    )
    for more in ({}, {"ServerSideEncryption": "AES256"}):
        with refused("AccessDenied", status=403):
            client.create_multipart_upload(Bucket=bucket, Key="k", **more)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k", ServerSideEncryption="aws:kms")[
        "UploadId"
    ]
    part = client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"1")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    assert client.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "aws:kms"


def test_a_key_is_forced(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    right, wrong = (s3.of(service="kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    condition = {"ArnNotEqualsIfExists": {"s3:x-amz-server-side-encryption-aws-kms-key-id": right}}
    put(s3, bucket, objects(bucket, "s3:PutObject", Effect="Deny", Condition=condition))
    kms: dict[str, Any] = {"ServerSideEncryption": "aws:kms"}
    client.put_object(Bucket=bucket, Key="a", Body=b"1", SSEKMSKeyId=right, **kms)
    for other in (dict(kms), {**kms, "SSEKMSKeyId": wrong}, {}):
        with refused("AccessDenied", status=403):
            client.put_object(Bucket=bucket, Key="a", Body=b"1", **other)


def test_tls_is_forced(s3: S3) -> None:
    bucket = s3.bucket()
    s3.of().put_object(Bucket=bucket, Key="a", Body=b"1")
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    old = {"NumericLessThan": {"s3:TlsVersion": 1.2}}
    put(
        s3,
        bucket,
        objects(bucket, "s3:*", Effect="Deny", Condition=insecure),
        objects(bucket, "s3:*", Effect="Deny", Condition=old),
    )
    with refused("AccessDenied", status=403):
        s3.of().get_object(Bucket=bucket, Key="a")
    assert s3.of(tls=True).get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"


# --- who


def test_across_accounts_both_sides_allow(s3: S3) -> None:
    bucket = s3.bucket()
    stranger, powerless = s3.of("stranger"), s3.of("powerless")
    s3.of().put_object(Bucket=bucket, Key="a", Body=b"1")
    with refused("AccessDenied", "Access Denied", 403):
        stranger.get_object(Bucket=bucket, Key="a")
    put(s3, bucket, objects(bucket, "s3:GetObject", "s3:PutObject", principal={"AWS": OTHER_ACCOUNT}))
    assert stranger.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    stranger.put_object(Bucket=bucket, Key="b", Body=b"2")
    # What a bucket holds is its owner's, whoever put it there.
    assert s3.of().get_object(Bucket=bucket, Key="b")["Body"].read() == b"2"
    with refused("AccessDenied", "Access Denied", 403):
        powerless.get_object(Bucket=bucket, Key="a")
    s3.may("powerless", allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"))
    assert powerless.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"
    with refused("AccessDenied", "Access Denied", 403):
        stranger.delete_object(Bucket=bucket, Key="a")


def test_the_public(s3: S3) -> None:
    bucket = unblocked(s3)
    s3.of().put_object(Bucket=bucket, Key="page.html", Body=b"<p>hello", ContentType="text/html")
    url = f"{s3.server.endpoint}/{bucket}/page.html"
    status, text = fetched(url)
    assert status == 403
    assert b"<Code>AccessDenied</Code><Message>Access Denied</Message>" in text
    put(s3, bucket, objects(bucket, "s3:GetObject"))
    assert fetched(url) == (200, b"<p>hello")
    assert fetched(url, "HEAD")[0] == 200
    assert fetched(f"{s3.server.endpoint}/{bucket}")[0] == 403
    assert fetched(f"{s3.server.endpoint}/{bucket}/none")[0] == 403
    assert fetched(url, "DELETE")[0] == 403
    put(s3, bucket, objects(bucket, "s3:GetObject"), statement(bucket, "s3:ListBucket"))
    assert fetched(f"{s3.server.endpoint}/{bucket}?list-type=2")[0] == 200
    assert fetched(f"{s3.server.endpoint}/{bucket}/none")[0] == 404
    s3.of().put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=OPEN | {"RestrictPublicBuckets": True}
    )
    assert fetched(url)[0] == 403
    assert s3.of().get_object(Bucket=bucket, Key="page.html")["Body"].read() == b"<p>hello"


def test_the_public_needs_no_region(s3: S3) -> None:
    bucket = s3.bucket("eu-west-1")
    client = s3.of(region="eu-west-1")
    client.delete_public_access_block(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a", Body=b"1")
    document = {"Version": "2012-10-17", "Statement": objects(bucket, "s3:GetObject")}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    assert fetched(f"{s3.server.endpoint}/{bucket}/a") == (200, b"1")


def test_nobody_makes_a_bucket_or_lists_them_anonymously(s3: S3) -> None:
    assert fetched(f"{s3.server.endpoint}/{new_name()}", "PUT")[0] == 403
    assert fetched(f"{s3.server.endpoint}/{new_name()}/a")[0] == 404


# --- what


def test_who_may_not_list_is_not_told_what_is_missing(s3: S3) -> None:
    bucket = s3.bucket()
    s3.may("nobody", allow("s3:GetObject"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="none")
    with refused("403", status=403):
        s3.of("nobody").head_object(Bucket=bucket, Key="none")
    s3.may("nobody", allow("s3:GetObject", "s3:ListBucket"))
    with refused("NoSuchKey", "The specified key does not exist.", 404):
        s3.of("nobody").get_object(Bucket=bucket, Key="none")


def test_a_version_takes_a_permission_of_its_own(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    s3.may("nobody", allow("s3:GetObject"))
    s3.of("nobody").get_object(Bucket=bucket, Key="a")
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="a", VersionId=version)
    s3.may("nobody", allow("s3:GetObjectVersion", Condition={"StringEquals": {"s3:VersionId": version}}))
    s3.of("nobody").get_object(Bucket=bucket, Key="a", VersionId=version)
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="a")
    other = client.put_object(Bucket=bucket, Key="a", Body=b"2")["VersionId"]
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="a", VersionId=other)
    s3.may("nobody", allow("s3:DeleteObject"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").delete_object(Bucket=bucket, Key="a", VersionId=other)
    s3.of("nobody").delete_object(Bucket=bucket, Key="a")
    s3.may("nobody", allow("s3:DeleteObjectVersion"))
    s3.of("nobody").delete_object(Bucket=bucket, Key="a", VersionId=other)


def test_what_a_new_object_has_takes_permissions(s3: S3) -> None:
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    client = s3.of("nobody")

    def wants(action: str, **more: Any) -> None:
        with pytest.raises(
            ClientError, match=rf"perform: {action} on resource: .* because no identity-based"
        ):
            client.put_object(Bucket=bucket, Key="a", Body=b"1", **more)

    s3.may("nobody", allow("s3:GetObject"))
    wants("s3:PutObject")
    s3.may("nobody", allow("s3:PutObject"))
    client.put_object(Bucket=bucket, Key="a", Body=b"1")
    wants("s3:PutObjectTagging", Tagging="a=1")
    wants("s3:PutObjectAcl", ACL="bucket-owner-full-control")
    wants("s3:PutObjectLegalHold", ObjectLockLegalHoldStatus="ON")
    wants("s3:PutObjectRetention", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate="2099-01-01")


@pytest.mark.parametrize(
    ("condition", "allowed", "denied"),
    [
        (
            {"StringEquals": {"s3:RequestObjectTag/team": "red"}},
            {"Tagging": "team=red"},
            {"Tagging": "team=blue"},
        ),
        (
            {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team", "cost"]}},
            {"Tagging": "team=red"},
            {"Tagging": "team=red&other=1"},
        ),
        ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {"StorageClass": "STANDARD_IA"}, {}),
        (
            {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            {"ACL": "bucket-owner-full-control"},
            {},
        ),
        ({"Null": {"s3:if-none-match": "false"}}, {"IfNoneMatch": "*"}, {}),
        ({"StringLike": {"s3:x-amz-website-redirect-location": "/*"}}, {"WebsiteRedirectLocation": "/a"}, {}),
        (
            {"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "10"}},
            {"ObjectLockMode": "GOVERNANCE", "days": 5},
            {"ObjectLockMode": "GOVERNANCE", "days": 15},
        ),
        (
            {"StringEquals": {"s3:object-lock-mode": "GOVERNANCE"}},
            {"ObjectLockMode": "GOVERNANCE", "days": 5},
            {"ObjectLockMode": "COMPLIANCE", "days": 1},
        ),
        ({"StringEquals": {"s3:object-lock-legal-hold": "OFF"}}, {"ObjectLockLegalHoldStatus": "OFF"}, {}),
    ],
)
def test_conditions_on_a_new_object(
    s3: S3, condition: dict[str, Any], allowed: dict[str, Any], denied: dict[str, Any]
) -> None:
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    s3.may("nobody", allow("s3:PutObject", Condition=condition), allow("s3:PutObject?*"))

    def write(more: dict[str, Any]) -> None:
        more = dict(more)
        if "days" in more:
            more["ObjectLockRetainUntilDate"] = datetime.now(UTC) + timedelta(days=more.pop("days"), hours=1)
        key = new_name()
        s3.of("nobody").put_object(Bucket=bucket, Key=key, Body=b"1", **more)

    write(allowed)
    with refused("AccessDenied", status=403):
        write(denied)


def test_conditions_on_an_objects_tags(s3: S3) -> None:
    bucket = s3.bucket()
    for team in ("red", "blue"):
        s3.of().put_object(Bucket=bucket, Key=team, Body=b"1", Tagging=f"team={team}")
    s3.may(
        "nobody",
        allow(
            "s3:GetObject", "s3:ListBucket", Condition={"StringEquals": {"s3:ExistingObjectTag/Team": "red"}}
        ),
    )
    s3.of("nobody").get_object(Bucket=bucket, Key="red")
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="blue")


# --- presigned


def presigning(s3: S3, user: str = "admin") -> Any:
    """A client that presigns by Signature Version 4, which boto3 does not by itself in us-east-1."""
    key = access_key(user)
    return boto3.client(
        "s3",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        region_name="us-east-1",
        endpoint_url=s3.server.endpoint,
        config=ClientConfig(signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


def test_the_older_signature_is_refused(s3: S3) -> None:
    url = s3.of().generate_presigned_url("get_object", Params={"Bucket": s3.bucket(), "Key": "a"})
    assert "AWSAccessKeyId=" in url
    status, text = fetched(url)
    assert status == 400
    assert (
        b"The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        in text
    )


def test_a_presigned_url(s3: S3) -> None:
    client, bucket = presigning(s3), s3.bucket()
    client.put_object(Bucket=bucket, Key="a b/ü", Body=b"1")
    named = {"Bucket": bucket, "Key": "a b/ü"}
    url = client.generate_presigned_url("get_object", Params=named, ExpiresIn=60)
    assert fetched(url) == (200, b"1")
    status, text = fetched(url.replace("X-Amz-Signature=", "X-Amz-Signature=0"))
    assert status == 403
    assert b"SignatureDoesNotMatch" in text
    shown = client.generate_presigned_url(
        "get_object", Params={**named, "ResponseContentType": "text/plain"}, ExpiresIn=60
    )
    with urllib.request.urlopen(shown) as answer:
        assert answer.headers["content-type"] == "text/plain"
    written = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "new"})
    request = urllib.request.Request(written, b"2", method="PUT")
    with urllib.request.urlopen(request):
        pass
    assert client.get_object(Bucket=bucket, Key="new")["Body"].read() == b"2"


def test_policies_tell_presigned_urls_apart(s3: S3) -> None:
    client, bucket = presigning(s3), s3.bucket()
    client.put_object(Bucket=bucket, Key="a", Body=b"1")
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=3600)
    for condition, status in (
        ({"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, 403),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, 200),
        ({"NumericGreaterThanEquals": {"s3:signatureAge": 0}}, 403),
        ({"NumericGreaterThan": {"s3:signatureAge": 600_000}}, 200),
        ({"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, 403),
        ({"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, 200),
    ):
        put(s3, bucket, objects(bucket, "s3:GetObject", Effect="Deny", Condition=condition))
        # Parameters may be written in more than one way.
        for way in (url, url.replace("X-Amz-", "X%2DAmz-")):
            assert fetched(way)[0] == status, condition


def test_whoever_presigned_must_be_allowed(s3: S3) -> None:
    bucket = s3.bucket()
    s3.of().put_object(Bucket=bucket, Key="a", Body=b"1")
    s3.may("nobody", allow("s3:ListBucket"))
    url = presigning(s3, "nobody").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
    status, text = fetched(url)
    assert status == 403
    assert f"User: {user_arn('nobody')} is not authorized to perform: s3:GetObject".encode() in text
    s3.may("nobody", allow("s3:GetObject"))
    assert fetched(url) == (200, b"1")
