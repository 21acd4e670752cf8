"""Uploads by a browser's form, and the policies that bind them."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config as ClientConfig
from hypothesis import given
from hypothesis import strategies as st
from s3_support import S3, access_key, allow, refused
from test_s3_object_access import objects
from test_s3_policies import put, unblocked

from casemate.errors import AwsError
from casemate.services.s3.form import MOST_FIELDS, boundary_of, read_form
from casemate.services.s3.post_policy import check, parse

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


def encoded(fields: Iterable[tuple[str, str]], file: bytes | None, filename: str = "cat.jpg") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    if file is not None:
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
            f"Content-Type: image/jpeg\r\n\r\n".encode()
            + file
            + b"\r\n"
        )
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(
    url: str,
    fields: Mapping[str, str],
    file: bytes | None = b"hello",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> tuple[int, Message, str]:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    data = encoded(fields.items(), file, **more)
    request = urllib.request.Request(url, data, {"Content-Type": kind, **(headers or {})}, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def presigned(
    s3: S3, bucket: str, key: str, conditions: Any = None, user: str = "admin", **fields: str
) -> tuple[str, dict[str, str]]:
    """boto3's form: where it goes, and its fields."""
    keys = access_key(user)
    client = boto3.client(
        "s3",
        aws_access_key_id=keys.id,
        aws_secret_access_key=keys.secret,
        region_name="us-east-1",
        endpoint_url=s3.server.endpoint,
        config=ClientConfig(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    conditions = [*(conditions or []), *({name: value} for name, value in fields.items())]
    made = client.generate_presigned_post(bucket, key, Fields=fields, Conditions=conditions, ExpiresIn=600)
    return made["url"], made["fields"]


@pytest.mark.parametrize("content", [b"", b"hello", os.urandom(3_000_000)], ids=["nothing", "small", "large"])
def test_a_form_makes_an_object(s3: S3, content: bytes) -> None:
    client, bucket = s3.of(), s3.bucket()
    url, fields = presigned(
        s3, bucket, "user/${filename}", **{"Content-Type": "image/jpeg", "x-amz-meta-who": "me"}
    )
    status, headers, text = post(url, fields, content)
    assert (status, text) == (204, "")
    got = client.get_object(Bucket=bucket, Key="user/cat.jpg")
    assert got["Body"].read() == content
    assert got["ContentLength"] == len(content)
    assert got["ContentType"] == "image/jpeg"
    assert got["Metadata"] == {"who": "me"}
    assert headers["etag"] == got["ETag"]
    (entry,) = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["Size"] == len(content)


def test_what_the_answer_is_like(s3: S3) -> None:
    bucket = s3.bucket()
    url, fields = presigned(s3, bucket, "a b", success_action_status="201")
    status, headers, text = post(url, fields)
    assert status == 201
    assert f"<Bucket>{bucket}</Bucket><Key>a b</Key>" in text
    assert headers["content-type"] == "application/xml"
    url, fields = presigned(s3, bucket, "a b", success_action_redirect="https://example.com/done?x=1")
    status, headers, _ = post(url, fields)
    assert status == 303
    assert headers["location"].startswith("https://example.com/done?x=1&")
    query = parse_qs(urlsplit(headers["location"]).query)
    assert query["bucket"] == [bucket]
    assert query["key"] == ["a b"]
    url, fields = presigned(s3, bucket, "a b", success_action_status="200", success_action_redirect="not one")
    assert post(url, fields)[0] == 200


def test_what_a_form_may_say_of_its_object(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    tagging = "<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>"
    url, fields = presigned(
        s3,
        bucket,
        "k",
        **{"tagging": tagging, "x-amz-server-side-encryption": "aws:kms", "Cache-Control": "no-store"},
    )
    assert post(url, fields)[0] == 204
    told = client.head_object(Bucket=bucket, Key="k")
    assert told["ServerSideEncryption"] == "aws:kms"
    assert told["CacheControl"] == "no-store"
    # The request may have started again when KMS was asked: its file is there still.
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    assert client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "team", "Value": "red"}]
    for name, value, code in (
        ("tagging", "<Tagging>", "MalformedXML"),
        ("x-amz-storage-class", "SLOW", "InvalidStorageClass"),
        ("acl", "public-read", "AccessControlListNotSupported"),
    ):
        url, fields = presigned(s3, bucket, "l", **{name: value})
        status, _, text = post(url, fields)
        assert status == 400
        assert f"<Code>{code}</Code>" in text
    with refused("404", status=404):
        client.head_object(Bucket=bucket, Key="l")


def test_the_file_has_a_size(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    url, fields = presigned(s3, bucket, "k", [["content-length-range", 3, 100_000]])
    status, _, text = post(url, fields, b"ab")
    assert (status, "<Code>EntityTooSmall</Code>" in text) == (400, True)
    for size in (100_001, 400_000):
        status, _, text = post(url, fields, bytes(size))
        assert (status, "<Code>EntityTooLarge</Code>" in text) == (400, True)
    with refused("404", status=404):
        client.head_object(Bucket=bucket, Key="k")
    assert post(url, fields, bytes(100_000))[0] == 204


def test_all_conditions_on_the_size_hold(s3: S3) -> None:
    bucket = s3.bucket()
    ranges = [["content-length-range", 0, 3], ["content-length-range", 2, 1000]]
    url, fields = presigned(s3, bucket, "k", ranges)
    assert [post(url, fields, bytes(size))[0] for size in (1, 2, 3, 4)] == [400, 204, 204, 400]


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-amz-meta-a", "1\r\nset-cookie: 2"), ("x-amz-meta-a b", "1"), ("Content-Type", "text/html\n")],
)
def test_a_form_cannot_bring_what_no_header_could_hold(s3: S3, name: str, value: str) -> None:
    url, fields = presigned(s3, s3.bucket(), "k", **{name: value})
    status, _, text = post(url, fields)
    assert (status, "<Code>InvalidArgument</Code>" in text) == (400, True), text


def test_forms_that_do_not_hold(s3: S3) -> None:
    bucket = s3.bucket()
    url, fields = presigned(
        s3, bucket, "k", [["starts-with", "$x-amz-meta-a", "b"]], acl="bucket-owner-full-control"
    )
    good = fields | {"x-amz-meta-a": "bcd"}
    assert post(url, good)[0] == 204
    for change, wanted, code in (
        ({"x-amz-meta-a": "cd"}, 'Policy Condition failed: ["starts-with", "$x-amz-meta-a", "b"]', 403),
        ({"acl": "private"}, 'Policy Condition failed: ["eq", "$acl", "bucket-owner-full-control"]', 403),
        ({"key": "other"}, 'Policy Condition failed: ["eq", "$key", "k"]', 403),
        ({"x-amz-meta-c": "1"}, "Extra input fields: x-amz-meta-c", 403),
        ({"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch", 403),
        ({"x-amz-credential": good["x-amz-credential"].replace("AKIA", "AKIB")}, "InvalidAccessKeyId", 403),
        ({"x-amz-algorithm": "AWS4-HMAC-SHA1"}, "<Error>", 400),
        ({"policy": good["policy"][:-4]}, "SignatureDoesNotMatch", 403),
    ):
        status, _, text = post(url, good | change)
        assert status == code, text
        assert wanted in text.replace("&quot;", '"')
    for name in ("x-amz-signature", "x-amz-date", "x-amz-credential", "policy", "x-amz-algorithm"):
        status, _, text = post(url, {key: value for key, value in good.items() if key != name})
        assert status == 400
        assert f"Bucket POST must contain a field named '{name}'." in text
    other = s3.bucket()
    status, _, text = post(url.replace(bucket, other), good)
    assert status == 403
    assert 'Policy Condition failed: ["eq", "$bucket"' in text.replace("&quot;", '"')
    assert post(url, good | {"x-ignore-me": "1"})[0] == 204


def test_forms_that_are_none(s3: S3) -> None:
    bucket = s3.bucket()
    url, fields = presigned(s3, bucket, "k")
    status, _, text = post(url, fields, None)
    assert (status, "IncorrectNumberOfFilesInPostRequest" in text) == (400, True)
    status, _, text = post(url, {"x-amz-meta-a": "a" * MOST_FIELDS, **fields})
    assert (status, "MaxPostPreDataLengthExceededError" in text) == (400, True)
    status, _, text = post(f"{url}/key", fields)
    assert status == 405
    status, _, text = post(url, {key: value for key, value in fields.items() if key != "key"})
    assert status == 403


def test_whoever_signed_the_form_must_be_allowed(s3: S3) -> None:
    bucket = s3.bucket()
    s3.may("nobody", allow("s3:ListBucket"))
    url, fields = presigned(s3, bucket, "k", user="nobody")
    status, _, text = post(url, fields)
    assert status == 403
    assert "is not authorized to perform: s3:PutObject" in text
    s3.may("nobody", allow("s3:PutObject", Condition={"StringEquals": {"s3:authType": "POST"}}))
    assert post(url, fields)[0] == 204
    # What a browser sends along proves nothing.
    assert post(url, fields, headers={"Authorization": "x"})[0] == 204
    with refused("AccessDenied", status=403):
        s3.of("nobody").put_object(Bucket=bucket, Key="k", Body=b"1")
    url, fields = presigned(s3, bucket, "k", user="nobody", tagging="<Tagging><TagSet/></Tagging>")
    status, _, text = post(url, fields)
    assert status == 403
    assert "s3:PutObjectTagging" in text


def test_a_form_of_a_session(s3: S3) -> None:
    bucket = s3.bucket()
    made = s3.of(service="sts").get_session_token()["Credentials"]
    client = boto3.client(
        "s3",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
        region_name="us-east-1",
        endpoint_url=s3.server.endpoint,
        config=ClientConfig(signature_version="s3v4"),
    )
    form = client.generate_presigned_post(bucket, "k")
    assert post(form["url"], form["fields"])[0] == 204
    status, _, text = post(form["url"], form["fields"] | {"x-amz-security-token": "x"})
    assert status == 400
    assert "InvalidToken" in text


def test_a_form_of_nobodys(s3: S3) -> None:
    bucket = unblocked(s3)
    url = f"{s3.server.endpoint}/{bucket}"
    status, _, text = post(url, {"key": "k"})
    assert (status, "<Code>AccessDenied</Code>" in text) == (403, True)
    put(s3, bucket, objects(bucket, "s3:PutObject"))
    assert post(url, {"key": "k"})[0] == 204
    assert s3.of().get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    assert post(url, {"key": ""})[0] == 400


# --- the form by itself

FIELD = st.tuples(
    st.text("abcdefgh-", min_size=1, max_size=8).filter(lambda name: name != "file"),
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20),
)


@given(st.lists(FIELD, max_size=5), st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=30))
def test_a_form_is_read_however_it_is_cut(
    fields: list[tuple[str, str]], file: bytes, cuts: list[int]
) -> None:
    data = encoded(fields, file)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(data[at : at + cut])
        at += cut
    pieces.append(data[at:])
    form = read_form(pieces, BOUNDARY.encode())
    wanted: dict[str, str] = {}
    for name, value in fields:
        wanted.setdefault(name, value)
    assert form.fields == wanted
    assert form.filename == "cat.jpg"
    assert b"".join(form.file) == file


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_form_that_is_cut_off_is_told(file: bytes, length: int) -> None:
    data = encoded([("key", "k")], file)
    cut = data[: min(length, len(data) - len(f"--{BOUNDARY}--\r\n"))]
    with pytest.raises(AwsError, match=r"MalformedPOSTRequest|IncorrectNumber"):
        b"".join(read_form((cut,), BOUNDARY.encode()).file)


