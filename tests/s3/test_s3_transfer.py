"""Bodies on the wire: who may not send is told so before sending, and what does not come whole is not kept."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from s3_support import REGION, S3, access_key, refused

LARGE = os.urandom(300_000)
CHUNK = 64 * 1024


class Signer(S3SigV4Auth):
    """Signs a request whose payload is told of in these words."""

    def __init__(self, user: str, payload: str) -> None:
        key = access_key(user)
        super().__init__(Credentials(key.id, key.secret), "s3", REGION)
        self._payload = payload
        self.key = key

    def payload(self, request: Any) -> str:
        return self._payload


def signed(s3: S3, path: str, payload: str, user: str = "admin", **headers: str) -> dict[str, str]:
    """The headers of a PUT."""
    request = AWSRequest("PUT", f"{s3.server.endpoint}{path}", headers=dict(headers))
    Signer(user, payload).add_auth(request)
    return dict(request.headers.items())


def head(s3: S3, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"PUT {path} HTTP/1.1", f"Host: {urlsplit(s3.server.endpoint).netloc}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def put(s3: S3, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(s3.server.endpoint).netloc, timeout=20)
    try:
        connection.request("PUT", path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def connected(s3: S3) -> socket.socket:
    place = urlsplit(s3.server.endpoint)
    assert place.hostname is not None
    assert place.port is not None
    return socket.create_connection((place.hostname, place.port), timeout=20)


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    return s3.bucket()


def read(s3: S3, bucket: str, key: str) -> bytes:
    content: bytes = s3.of().get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def test_who_may_not_send_is_told_before(s3: S3, bucket: str) -> None:
    for user, status in (("nobody", b"403"), ("admin", b"100")):
        for length in (len(LARGE), 10**12):
            headers = signed(s3, f"/{bucket}/early", "UNSIGNED-PAYLOAD", user)
            with connected(s3) as client:
                more = {"Content-Length": str(length), "Expect": "100-continue"}
                client.sendall(head(s3, f"/{bucket}/early", headers | more))
                answer = client.recv(65536)
            # What is too large is told so, too, without a byte of it.
            expected = b"400" if user == "admin" and length == 10**12 else status
            assert answer.startswith(b"HTTP/1.1 " + expected), answer
            if expected == b"400":
                assert b"EntityTooLarge" in answer
    with refused("404", status=404):
        s3.of().head_object(Bucket=bucket, Key="early")


def test_a_client_that_goes_away(s3: S3, bucket: str) -> None:
    headers = signed(s3, f"/{bucket}/gone", "UNSIGNED-PAYLOAD")
    with connected(s3) as client:
        client.sendall(
            head(s3, f"/{bucket}/gone", headers | {"Content-Length": str(len(LARGE))}) + LARGE[:200_000]
        )
    for _ in range(3):
        with refused("404", status=404):
            s3.of().head_object(Bucket=bucket, Key="gone")
    assert "Traceback" not in s3.server.log


def test_another_body_than_was_signed(s3: S3, bucket: str) -> None:
    for body in (b"small", LARGE):
        headers = signed(s3, f"/{bucket}/other", hashlib.sha256(b"signed").hexdigest())
        status, answer = put(s3, f"/{bucket}/other", headers, body)
        assert (status, b"<Code>XAmzContentSHA256Mismatch</Code>" in answer) == (400, True)
        headers = signed(s3, f"/{bucket}/same", hashlib.sha256(body).hexdigest())
        assert put(s3, f"/{bucket}/same", headers, body)[0] == 200
        assert read(s3, bucket, "same") == body
    with refused("404", status=404):
        s3.of().head_object(Bucket=bucket, Key="other")


def in_chunks(headers: dict[str, str], body: bytes, *, wrong: bool = False) -> bytes:
    """aws-chunked, each chunk signed after the one before."""
    key = access_key("admin")
    timestamp = headers["X-Amz-Date"]
    day = timestamp[:8]
    secret = b"AWS4" + key.secret.encode()
    for part in (day, REGION, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    scope = f"{day}/{REGION}/s3/aws4_request"
    before = headers["Authorization"].rpartition("Signature=")[2]
    empty = hashlib.sha256(b"").hexdigest()
    framed = b""
    pieces = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]
    for number, piece in enumerate([*pieces, b""]):
        digest = hashlib.sha256(piece).hexdigest()
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{timestamp}\n{scope}\n{before}\n{empty}\n{digest}"
        before = hmac.digest(secret, text.encode(), "sha256").hex()
        shown = "0" * 64 if wrong and number == len(pieces) - 1 else before
        framed += f"{len(piece):x};chunk-signature={shown}\r\n".encode() + piece + b"\r\n"
    return framed


@pytest.mark.parametrize("body", [b"small", LARGE])
def test_signed_chunks(s3: S3, bucket: str, body: bytes) -> None:
    path = f"/{bucket}/chunks"
    more = {"X-Amz-Decoded-Content-Length": str(len(body)), "Content-Encoding": "aws-chunked"}
    headers = signed(s3, path, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", **more)
    status, answer = put(s3, path, headers, in_chunks(headers, body, wrong=True))
    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)
    with refused("404", status=404):
        s3.of().head_object(Bucket=bucket, Key="chunks")
    assert put(s3, path, headers, in_chunks(headers, body))[0] == 200
    assert read(s3, bucket, "chunks") == body
    assert "ContentEncoding" not in s3.of().head_object(Bucket=bucket, Key="chunks")
    status, answer = put(s3, path, headers, in_chunks(headers, body[:-1]))
    assert (status, b"<Code>IncompleteBody</Code>" in answer) == (400, True)
    s3.of().delete_object(Bucket=bucket, Key="chunks")


def test_a_body_of_unknown_length(s3: S3, bucket: str) -> None:
    headers = signed(s3, f"/{bucket}/long", "UNSIGNED-PAYLOAD")
    with connected(s3) as client:
        client.sendall(
            head(s3, f"/{bucket}/long", headers | {"Transfer-Encoding": "chunked"}) + b"1\r\nx\r\n0\r\n\r\n"
        )
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 411")
    assert b"MissingContentLength" in answer
    # Where S3's own framing tells it, HTTP's need not.
    body = LARGE[:100_000]
    more = {"X-Amz-Decoded-Content-Length": str(len(body))}
    headers = signed(s3, f"/{bucket}/long", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", **more)
    framed = in_chunks(headers, body)
    with connected(s3) as client:
        client.sendall(
            head(s3, f"/{bucket}/long", headers | {"Transfer-Encoding": "chunked"})
            + b"%x\r\n" % len(framed)
            + framed
            + b"\r\n0\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    assert read(s3, bucket, "long") == body


def test_unsigned_requests(s3: S3) -> None:
    bucket = s3.bucket()
    client = s3.of()
    client.put_object(Bucket=bucket, Key="open/k", Body=LARGE)
    netloc = urlsplit(s3.server.endpoint).netloc

    def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(netloc, timeout=20)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    for method, path, body in (
        ("GET", f"/{bucket}/open/k", None),
        ("PUT", f"/{bucket}/open/new", b"x"),
        ("PUT", f"/{bucket}/open/new", LARGE),
        ("DELETE", f"/{bucket}/open/k", None),
    ):
        status, answer = ask(method, path, body)
        assert status == 403
        assert b"<Code>AccessDenied</Code><Message>Access Denied</Message>" in answer
    client.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False
        ),
    )
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": f"arn:aws:s3:::{bucket}/open/*",
    }
    client.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert ask("GET", f"/{bucket}/open/k") == (200, LARGE)
    assert ask("PUT", f"/{bucket}/open/new", LARGE)[0] == 200
    assert ask("GET", f"/{bucket}/open/new") == (200, LARGE)
    assert ask("GET", f"/{bucket}/closed")[0] == 403


def test_a_document_that_is_long(s3: S3, bucket: str) -> None:
    # Longer than what is held of any request, and read once its sender is known.
    keys = [f"{number:04}" + "k" * 900 for number in range(1000)]
    done = s3.of().delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [one["Key"] for one in done["Deleted"]] == keys
    headers = signed(s3, f"/{bucket}?policy", "UNSIGNED-PAYLOAD", "admin")
    status, answer = put(s3, f"/{bucket}?policy", headers, b" " * (8 * 1024 * 1024 + 1))
    assert (status, b"MaxMessageLengthExceeded" in answer) == (400, True)


def test_a_client_that_reads_no_further(s3: S3, bucket: str) -> None:
    content = os.urandom(12 * 1024 * 1024)
    s3.of().put_object(Bucket=bucket, Key="unread", Body=content)
    open_files = f"/proc/{s3.server.process.pid}/fd"

    def blobs() -> int:
        links = [os.path.join(open_files, name) for name in os.listdir(open_files)]
        return sum("/blobs/" in os.readlink(link) for link in links if os.path.lexists(link))

    # Those of other tests whose answers nobody has read.
    before = blobs()
    for _ in range(3):
        got = s3.of().get_object(Bucket=bucket, Key="unread")
        assert got["Body"].read(10) == content[:10]
        got["Body"].close()
    # What follows is served by the same loop: by its end the ones before are over.
    for _ in range(200):
        assert read(s3, bucket, "unread") == content
        if blobs() <= before:
            break
    assert blobs() <= before
    assert "Traceback" not in s3.server.log


def test_slow_senders_keep_nobody_waiting(s3: S3, bucket: str) -> None:
    path = f"/{bucket}/slow"
    begun = head(s3, path, signed(s3, path, "UNSIGNED-PAYLOAD") | {"Content-Length": str(len(LARGE))})
    senders = [connected(s3) for _ in range(40)]
    try:
        for sender in senders:
            sender.sendall(begun + LARGE[:1000])
        s3.of().put_object(Bucket=bucket, Key="quick", Body=LARGE)
        assert read(s3, bucket, "quick") == LARGE
        for sender in senders:
            sender.sendall(LARGE[1000:])
            assert sender.recv(65536).startswith(b"HTTP/1.1 200")
    finally:
        for sender in senders:
            sender.close()
    assert read(s3, bucket, "slow") == LARGE
