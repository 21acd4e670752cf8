"""Objects: written, read whole and in ranges, told of, removed."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError
from s3_support import S3, access_key, allow, refused

LARGE = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    return s3.bucket()


def read(client: Any, bucket: str, key: str, **more: Any) -> bytes:
    content: bytes = client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return content


@pytest.mark.parametrize("content", [b"", b"hello", os.urandom(64 * 1024), os.urandom(64 * 1024 + 1), LARGE])
def test_what_is_put_is_got(s3: S3, bucket: str, content: bytes) -> None:
    client, key = s3.of(), f"object of {len(content)}"
    put = client.put_object(Bucket=bucket, Key=key, Body=content)
    assert put["ETag"] == f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    assert put["ServerSideEncryption"] == "AES256"
    assert "VersionId" not in put
    got = client.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == content
    assert got["ContentLength"] == len(content)
    assert got["ETag"] == put["ETag"]
    assert got["ContentType"] == "binary/octet-stream"
    told = client.head_object(Bucket=bucket, Key=key)
    assert told["ContentLength"] == len(content)
    assert told["AcceptRanges"] == "bytes"
    client.put_object(Bucket=bucket, Key=key, Body=b"anew")
    assert read(client, bucket, key) == b"anew"


@pytest.mark.parametrize("key", ["a b+c%2F", "/", "a//b/../c", "ü€😀", "a\nb", "?x=y&z", "." * 1024])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_keys_keep_their_bytes(s3: S3, bucket: str, key: str, style: str) -> None:
    with names_below_localhost():
        _try_key(s3, bucket, key, style)


@contextmanager
def names_below_localhost() -> Iterator[None]:
    """What resolvers know of on most machines: all of them are this machine."""
    original = socket.getaddrinfo

    def found(host: Any, *args: Any, **kwargs: Any) -> Any:
        return original("127.0.0.1" if str(host).endswith(".localhost") else host, *args, **kwargs)

    with patch.object(socket, "getaddrinfo", found):
        yield


def _try_key(s3: S3, bucket: str, key: str, style: str) -> None:
    user = access_key("admin")
    # Any: the stubs take literals alone.
    addressing: Any = {"addressing_style": style}
    client = boto3.client(
        "s3",
        aws_access_key_id=user.id,
        aws_secret_access_key=user.secret,
        region_name="us-east-1",
        endpoint_url=s3.server.endpoint.replace("127.0.0.1", "localhost"),
        config=ClientConfig(s3=addressing, retries={"total_max_attempts": 1}),
    )
    content = key.encode() + style.encode()
    client.put_object(Bucket=bucket, Key=key, Body=content)
    assert read(client, bucket, key) == content
    client.delete_object(Bucket=bucket, Key=key)
    with refused("NoSuchKey", "The specified key does not exist.", 404):
        client.get_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize("size", [1000, len(LARGE)])
@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=900-", 900, None),
        ("bytes=-7", -7, None),
        ("bytes=-99999999", 0, None),
        ("bytes=5-99999999", 5, None),
        ("bytes=5-18446744073709551615", 5, None),
    ],
)
def test_ranges(s3: S3, bucket: str, size: int, header: str, start: int, end: int | None) -> None:
    client, key, content = s3.of(), f"ranged {size}", LARGE[:size]
    client.put_object(Bucket=bucket, Key=key, Body=content)
    got = client.get_object(Bucket=bucket, Key=key, Range=header)
    wanted = content[start:end]
    assert got["Body"].read() == wanted
    first = content.index(wanted)
    assert got["ContentRange"] == f"bytes {first}-{first + len(wanted) - 1}/{size}"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    told = client.head_object(Bucket=bucket, Key=key, Range=header)
    assert (told["ContentLength"], told["ContentRange"]) == (len(wanted), got["ContentRange"])


def test_ranges_that_are_none(s3: S3, bucket: str) -> None:
    client = s3.of()
    client.put_object(Bucket=bucket, Key="r", Body=b"0123456789")
    for header in ("bytes=3-1", "items=0-1", "bytes=0-1,3-4", "bytes=-", f"bytes=0-{'9' * 5000}"):
        got = client.get_object(Bucket=bucket, Key="r", Range=header)
        assert got["Body"].read() == b"0123456789"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=bucket, Key="r", Range="bytes=10-")
    response: Any = caught.value.response
    assert response["Error"]["Code"] == "InvalidRange"
    assert response["Error"]["ActualObjectSize"] == "10"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 416
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-range"] == "bytes */10"


def test_what_is_told_of_an_object(s3: S3, bucket: str) -> None:
    client = s3.of()
    expires = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    client.put_object(
        Bucket=bucket,
        Key="told",
        Body=b"x",
        CacheControl="no-cache",
        ContentDisposition='attachment; filename="x"',
        ContentEncoding="gzip",
        ContentLanguage="de",
        ContentType="text/plain",
        Expires=expires,
        Metadata={"one": "1", "two": "zwei"},
        StorageClass="STANDARD_IA",
        Tagging="a=b&c=d%20e",
        WebsiteRedirectLocation="/elsewhere",
    )
    told = client.head_object(Bucket=bucket, Key="told")
    assert told["CacheControl"] == "no-cache"
    assert told["ContentDisposition"] == 'attachment; filename="x"'
    assert told["ContentEncoding"] == "gzip"
    assert told["ContentLanguage"] == "de"
    assert told["ContentType"] == "text/plain"
    assert told["Expires"] == expires
    assert told["Metadata"] == {"one": "1", "two": "zwei"}
    assert told["StorageClass"] == "STANDARD_IA"
    assert told["WebsiteRedirectLocation"] == "/elsewhere"
    assert abs(told["LastModified"] - datetime.now(UTC)) < timedelta(minutes=5)
    got = client.get_object(
        Bucket=bucket, Key="told", ResponseContentType="text/html", ResponseCacheControl="max-age=1"
    )
    assert (got["ContentType"], got["CacheControl"], got["TagCount"]) == ("text/html", "max-age=1", 2)


def test_conditions_of_reads(s3: S3, bucket: str) -> None:
    client = s3.of()
    etag = client.put_object(Bucket=bucket, Key="c", Body=b"x")["ETag"]
    before, after = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    for holds in (
        {"IfMatch": etag},
        {"IfMatch": "*"},
        {"IfMatch": f'"x", {etag}'},
        {"IfNoneMatch": '"x"'},
        {"IfModifiedSince": before},
        {"IfUnmodifiedSince": after},
        # Where both are there, ETags decide.
        {"IfMatch": etag, "IfUnmodifiedSince": before},
        {"IfNoneMatch": '"x"', "IfModifiedSince": after},
    ):
        assert read(client, bucket, "c", **holds) == b"x"
    for fails in ({"IfMatch": '"x"'}, {"IfUnmodifiedSince": before}):
        with refused(
            "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412
        ):
            client.get_object(Bucket=bucket, Key="c", **fails)
    for unchanged in ({"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": after}):
        with pytest.raises(ClientError) as caught:
            client.get_object(Bucket=bucket, Key="c", **unchanged)
        answer = caught.value.response["ResponseMetadata"]
        assert answer["HTTPStatusCode"] == 304
        assert answer["HTTPHeaders"]["etag"] == etag
        assert "last-modified" in answer["HTTPHeaders"]


def test_conditions_of_writes(s3: S3, bucket: str) -> None:
    client = s3.of()
    etag = client.put_object(Bucket=bucket, Key="w", Body=b"1", IfNoneMatch="*")["ETag"]
    for fails in ({"IfNoneMatch": "*"}, {"IfMatch": '"x"'}):
        for body in (b"2", LARGE):
            with refused("PreconditionFailed", status=412):
                client.put_object(Bucket=bucket, Key="w", Body=body, **fails)
    assert read(client, bucket, "w") == b"1"
    client.put_object(Bucket=bucket, Key="w", Body=b"2", IfMatch=etag)
    assert read(client, bucket, "w") == b"2"
    with refused("NoSuchKey", status=404):
        client.put_object(Bucket=bucket, Key="not there", Body=b"2", IfMatch=etag)
    with refused("PreconditionFailed", status=412):
        client.delete_object(Bucket=bucket, Key="w", IfMatch=etag)
    client.delete_object(Bucket=bucket, Key="w", IfMatch="*")
    with refused("404", status=404):
        client.head_object(Bucket=bucket, Key="w")


@pytest.mark.parametrize("size", [100, len(LARGE)])
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("tls", [False, True])
def test_checksums_by_trailer_and_by_header(
    s3: S3, bucket: str, algorithm: str, size: int, tls: bool
) -> None:
    # Over TLS boto3 sends an unsigned body with a trailer, else a signed one with a header.
    client, content = s3.of(tls=tls), LARGE[:size]
    put = client.put_object(Bucket=bucket, Key="sum", Body=content, ChecksumAlgorithm=algorithm)
    told = client.head_object(Bucket=bucket, Key="sum", ChecksumMode="ENABLED")
    assert told[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert told["ChecksumType"] == "FULL_OBJECT"
    if algorithm == "CRC32":
        assert base64.b64decode(told["ChecksumCRC32"]) == zlib.crc32(content).to_bytes(4, "big")
    assert read(client, bucket, "sum") == content


def test_a_checksum_is_counted_where_none_is_told(s3: S3, bucket: str) -> None:
    user = access_key("admin")
    client = boto3.client(
        "s3",
        aws_access_key_id=user.id,
        aws_secret_access_key=user.secret,
        region_name="us-east-1",
        endpoint_url=s3.server.endpoint,
        config=ClientConfig(request_checksum_calculation="when_required"),
    )
    put = client.put_object(Bucket=bucket, Key="plain", Body=b"123456789")
    assert put["ChecksumCRC64NVME"] == "rosUhgp5mIg="


def test_what_did_not_come_as_it_was_sent_is_not_kept(s3: S3, bucket: str) -> None:
    client = s3.of()
    wrong = base64.b64encode(b"0" * 16).decode()
    for body in (b"x", LARGE):
        with refused("BadDigest", "The Content-MD5 you specified did not match what we received."):
            client.put_object(Bucket=bucket, Key="bad", Body=body, ContentMD5=wrong)
        with refused("BadDigest", "The SHA1 you specified did not match the calculated checksum."):
            client.put_object(
                Bucket=bucket, Key="bad", Body=body, ChecksumSHA1=base64.b64encode(b"0" * 20).decode()
            )
    with refused("InvalidDigest", "The Content-MD5 you specified was invalid."):
        client.put_object(Bucket=bucket, Key="bad", Body=b"x", ContentMD5="nonsense")
    with refused("InvalidRequest", "Value for x-amz-checksum-sha1 header is invalid."):
        client.put_object(Bucket=bucket, Key="bad", Body=b"x", ChecksumSHA1="nonsense")
    with refused("404", status=404):
        client.head_object(Bucket=bucket, Key="bad")


def test_a_request_that_is_too_much(s3: S3, bucket: str) -> None:
    client = s3.of()
    with refused("KeyTooLongError", "Your key is too long"):
        client.put_object(Bucket=bucket, Key="k" * 1025, Body=b"x")
    with refused("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "x" * 2048})
    with refused("InvalidStorageClass", "The storage class you specified is not valid"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="SNOW")
    with refused("InvalidRedirectLocation"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", WebsiteRedirectLocation="nowhere")
    with refused("BadRequest", "Object tags cannot be greater than 10"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="&".join(f"t{n}=" for n in range(11)))
    with refused("AccessControlListNotSupported", "The bucket does not allow ACLs"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")


def test_who_may_not(s3: S3, bucket: str) -> None:
    admin, nobody = s3.of(), s3.of("nobody")
    admin.put_object(Bucket=bucket, Key="secret", Body=b"x")
    with refused("AccessDenied", status=403):
        nobody.get_object(Bucket=bucket, Key="secret")
    for body in (b"x", LARGE):
        with refused("AccessDenied", status=403):
            nobody.put_object(Bucket=bucket, Key="secret", Body=body)
    with refused("AccessDenied", status=403):
        nobody.delete_object(Bucket=bucket, Key="secret")
    assert read(admin, bucket, "secret") == b"x"
    s3.may("nobody", allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"))
    assert read(nobody, bucket, "secret") == b"x"
    # Who may not list is not told what is not there.
    with refused("AccessDenied", status=403):
        nobody.get_object(Bucket=bucket, Key="not there")
    s3.may(
        "nobody",
        allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"),
        allow("s3:ListBucket", resource=f"arn:aws:s3:::{bucket}"),
    )
    with refused("NoSuchKey", status=404):
        nobody.get_object(Bucket=bucket, Key="not there")
    s3.may("nobody", allow("s3:PutObject", resource=f"arn:aws:s3:::{bucket}/*"))
    nobody.put_object(Bucket=bucket, Key="new", Body=b"y")
    with refused("AccessDenied", status=403):
        nobody.put_object(Bucket=bucket, Key="new", Body=b"y", Tagging="a=b")


def test_a_bucket_with_objects_is_not_removed(s3: S3) -> None:
    client, name = s3.of(), s3.bucket()
    client.put_object(Bucket=name, Key="k", Body=b"x")
    with refused("BucketNotEmpty", "The bucket you tried to delete is not empty", 409):
        client.delete_bucket(Bucket=name)
    client.delete_object(Bucket=name, Key="k")
    client.delete_bucket(Bucket=name)


def test_nothing_of_an_object_is_at_rest_as_it_is(s3: S3, bucket: str) -> None:
    client = s3.of()
    mark = os.urandom(16).hex()
    secret = (mark * 4096).encode()
    for body in (secret[:100], secret):
        client.put_object(
            Bucket=bucket,
            Key=f"at rest {len(body)}",
            Body=body,
            Metadata={"m": mark},
            Tagging=f"t={mark}",
            ContentType=mark,
        )
        assert read(client, bucket, f"at rest {len(body)}") == body
    files = [path for path in s3.server.data.rglob("*") if path.is_file()]
    assert any("blobs" in path.parts for path in files) != ("CASEMATE_BLOBS" in s3.env)
    for path in files:
        assert mark.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_what_is_read_while_it_is_written_over(s3: S3, bucket: str, algorithm: str) -> None:
    writer, reader = s3.of(), s3.of("root")
    done = threading.Event()

    def write() -> None:
        size = 300_000
        while not done.is_set():
            size += 1
            writer.put_object(Bucket=bucket, Key="busy", Body=LARGE[:size], ServerSideEncryption=algorithm)

    writer.put_object(Bucket=bucket, Key="busy", Body=LARGE[:300_000], ServerSideEncryption=algorithm)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(100):
                got = reader.get_object(Bucket=bucket, Key="busy")
                # One version's content and length, whichever it is.
                assert got["Body"].read() == LARGE[: got["ContentLength"]]
        finally:
            done.set()
            writing.result()
