"""Objects that are uploaded in parts."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from s3_support import S3, allow, refused
from server_support import environment

MIB = 1024 * 1024
FIRST, SECOND = os.urandom(5 * MIB), os.urandom(1000)


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    return s3.bucket()


def begin(client: Any, bucket: str, key: str, **more: Any) -> dict[str, Any]:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]
    return {"Bucket": bucket, "Key": key, "UploadId": upload}


def complete(client: Any, upload: dict[str, Any], parts: list[dict[str, Any]], **more: Any) -> Any:
    return client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **more)


def part_of(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    """A part as CompleteMultipartUpload names it."""
    told = {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}
    return {"PartNumber": number, **told}


def read(client: Any, bucket: str, key: str, **more: Any) -> bytes:
    content: bytes = client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return content


@pytest.mark.parametrize("encryption", ["AES256", "aws:kms", "aws:kms:dsse"])
def test_an_upload_in_parts(s3: S3, bucket: str, encryption: str) -> None:
    client, key = s3.of(), f"parts {encryption}"
    upload = begin(
        client,
        bucket,
        key,
        Metadata={"m": "1"},
        Tagging="t=1",
        ContentType="text/x",
        ServerSideEncryption=encryption,
    )
    second = client.upload_part(**upload, PartNumber=7, Body=SECOND)
    client.upload_part(**upload, PartNumber=2, Body=b"which is replaced")
    first = client.upload_part(**upload, PartNumber=2, Body=FIRST)
    client.upload_part(**upload, PartNumber=5, Body=b"which is not wanted")
    with refused("NoSuchKey", status=404):
        client.get_object(Bucket=bucket, Key=key)
    listed = client.list_parts(**upload)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [
        (2, len(FIRST)),
        (5, 19),
        (7, 1000),
    ]
    assert client.list_parts(**upload, MaxParts=1)["NextPartNumberMarker"] == 2
    assert [part["PartNumber"] for part in client.list_parts(**upload, PartNumberMarker=2)["Parts"]] == [5, 7]
    done = complete(client, upload, [part_of(2, first), part_of(7, second)])
    if encryption == "AES256":
        md5s = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in (FIRST, SECOND))
        assert done["ETag"] == f'"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-2"'
    content = FIRST + SECOND
    got = client.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == content
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (done["ETag"], {"m": "1"}, "text/x")
    assert (got["ServerSideEncryption"], got["TagCount"]) == (encryption, 1)
    around = len(FIRST) - 3
    assert read(client, bucket, key, Range=f"bytes={around}-{around + 9}") == content[around : around + 10]
    assert read(client, bucket, key, Range="bytes=-5") == content[-5:]
    part = client.get_object(Bucket=bucket, Key=key, PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (SECOND, 2)
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    with refused("InvalidPartNumber", status=416):
        client.get_object(Bucket=bucket, Key=key, PartNumber=3)
    with refused("NoSuchUpload", status=404):
        client.list_parts(**upload)
    # Whoever did not see the answer may ask again.
    assert complete(client, upload, [part_of(2, first), part_of(7, second)])["ETag"] == done["ETag"]
    client.delete_object(Bucket=bucket, Key=key)
    with refused("NoSuchUpload", status=404):
        complete(client, upload, [part_of(2, first), part_of(7, second)])


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_parts_and_of_the_whole(s3: S3, bucket: str, algorithm: str, kind: str) -> None:
    client, key = s3.of(), f"{algorithm} {kind}"
    upload = begin(client, bucket, key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    parts = [
        part_of(
            number, client.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        )
        for number, body in ((1, FIRST), (2, SECOND))
    ]
    listed = client.list_parts(**upload)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    if kind == "COMPOSITE":
        with refused("InvalidRequest"):
            complete(client, upload, [{name: one[name] for name in ("PartNumber", "ETag")} for one in parts])
    wrong = [{**parts[0], f"Checksum{algorithm}": parts[1][f"Checksum{algorithm}"]}, parts[1]]
    with refused("InvalidPart"):
        complete(client, upload, wrong)
    done = complete(client, upload, parts)
    assert done["ChecksumType"] == kind
    told = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")[f"Checksum{algorithm}"]
    if kind == "COMPOSITE":
        assert told.endswith("-2")
        attributes = client.get_object_attributes(
            Bucket=bucket, Key=key, ObjectAttributes=["ObjectParts", "Checksum"], MaxParts=1
        )
        shown = attributes["ObjectParts"]
        assert (shown["TotalPartsCount"], shown["IsTruncated"], shown["NextPartNumberMarker"]) == (2, True, 1)
        assert shown["Parts"][0][f"Checksum{algorithm}"] == parts[0][f"Checksum{algorithm}"]
        assert attributes["Checksum"][f"Checksum{algorithm}"] == told
    else:
        whole = client.put_object(
            Bucket=bucket, Key="whole", Body=FIRST + SECOND, ChecksumAlgorithm=algorithm
        )
        assert told == whole[f"Checksum{algorithm}"]


def test_a_customers_key_in_every_part(s3: S3) -> None:
    bucket, client = s3.bucket(), s3.of(tls=True)
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BlockedEncryptionTypes": {"EncryptionType": ["NONE"]},
    }
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    mine: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    upload = begin(client, bucket, "c", **mine)
    with refused(
        "InvalidRequest",
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
        "encryption parameters.",
    ):
        client.upload_part(**upload, PartNumber=1, Body=b"x")
    with refused(
        "InvalidRequest", "The provided encryption parameters did not match the ones used originally."
    ):
        client.upload_part(
            **upload, PartNumber=1, Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=os.urandom(32)
        )
    part = client.upload_part(**upload, PartNumber=1, Body=SECOND, **mine)
    complete(client, upload, [part_of(1, part)])
    assert read(client, bucket, "c", **mine) == SECOND


def test_parts_that_are_copied(s3: S3, bucket: str) -> None:
    client = s3.of()
    source = os.urandom(6 * MIB)
    client.put_object(Bucket=bucket, Key="source", Body=source)
    upload = begin(client, bucket, "of copies")
    ranged = client.upload_part_copy(
        **upload, PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange=f"bytes=1-{5 * MIB}"
    )["CopyPartResult"]
    whole = client.upload_part_copy(**upload, PartNumber=2, CopySource=f"{bucket}/source")["CopyPartResult"]
    assert whole["ETag"] == f'"{hashlib.md5(source, usedforsecurity=False).hexdigest()}"'
    with refused("InvalidArgument", f"Range specified is not valid for source object of size: {len(source)}"):
        client.upload_part_copy(
            **upload, PartNumber=3, CopySource=f"{bucket}/source", CopySourceRange=f"bytes=0-{len(source)}"
        )
    with refused("InvalidArgument"):
        client.upload_part_copy(
            **upload, PartNumber=3, CopySource=f"{bucket}/source", CopySourceRange=f"bytes=0-{'9' * 5000}"
        )
    with refused("NoSuchKey", status=404):
        client.upload_part_copy(**upload, PartNumber=3, CopySource=f"{bucket}/none")
    complete(client, upload, [part_of(1, ranged), part_of(2, whole)])
    assert read(client, bucket, "of copies") == source[1 : 5 * MIB + 1] + source


def test_uploads_that_cannot_be_completed(s3: S3, bucket: str) -> None:
    client = s3.of()
    upload = begin(client, bucket, "never")
    parts = [part_of(n, client.upload_part(**upload, PartNumber=n, Body=SECOND)) for n in (1, 2)]
    with refused("InvalidPartOrder"):
        complete(client, upload, parts[::-1])
    with refused("InvalidPart"):
        complete(client, upload, [parts[0], {**parts[1], "ETag": '"x"'}])
    with refused("InvalidPart"):
        complete(client, upload, [{**parts[0], "PartNumber": 3}])
    with refused("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"):
        complete(client, upload, parts)
    with refused("MalformedXML"):
        complete(client, upload, [])
    with refused("InvalidRequest"):
        complete(client, upload, parts[:1], MpuObjectSize=1)
    with refused("BadDigest"):
        complete(client, upload, parts[:1], ChecksumCRC64NVME=base64.b64encode(b"0" * 8).decode())
    with refused("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive"):
        client.upload_part(**upload, PartNumber=10_001, Body=b"x")
    client.put_object(Bucket=bucket, Key="never", Body=b"x")
    with refused("PreconditionFailed", status=412):
        complete(client, upload, parts[:1], IfNoneMatch="*")
    assert read(client, bucket, "never") == b"x"
    client.abort_multipart_upload(**upload)
    calls: list[Callable[[], Any]] = [
        lambda: client.abort_multipart_upload(**upload),
        lambda: client.upload_part(**upload, PartNumber=1, Body=b"x"),
        lambda: client.upload_part(**upload, PartNumber=1, Body=FIRST),
        lambda: complete(client, upload, parts[:1]),
    ]
    for gone in calls:
        with refused("NoSuchUpload", status=404):
            gone()
    for wrong in (
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
        {"ChecksumType": "FULL_OBJECT"},
    ):
        with refused("InvalidRequest"):
            client.create_multipart_upload(Bucket=bucket, Key="k", **wrong)
    other = begin(client, bucket, "other", ChecksumAlgorithm="SHA1")
    with refused(
        "InvalidRequest",
        "Checksum Type mismatch occurred, expected checksum Type: sha1, actual checksum Type: crc32",
    ):
        client.upload_part(**other, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")


def test_who_may_not(s3: S3, bucket: str) -> None:
    client, nobody = s3.of(), s3.of("nobody")
    upload = begin(client, bucket, "guarded")
    s3.may("nobody", allow("s3:GetObject"))
    unknown = {**upload, "UploadId": "unknown"}
    for named in (upload, unknown):
        # Who is not allowed is not told whether there is one.
        with refused("AccessDenied", status=403):
            nobody.upload_part(**named, PartNumber=1, Body=b"x")
        with refused("AccessDenied", status=403):
            nobody.list_parts(**named)
        with refused("AccessDenied", status=403):
            nobody.abort_multipart_upload(**named)
        with refused("AccessDenied", status=403):
            complete(nobody, named, [{"PartNumber": 1, "ETag": '"x"'}])
    with refused("AccessDenied", status=403):
        nobody.list_multipart_uploads(Bucket=bucket)
    s3.may("nobody", allow("s3:PutObject", resource=f"arn:aws:s3:::{bucket}/guarded"))
    nobody.upload_part(**upload, PartNumber=1, Body=b"x")
    with refused("AccessDenied", status=403):
        nobody.abort_multipart_upload(**upload)


def test_uploads_are_listed(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    uploads = [begin(client, bucket, key) for key in ("a", "b/1", "b/2", "c", "c")]
    found = client.list_multipart_uploads(Bucket=bucket)
    assert [(one["Key"], one["UploadId"]) for one in found["Uploads"]] == [
        (one["Key"], one["UploadId"]) for one in uploads
    ]
    rolled = client.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in rolled["CommonPrefixes"]] == ["b/"]
    assert [one["Key"] for one in rolled["Uploads"]] == ["a", "c", "c"]
    assert [one["Key"] for one in client.list_multipart_uploads(Bucket=bucket, Prefix="b")["Uploads"]] == [
        "b/1",
        "b/2",
    ]
    seen: list[str] = []
    marker: dict[str, Any] = {}
    while True:
        page = client.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **marker)
        seen += [one["UploadId"] for one in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert seen == [one["UploadId"] for one in uploads]
    # A bucket goes with its uploads.
    client.delete_bucket(Bucket=bucket)


def test_clients_upload_in_parts_by_themselves(s3: S3, bucket: str, tmp_path: Path) -> None:
    content = os.urandom(17 * MIB + 3)
    file = tmp_path / "file"
    file.write_bytes(content)
    client = s3.of()
    client.upload_file(str(file), bucket, "by boto3", Config=TransferConfig(multipart_threshold=8 * MIB))
    assert client.head_object(Bucket=bucket, Key="by boto3")["ETag"].endswith('-3"')
    back = tmp_path / "back"
    client.download_file(bucket, "by boto3", str(back))
    assert back.read_bytes() == content
    env = environment(s3.server.env | {"AWS_ACCESS_KEY_ID": "AKIATESTADMINXXXXXXX"})
    env["AWS_SECRET_ACCESS_KEY"] = "secret-of-admin-0123456789"
    for source, target in (
        (str(file), f"s3://{bucket}/by cli"),
        (f"s3://{bucket}/by cli", str(tmp_path / "again")),
    ):
        subprocess.run(["aws", "s3", "cp", "--no-progress", source, target], env=env, check=True, timeout=60)
    assert (tmp_path / "again").read_bytes() == content