@given(st.binary(max_size=400))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(AwsError):
        b"".join(read_form((data,), b"x").file)


def test_boundaries() -> None:
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    for bad in ("multipart/form-data", "text/plain; boundary=a", "multipart/form-data; boundary="):
        with pytest.raises(AwsError, match="MalformedPOSTRequest"):
            boundary_of(bad)


def policy(document: Any) -> str:
    return b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"conditions": []},
        {"expiration": "2030-01-01T00:00:00Z"},
        {"expiration": "tomorrow", "conditions": []},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": ["eq"]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [{"acl": 1}]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "acl", "x"]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["ends-with", "$acl", "x"]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", 1]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", "a", "b"]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", 0, float("inf")]]},
    ],
)
def test_policies_that_are_none(document: Any) -> None:
    with pytest.raises(AwsError, match="InvalidPolicyDocument"):
        parse(policy(document))
    with pytest.raises(AwsError, match="InvalidPolicyDocument"):
        parse("%%%")


def test_a_policy_ends() -> None:
    made = parse(policy({"expiration": "2030-01-01T12:00:00.000Z", "conditions": []}))
    assert made.expires == 1_893_499_200.0
    assert (
        parse(policy({"expiration": "2030-01-01T12:00:00+0100", "conditions": []})).expires == 1_893_495_600.0
    )
    assert parse(policy({"expiration": "0001-01-01T00:00:00+2300", "conditions": []})).expires < 0
    check(made, {}, "b", made.expires - 1)
    with pytest.raises(AwsError, match=r"Invalid according to Policy: Policy expired\."):
        check(made, {}, "b", made.expires)


def test_conditions_may_name_a_list_of_types() -> None:
    made = parse(
        policy(
            {"expiration": "2030-01-01T12:00:00Z", "conditions": [["starts-with", "$Content-Type", "image/"]]}
        )
    )
    check(made, {"content-type": "image/png, image/gif"}, "b", 0)
    with pytest.raises(AwsError, match="Policy Condition failed"):
        check(made, {"content-type": "image/png, text/html"}, "b", 0)
    with pytest.raises(AwsError, match="Policy Condition failed"):
        check(made, {}, "b", 0)
