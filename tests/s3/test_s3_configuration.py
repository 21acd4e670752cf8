"""What buckets have configured: encryption, versioning, object lock, tags."""

from __future__ import annotations

import http.client
from base64 import b64encode
from hashlib import md5
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from s3_support import S3, access_key, allow, refused

from casemate.engine.checksums import checksum

NEW_ENCRYPTION = {
    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
    "BucketKeyEnabled": False,
    "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
}


def encryption_of(s3: S3, bucket: str) -> Any:
    found = s3.of().get_bucket_encryption(Bucket=bucket)
    (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
    return rule


def put_encryption(s3: S3, bucket: str, **rule: Any) -> None:
    s3.of().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def test_default_encryption(s3: S3) -> None:
    bucket = s3.bucket()
    assert encryption_of(s3, bucket) == NEW_ENCRYPTION
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/reports"}
    put_encryption(s3, bucket, ApplyServerSideEncryptionByDefault=by_default, BucketKeyEnabled=True)
    assert encryption_of(s3, bucket) == {
        "ApplyServerSideEncryptionByDefault": by_default,
        "BucketKeyEnabled": True,
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    put_encryption(s3, bucket, BlockedEncryptionTypes={"EncryptionType": ["NONE"]})
    assert encryption_of(s3, bucket) == NEW_ENCRYPTION | {
        "BlockedEncryptionTypes": {"EncryptionType": ["NONE"]}
    }
    s3.of().delete_bucket_encryption(Bucket=bucket)
    assert encryption_of(s3, bucket) == NEW_ENCRYPTION


def test_default_encryption_that_makes_no_sense(s3: S3) -> None:
    bucket = s3.bucket()
    with refused(
        "InvalidArgument",
        "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
    ):
        put_encryption(
            s3,
            bucket,
            ApplyServerSideEncryptionByDefault={"SSEAlgorithm": "AES256", "KMSMasterKeyID": "alias/a"},
        )
    with refused("InvalidArgument"):
        put_encryption(s3, bucket, ApplyServerSideEncryptionByDefault={"SSEAlgorithm": "aws:fsx"})
    with refused("MalformedXML"):
        put_encryption(s3, bucket, ApplyServerSideEncryptionByDefault={"SSEAlgorithm": "AES512"})
    with refused("MalformedXML"):
        s3.of().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": []})
    assert encryption_of(s3, bucket) == NEW_ENCRYPTION


def test_versioning(s3: S3) -> None:
    bucket = s3.bucket()
    assert "Status" not in s3.of().get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.of().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.of().get_bucket_versioning(Bucket=bucket)["Status"] == status
    with refused("IllegalVersioningConfigurationException", "The Versioning element must be specified"):
        s3.of().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={})
    with refused("NotImplemented", status=501):
        s3.of().put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"}
        )


def test_object_lock_is_for_good(s3: S3) -> None:
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    assert s3.of().get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    found = s3.of().get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert found == {"ObjectLockEnabled": "Enabled"}
    with refused("InvalidBucketState", status=409):
        s3.of().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for retention in ({"Mode": "GOVERNANCE", "Days": 1}, {"Mode": "COMPLIANCE", "Years": 100}):
        wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
        s3.of().put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
        found = s3.of().get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
        assert found == wanted


def test_object_lock_that_makes_no_sense(s3: S3) -> None:
    bucket = s3.bucket()
    with refused("ObjectLockConfigurationNotFoundError", status=404):
        s3.of().get_object_lock_configuration(Bucket=bucket)
    with refused("InvalidBucketState", status=409):
        s3.of().put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        )
    s3.of().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for code, retention in (
        ("MalformedXML", {"Mode": "GOVERNANCE"}),
        ("MalformedXML", {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}),
        ("MalformedXML", {"Days": 1}),
        ("InvalidArgument", {"Mode": "GOVERNANCE", "Days": 0}),
        ("InvalidArgument", {"Mode": "GOVERNANCE", "Days": 36_501}),
        ("InvalidArgument", {"Mode": "GOVERNANCE", "Years": 101}),
    ):
        with refused(code):
            s3.of().put_object_lock_configuration(
                Bucket=bucket,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": retention},
                },
            )


def test_tags(s3: S3) -> None:
    bucket = s3.bucket(CreateBucketConfiguration={"Tags": [{"Key": "team", "Value": "red"}]})
    client = s3.of()
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "team", "Value": "red"}]
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a b", "Value": ""}]})
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a b", "Value": ""}]
    client.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", "The TagSet does not exist", 404):
        client.get_bucket_tagging(Bucket=bucket)
    for key, value in (("aws:x", ""), ("a" * 129, ""), ("a", "b" * 257), ("a;", "")):
        with refused("InvalidTag"):
            client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": key, "Value": value}]})
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    with refused("BadRequest", "Bucket tags cannot be greater than 50"):
        client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": many})


