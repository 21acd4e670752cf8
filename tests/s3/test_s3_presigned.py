"""Presigned URLs that have in their query what would else be headers, as SDKs make them."""

from __future__ import annotations

import urllib.error
import urllib.request
from base64 import b64encode
from hashlib import sha256
from unittest.mock import ANY

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from s3_support import S3, access_key
from test_s3_object_access import objects
from test_s3_policies import put


def hoisting(url: str, method: str, path: str, **query: str) -> str:
    """A presigned URL of the administrator's as SDKs make them that move headers into the query: of those only the
    host is signed as a header. url: the endpoint; query: by name, with _ for -."""
    key = access_key("admin")
    parameters = {name.replace("_", "-"): value for name, value in query.items()}
    request = AWSRequest(method, f"{url}{path}", params=parameters)
    S3SigV4QueryAuth(Credentials(key.id, key.secret), "s3", "us-east-1", expires=60).add_auth(request)
    return str(request.url)


def answered(url: str, method: str, body: bytes | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_headers_that_a_presigned_url_has_in_its_query(s3: S3) -> None:
    bucket, client = s3.bucket(), s3.of()
    key = s3.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    url = hoisting(
        s3.server.endpoint,
        "PUT",
        f"/{bucket}/a",
        x_amz_server_side_encryption="aws:kms",
        x_amz_server_side_encryption_aws_kms_key_id=key,
        x_amz_meta_colour="red ü",
        x_amz_tagging="team=blue",
        x_amz_checksum_sha256=b64encode(sha256(b"1").digest()).decode(),
        X_Amz_Storage_Class="STANDARD_IA",
        x_amz_acl="bucket-owner-full-control",
    )
    assert answered(url, "PUT", b"2") == (400, ANY)
    assert answered(url, "PUT", b"1")[0] == 200
    found = client.head_object(Bucket=bucket, Key="a")
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)
    assert found["StorageClass"] == "STANDARD_IA"
    assert found["TagCount"] == 1
    assert answered(url.replace("aws%3Akms", "AES256"), "PUT", b"1")[0] == 403
    # A copy is told from a PUT by a header.
    copy = hoisting(s3.server.endpoint, "PUT", f"/{bucket}/b", x_amz_copy_source=f"/{bucket}/a")
    assert answered(copy, "PUT")[0] == 200
    assert client.get_object(Bucket=bucket, Key="b")["Body"].read() == b"1"


def test_policies_see_headers_that_a_presigned_url_has_in_its_query(s3: S3) -> None:
    bucket = s3.bucket()
    condition = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}
    put(s3, bucket, objects(bucket, "s3:PutObject", Effect="Deny", Condition=condition))
    path = f"/{bucket}/a"
    assert answered(hoisting(s3.server.endpoint, "PUT", path), "PUT", b"1")[0] == 403
    url = hoisting(s3.server.endpoint, "PUT", path, x_amz_server_side_encryption="AES256")
    assert answered(url, "PUT", b"1")[0] == 200


@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-amz-meta-a:b"])
def test_a_query_cannot_bring_what_no_header_could_hold(s3: S3, name: str) -> None:
    value = "1" if ":" in name else "1\r\nset-cookie: 2"
    url = hoisting(s3.server.endpoint, "PUT", f"/{s3.bucket()}/a", **{name: value})
    status, text = answered(url, "PUT", b"1")
    assert (status, b"<Code>InvalidArgument</Code>" in text) == (400, True)
