"""Versions of objects, delete markers, object lock; many removed at once; copies, tags and attributes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from s3_support import S3, allow, refused

LARGE = os.urandom(300_000)
LOCKED = "Access Denied because object protected by object lock."


def read(client: Any, bucket: str, key: str, **more: Any) -> bytes:
    content: bytes = client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return content


def versioned(s3: S3, status: str = "Enabled") -> str:
    bucket = s3.bucket()
    s3.of().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    return bucket


def listed(client: Any, bucket: str) -> list[tuple[str, str, bool]]:
    """Key, version id, whether it is the newest one; delete markers among them."""
    found = client.list_object_versions(Bucket=bucket)
    entries = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
    return sorted((one["Key"], one["VersionId"], one["IsLatest"]) for one in entries)


def test_versions(s3: S3) -> None:
    client, bucket = s3.of(), versioned(s3)
    first = client.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = client.put_object(Bucket=bucket, Key="k", Body=LARGE)["VersionId"]
    assert first != second
    assert read(client, bucket, "k") == LARGE
    assert read(client, bucket, "k", VersionId=first) == b"1"
    assert client.head_object(Bucket=bucket, Key="k")["VersionId"] == second
    hidden = client.delete_object(Bucket=bucket, Key="k")
    assert hidden["DeleteMarker"] is True
    marker = hidden["VersionId"]
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=bucket, Key="k")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["x-amz-delete-marker"], headers["x-amz-version-id"]) == ("true", marker)
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=bucket, Key="k", VersionId=marker)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 405
    assert caught.value.response["Error"]["Code"] == "MethodNotAllowed"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["allow"] == "DELETE"
    assert read(client, bucket, "k", VersionId=second) == LARGE
    # The marker goes, and the object is back; then its newest version goes for good.
    gone = client.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, marker)
    assert read(client, bucket, "k") == LARGE
    assert "DeleteMarker" not in client.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert read(client, bucket, "k") == b"1"
    with refused("NoSuchVersion", "The specified version does not exist.", 404):
        client.get_object(Bucket=bucket, Key="k", VersionId=second)
    with refused("InvalidArgument", "Invalid version id specified"):
        client.get_object(Bucket=bucket, Key="k", VersionId="nonsense")
    assert listed(client, bucket) == [("k", first, True)]


def test_null_versions(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"before")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert client.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    during = client.put_object(Bucket=bucket, Key="k", Body=b"during")["VersionId"]
    assert read(client, bucket, "k", VersionId="null") == b"before"
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert client.put_object(Bucket=bucket, Key="k", Body=b"after")["VersionId"] == "null"
    assert read(client, bucket, "k", VersionId="null") == b"after"
    assert read(client, bucket, "k", VersionId=during) == b"during"
    # The marker of a bucket whose versioning is suspended takes the null version's place.
    hidden = client.delete_object(Bucket=bucket, Key="k")
    assert (hidden["DeleteMarker"], hidden["VersionId"]) == (True, "null")
    assert listed(client, bucket) == [("k", during, False), ("k", "null", True)]
    client.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert read(client, bucket, "k") == b"during"


def test_permissions_of_versions(s3: S3) -> None:
    client, bucket = s3.of(), versioned(s3)
    version = client.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    everything = f"arn:aws:s3:::{bucket}/*"
    nobody = s3.of("nobody")
    s3.may("nobody", allow("s3:GetObject", "s3:DeleteObject", resource=everything))
    assert read(nobody, bucket, "k") == b"1"
    with refused("AccessDenied", status=403):
        nobody.get_object(Bucket=bucket, Key="k", VersionId=version)
    with refused("AccessDenied", status=403):
        nobody.delete_object(Bucket=bucket, Key="k", VersionId=version)
    s3.may("nobody", allow("s3:GetObjectVersion", "s3:DeleteObjectVersion", resource=everything))
    assert read(nobody, bucket, "k", VersionId=version) == b"1"
    with refused("AccessDenied", status=403):
        nobody.get_object(Bucket=bucket, Key="k")
    nobody.delete_object(Bucket=bucket, Key="k", VersionId=version)


def test_many_are_removed_at_once(s3: S3) -> None:
    client, bucket = s3.of(), versioned(s3)
    versions = {
        key: client.put_object(Bucket=bucket, Key=key, Body=key.encode())["VersionId"]
        for key in ("a", "b", "ü<&>")
    }
    done = client.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a"}, {"Key": "ü<&>", "VersionId": versions["ü<&>"]}, {"Key": "none"}]},
    )
    by_key = {one["Key"]: one for one in done["Deleted"]}
    assert by_key["a"]["DeleteMarker"] is True
    assert by_key["a"]["DeleteMarkerVersionId"]
    assert by_key["ü<&>"] == {"Key": "ü<&>", "VersionId": versions["ü<&>"]}
    assert by_key["none"]["DeleteMarker"] is True
    s3.may("nobody", allow("s3:DeleteObject", resource=f"arn:aws:s3:::{bucket}/b"))
    partly = s3.of("nobody").delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "b", "VersionId": "x"}], "Quiet": True},
    )
    assert "Deleted" not in partly
    assert [(one["Key"], one["Code"]) for one in partly["Errors"]] == [
        ("a", "AccessDenied"),
        ("b", "InvalidArgument"),
    ]
    with refused("NoSuchKey", status=404):
        client.get_object(Bucket=bucket, Key="b")
    with refused("MalformedXML"):
        client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})


def test_retention_and_legal_hold(s3: S3) -> None:
    client = s3.of()
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    soon, later = datetime.now(UTC) + timedelta(days=1), datetime.now(UTC) + timedelta(days=9)
    version = client.put_object(
        Bucket=bucket,
        Key="g",
        Body=b"x",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=soon,
    )["VersionId"]
    named: dict[str, Any] = {"Bucket": bucket, "Key": "g", "VersionId": version}
    told = client.head_object(Bucket=bucket, Key="g")
    assert told["ObjectLockMode"] == "GOVERNANCE"
    assert abs(told["ObjectLockRetainUntilDate"] - soon) < timedelta(seconds=1)
    # It may be hidden, and not be removed.
    client.delete_object(Bucket=bucket, Key="g")
    with refused("AccessDenied", LOCKED, 403):
        client.delete_object(**named)
    s3.may(
        "nobody",
        allow("s3:*Object*", resource=f"arn:aws:s3:::{bucket}/*"),
        {"Effect": "Deny", "Action": "s3:BypassGovernanceRetention", "Resource": "*"},
    )
    with refused("AccessDenied", LOCKED, 403):
        s3.of("nobody").delete_object(**named, BypassGovernanceRetention=True)
    with refused("AccessDenied", LOCKED, 403):
        client.put_object_retention(**named, Retention={})
    client.put_object_retention(**named, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later})
    client.put_object_retention(
        **named, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": soon}, BypassGovernanceRetention=True
    )
    assert client.get_object_retention(**named)["Retention"]["Mode"] == "COMPLIANCE"
    for wanted in (
        {"Mode": "GOVERNANCE", "RetainUntilDate": later},
        {"Mode": "COMPLIANCE", "RetainUntilDate": soon - timedelta(hours=1)},
        {},
    ):
        with refused("AccessDenied", LOCKED, 403):
            client.put_object_retention(**named, Retention=wanted, BypassGovernanceRetention=True)
    client.put_object_retention(**named, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later})
    with refused("AccessDenied", LOCKED, 403):
        client.delete_object(**named, BypassGovernanceRetention=True)
    errors = client.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "g", "VersionId": version}]},
        BypassGovernanceRetention=True,
    )["Errors"]
    assert [(one["Code"], one["Message"]) for one in errors] == [("AccessDenied", LOCKED)]

    held = client.put_object(Bucket=bucket, Key="h", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    with refused("AccessDenied", LOCKED, 403):
        client.delete_object(Bucket=bucket, Key="h", VersionId=held, BypassGovernanceRetention=True)
    client.put_object_legal_hold(Bucket=bucket, Key="h", VersionId=held, LegalHold={"Status": "OFF"})
    assert client.get_object_legal_hold(Bucket=bucket, Key="h")["LegalHold"] == {"Status": "OFF"}
    client.delete_object(Bucket=bucket, Key="h", VersionId=held)

    plain = client.put_object(Bucket=bucket, Key="p", Body=b"x")["VersionId"]
    with refused("NoSuchObjectLockConfiguration", status=404):
        client.get_object_retention(Bucket=bucket, Key="p")
    with refused("NoSuchObjectLockConfiguration", status=404):
        client.get_object_legal_hold(Bucket=bucket, Key="p")
    client.delete_object(Bucket=bucket, Key="p", VersionId=plain)


def test_a_buckets_default_retention(s3: S3) -> None:
    client = s3.of()
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}},
        },
    )
    version = client.put_object(Bucket=bucket, Key="d", Body=b"x")["VersionId"]
    until = client.get_object_retention(Bucket=bucket, Key="d")["Retention"]["RetainUntilDate"]
    assert abs(until - datetime.now(UTC) - timedelta(days=2)) < timedelta(minutes=5)
    with refused("AccessDenied", LOCKED, 403):
        client.delete_object(Bucket=bucket, Key="d", VersionId=version)
    client.delete_object(Bucket=bucket, Key="d", VersionId=version, BypassGovernanceRetention=True)


def test_object_lock_that_cannot_be(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    soon = datetime.now(UTC) + timedelta(days=1)
    with refused("InvalidRequest", "Bucket is missing Object Lock Configuration"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON")
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("InvalidRequest", "Bucket is missing Object Lock Configuration"):
        client.get_object_retention(Bucket=bucket, Key="k")
    locked = s3.bucket(ObjectLockEnabledForBucket=True)
    with refused(
        "InvalidArgument",
        "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
    ):
        client.put_object(Bucket=locked, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE")
    with refused("InvalidArgument", "The retain until date must be in the future!"):
        client.put_object(
            Bucket=locked,
            Key="k",
            Body=b"x",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=soon - timedelta(days=2),
        )


@pytest.mark.parametrize("content", [b"small", LARGE])
def test_copies(s3: S3, content: bytes) -> None:
    client, bucket = s3.of(), versioned(s3)
    there = s3.bucket()
    key = "a b/ü+?"
    put = client.put_object(
        Bucket=bucket, Key=key, Body=content, Metadata={"m": "1"}, ContentType="text/plain", Tagging="t=1"
    )
    copied = client.copy_object(Bucket=there, Key="c", CopySource={"Bucket": bucket, "Key": key})
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    assert copied["CopySourceVersionId"] == put["VersionId"]
    got = client.get_object(Bucket=there, Key="c")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (content, {"m": "1"}, "text/plain")
    assert client.get_object_tagging(Bucket=there, Key="c")["TagSet"] == [{"Key": "t", "Value": "1"}]
    client.put_object(Bucket=bucket, Key=key, Body=b"newer")
    client.copy_object(
        Bucket=there,
        Key="c",
        CopySource={"Bucket": bucket, "Key": key, "VersionId": put["VersionId"]},
        MetadataDirective="REPLACE",
        Metadata={"n": "2"},
        TaggingDirective="REPLACE",
        Tagging="u=2",
        StorageClass="STANDARD_IA",
        ChecksumAlgorithm="SHA256",
    )
    got = client.get_object(Bucket=there, Key="c", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["Metadata"], got["StorageClass"]) == (content, {"n": "2"}, "STANDARD_IA")
    assert got["ContentType"] == "binary/octet-stream"
    assert "ChecksumSHA256" in got
    assert client.get_object_tagging(Bucket=there, Key="c")["TagSet"] == [{"Key": "u", "Value": "2"}]


def test_copies_that_are_refused(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    etag = client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="t=1")["ETag"]
    with refused("InvalidRequest"):
        client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k")
    with refused("NoSuchKey", status=404):
        client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/none")
    with refused("NoSuchBucket", status=404):
        client.copy_object(Bucket=bucket, Key="l", CopySource="no-such-bucket-there-is/k")
    for condition in (
        {"CopySourceIfMatch": '"x"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": datetime.now(UTC) + timedelta(days=1)},
        {"CopySourceIfUnmodifiedSince": datetime.now(UTC) - timedelta(days=1)},
    ):
        with refused("PreconditionFailed", status=412):
            client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k", **condition)
    nobody, objects = s3.of("nobody"), f"arn:aws:s3:::{bucket}/"
    put = allow("s3:PutObject", resource=objects + "l")
    for lacking in (
        [put],
        [allow("s3:GetObject", resource=objects + "k")],
        # The source's tags come with it.
        [put, allow("s3:GetObject", resource=objects + "k")],
        [put, allow("s3:GetObject", "s3:GetObjectTagging", resource=objects + "k")],
    ):
        s3.may("nobody", *lacking)
        with refused("AccessDenied", status=403):
            nobody.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k")
    s3.may(
        "nobody",
        allow("s3:PutObject", "s3:PutObjectTagging", resource=objects + "l"),
        allow("s3:GetObject", "s3:GetObjectTagging", resource=objects + "k"),
    )
    nobody.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k")
    with refused("PreconditionFailed", status=412):
        client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k", IfNoneMatch="*")


def test_tags(s3: S3) -> None:
    client, bucket = s3.of(), versioned(s3)
    version = client.put_object(Bucket=bucket, Key="t", Body=b"x", Tagging="class=secret")["VersionId"]
    tagged = client.put_object_tagging(
        Bucket=bucket, Key="t", Tagging={"TagSet": [{"Key": "class", "Value": "open"}]}
    )
    assert tagged["VersionId"] == version
    assert client.get_object_tagging(Bucket=bucket, Key="t")["TagSet"] == [{"Key": "class", "Value": "open"}]
    condition = {"StringEquals": {"s3:ExistingObjectTag/class": "open"}}
    s3.may("nobody", allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*", Condition=condition))
    assert read(s3.of("nobody"), bucket, "t") == b"x"
    client.delete_object_tagging(Bucket=bucket, Key="t", VersionId=version)
    assert client.get_object_tagging(Bucket=bucket, Key="t")["TagSet"] == []
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="t")
    with refused("InvalidTag"):
        client.put_object_tagging(
            Bucket=bucket,
            Key="t",
            Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]},
        )
    with refused("NoSuchKey", status=404):
        client.get_object_tagging(Bucket=bucket, Key="none")


def test_attributes(s3: S3) -> None:
    client, bucket = s3.of(), versioned(s3)
    put = client.put_object(Bucket=bucket, Key="a", Body=b"123456789", ChecksumAlgorithm="SHA1")
    told = client.get_object_attributes(
        Bucket=bucket,
        Key="a",
        ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"],
    )
    assert told["ETag"] == put["ETag"].strip('"')
    assert told["Checksum"] == {"ChecksumSHA1": put["ChecksumSHA1"], "ChecksumType": "FULL_OBJECT"}
    assert (told["StorageClass"], told["ObjectSize"], told["VersionId"]) == ("STANDARD", 9, put["VersionId"])
    assert "ObjectParts" not in told
    only = client.get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=["ObjectSize"])
    assert "ETag" not in only
    s3.may("nobody", allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object_attributes(Bucket=bucket, Key="a", ObjectAttributes=["ObjectSize"])