def test_policies_heed_tags_once_that_is_on(s3: S3) -> None:
    bucket = s3.bucket(CreateBucketConfiguration={"Tags": [{"Key": "team", "Value": "red"}]})
    s3.may(
        "nobody", allow("s3:GetBucketTagging", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}})
    )
    assert s3.of().get_bucket_abac(Bucket=bucket)["AbacStatus"]["Status"] == "Disabled"
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_bucket_tagging(Bucket=bucket)
    s3.of().put_bucket_abac(Bucket=bucket, AbacStatus={"Status": "Enabled"})
    assert s3.of().get_bucket_abac(Bucket=bucket)["AbacStatus"]["Status"] == "Enabled"
    s3.of("nobody").get_bucket_tagging(Bucket=bucket)
    s3.may("nobody", allow("s3:GetBucketTagging", Condition={"StringEquals": {"s3:BucketTag/team": "blue"}}))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_bucket_tagging(Bucket=bucket)
    with refused("InvalidRequest"):
        s3.of().delete_bucket_tagging(Bucket=bucket)


def test_what_cannot_be_configured_is_told_to_be_unconfigured(s3: S3) -> None:
    bucket, client = s3.bucket(), s3.of()
    assert "Status" not in client.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=bucket)
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    notifications = client.get_bucket_notification_configuration(Bucket=bucket)
    assert set(notifications) == {"ResponseMetadata"}
    with refused("ReplicationConfigurationNotFoundError", status=404):
        client.get_bucket_replication(Bucket=bucket)
    with refused("NoSuchWebsiteConfiguration", status=404):
        client.get_bucket_website(Bucket=bucket)


# --- the digests of what is configured

TAGGING = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"


def put_tags(s3: S3, bucket: str, **headers: str) -> tuple[int, str]:
    """The status and the body of a signed PutBucketTagging with these headers."""
    return put_document(s3, bucket, "tagging", TAGGING, **headers)


def put_document(s3: S3, bucket: str, what: str, document: bytes, **headers: str) -> tuple[int, str]:
    """The same of any part of a bucket's configuration."""
    url = f"{s3.server.endpoint}/{bucket}?{what}="
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest("PUT", url, headers=named, data=document)
    if "x_amz_trailer" in headers:
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    key = access_key("admin")
    S3SigV4Auth(Credentials(key.id, key.secret), "s3", "us-east-1").add_auth(request)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}", document, dict(request.headers.items()))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def digest(name: str, document: bytes) -> str:
    """A document's checksum, as headers have it."""
    counted = checksum(name.upper())
    counted.update(document)
    return b64encode(counted.digest()).decode()


@pytest.mark.parametrize("name", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256", "sha512", "md5"])
def test_a_document_comes_with_its_digest(s3: S3, name: str) -> None:
    bucket = s3.bucket()
    right, wrong = digest(name, TAGGING), digest(name, TAGGING + b" ")
    assert put_tags(s3, bucket, **{f"x_amz_checksum_{name}": right}) == (200, "")
    status, text = put_tags(s3, bucket, **{f"x_amz_checksum_{name}": wrong})
    assert status == 400
    assert f"The {name.upper()} you specified did not match the calculated checksum." in text
    status, text = put_tags(s3, bucket, **{f"x_amz_checksum_{name}": "AAAA"})
    assert status == 400
    assert f"Value for x-amz-checksum-{name} header is invalid." in text


def test_the_older_digest(s3: S3) -> None:
    bucket = s3.bucket()
    status, text = put_tags(s3, bucket)
    assert status == 400
    assert "Missing required header for this request: Content-MD5 OR x-amz-checksum-*" in text
    assert put_tags(s3, bucket, content_md5=b64encode(md5(TAGGING).digest()).decode())[0] == 200
    assert "BadDigest" in put_tags(s3, bucket, content_md5=b64encode(bytes(16)).decode())[1]
    assert "InvalidDigest" in put_tags(s3, bucket, content_md5="x")[1]
    assert "not served" in put_tags(s3, bucket, x_amz_checksum_md4="AAAAAAAAAAA=")[1]


def test_documents_that_need_no_digest(s3: S3) -> None:
    bucket = s3.bucket()
    document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert put_document(s3, bucket, "versioning", document) == (200, "")
    status, text = put_document(s3, bucket, "versioning", document, content_md5=b64encode(bytes(16)).decode())
    assert (status, "BadDigest" in text) == (400, True)


def test_a_digest_may_come_behind_the_document(s3: S3) -> None:
    bucket = s3.bucket()
    headers = {
        "x_amz_trailer": "x-amz-checksum-crc32",
        "x_amz_decoded_content_length": str(len(TAGGING)),
        "content_encoding": "aws-chunked",
    }
    for told, status in ((digest("crc32", TAGGING), 200), (digest("crc32", b""), 400)):
        framed = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % (
            len(TAGGING),
            TAGGING,
            told.encode(),
        )
        assert put_document(s3, bucket, "tagging", framed, **headers)[0] == status
    assert s3.of().get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_lists_of_configurations_are_empty(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    for kind, listed in (
        ("analytics", "AnalyticsConfigurationList"),
        ("metrics", "MetricsConfigurationList"),
        ("intelligent_tiering", "IntelligentTieringConfigurationList"),
    ):
        found = getattr(client, f"list_bucket_{kind}_configurations")(Bucket=bucket)
        assert found["IsTruncated"] is False
        assert not found.get(listed)
        with refused("NoSuchConfiguration", "The specified configuration does not exist.", 404):
            getattr(client, f"get_bucket_{kind}_configuration")(Bucket=bucket, Id="one")
    s3.may("nobody", allow("s3:GetObject"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").list_bucket_metrics_configurations(Bucket=bucket)
