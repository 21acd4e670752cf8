"""botocore signs, Casemate verifies: every request that a real client can send, in every form."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSPreparedRequest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from signature_support import KEY_ID, SECRET, Request, check, sign

from casemate.errors import AwsError
from casemate.gate import claim as claim_module
from casemate.gate.auth_errors import Family
from casemate.gate.claim import forget_scopes, read_claim

METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
TEXTS = st.text(max_size=12)
# What clients put into a URL is percent-encoded first; ``/``, ``.`` and ``//`` arise often.
PATHS = st.lists(
    st.sampled_from(["/", "//", ".", "..", "a", "%", "+", " ", "é", "~", "="]) | TEXTS, max_size=8
).map(lambda parts: "/" + quote("".join(parts).lstrip("/").encode("utf-8", "surrogatepass"), safe="/~"))
QUERIES = st.lists(st.tuples(TEXTS.filter(bool), TEXTS), max_size=5).map(
    lambda pairs: "&".join(
        quote(name.encode("utf-8", "surrogatepass"), safe="~")
        + ("=" + quote(value.encode("utf-8", "surrogatepass"), safe="~") if value else "")
        for name, value in pairs
    )
)
NAMES = st.from_regex(r"x-[a-z0-9-]{1,10}", fullmatch=True).filter(
    # Those that mean something to the signature itself; x-amz-date and its like are the signer's to set.
    lambda name: not name.startswith("x-amz-")
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4)
BODIES = st.binary(max_size=300)
TOKENS = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
HOSTS = st.sampled_from(["localhost:4566", "kms.us-east-1.amazonaws.com", "127.0.0.1:80", "[::1]:4566"])


def url_of(host: str, path: str, query: str) -> str:
    return f"http://{host}{path}" + ("?" + query if query else "")


@settings(max_examples=200, deadline=None)
@given(METHODS, HOSTS, PATHS, QUERIES, HEADERS, BODIES, TOKENS)
@example("GET", "localhost:4566", "/a//b/../c%2Fd/./", "b=&a&a=1&a%2B=%20&A=~", {}, b"", None)
def test_header_form(
    method: str, host: str, path: str, query: str, headers: dict[str, str], body: bytes, token: str | None
) -> None:
    request = sign(url_of(host, path, query), method, body, headers, token=token)
    claim, payload = check(request)
    assert (claim.scope.access_key_id, claim.scope.region, claim.scope.service) == (
        KEY_ID,
        "us-east-1",
        "kms",
    )
    assert claim.session_token == token
    assert payload.kind == "body", "boto3 declares no hash to services other than S3"


@settings(max_examples=150, deadline=None)
@given(METHODS, HOSTS, PATHS, QUERIES, HEADERS, BODIES, TOKENS)
@example("PUT", "localhost:4566", "/b/../a//.%2F", "uploads", {"x-a": "1  2   3"}, b"x", "t")
def test_s3_header_form(
    method: str, host: str, path: str, query: str, headers: dict[str, str], body: bytes, token: str | None
) -> None:
    request = sign(
        url_of(host, path, query), method, body, headers, signer=S3SigV4Auth, service="s3", token=token
    )
    claim, payload = check(request, "s3")
    assert claim.session_token == token
    assert payload.declared == sha256(body).hexdigest().encode()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["GET", "POST"]), PATHS, QUERIES, HEADERS, BODIES, TOKENS, st.integers(120, 604800))
def test_query_form(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, token: str | None, expires: int
) -> None:
    request = sign(
        url_of("sts.amazonaws.com", path, query),
        method,
        b"",
        headers,
        signer=SigV4QueryAuth,
        service="sts",
        token=token,
        expires=expires,
    )
    claim, payload = check(request, "query")
    assert (claim.form, claim.session_token, payload.kind) == ("query", token, "body")
    if body:
        # The empty body's hash is signed: nobody can add one.
        with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
            check(Request(request.method, request.path, request.query, request.headers, body), "query")


@settings(max_examples=100, deadline=None)
@given(METHODS, PATHS, QUERIES, BODIES, TOKENS, st.integers(120, 604800))
def test_s3_query_form(
    method: str, path: str, query: str, body: bytes, token: str | None, expires: int
) -> None:
    request = sign(
        url_of("s3.amazonaws.com", path, query),
        method,
        b"",
        signer=S3SigV4QueryAuth,
        service="s3",
        token=token,
        expires=expires,
    )
    # Any body goes with it: a presigned URL's payload is unsigned.
    sent = Request(request.method, request.path, request.query, request.headers, body)
    claim, payload = check(sent, "s3")
    assert (claim.form, claim.session_token, payload.kind) == ("query", token, "unsigned")


def test_s3_unsigned_payload() -> None:
    context: dict[str, Any] = {
        "has_streaming_input": True,
        "checksum": {"request_algorithm": {"in": "header", "name": "x-amz-checksum-crc32"}},
    }
    request = sign(
        "https://s3.amazonaws.com/b/k",
        "PUT",
        b"data",
        {"x-amz-checksum-crc32": "AAAAAA=="},
        signer=S3SigV4Auth,
        service="s3",
        context=context,
    )
    assert request.headers[b"x-amz-content-sha256"] == b"UNSIGNED-PAYLOAD", "the case that this is about"
    assert check(request, "s3")[1].kind == "unsigned"


def test_s3_streaming_trailer_head() -> None:
    context: dict[str, Any] = {
        "checksum": {
            "request_algorithm": {"in": "trailer", "algorithm": "crc32", "name": "x-amz-checksum-crc32"}
        }
    }
    request = sign(
        "https://s3.amazonaws.com/b/k",
        "PUT",
        b"ignored",
        {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": "7"},
        signer=S3SigV4Auth,
        service="s3",
        context=context,
    )
    assert request.headers[b"x-amz-content-sha256"] == b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert check(request, "s3")[1].kind == "unsigned-trailer"


def captured(service: str, operation: str, arguments: dict[str, Any]) -> Request:
    """What boto3 itself puts on the wire for a call."""
    client: Any = boto3.client(
        service,  # type: ignore[call-overload]
        "us-east-1",
        endpoint_url="http://localhost:4566",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )
    sent: list[AWSPreparedRequest] = []

    class Captured(Exception):
        pass

    def keep(request: AWSPreparedRequest, **_: Any) -> None:
        sent.append(request)
        raise Captured

    client.meta.events.register("before-send", keep)
    with pytest.raises(Captured):
        getattr(client, operation)(**arguments)
    request = sent[0]
    headers = {b"host": b"localhost:4566"}
    for name, value in request.headers.items():
        headers[name.lower().encode()] = value if isinstance(value, bytes) else str(value).encode()
    path, _, query = request.url.removeprefix("http://localhost:4566").partition("?")
    body: Any = request.body or b""
    body = body.read() if hasattr(body, "read") else body
    body = body.encode() if isinstance(body, str) else bytes(body)
    return Request(str(request.method), path.encode(), query.encode(), headers, body)


CALLS: list[tuple[str, str, dict[str, Any], Family]] = [
    ("kms", "encrypt", {"KeyId": "alias/a", "Plaintext": b"x"}, "json"),
    ("sts", "get_caller_identity", {}, "query"),
    ("ec2", "describe_volumes", {"VolumeIds": ["vol-1"]}, "ec2"),
    (
        "lambda",
        "get_function",
        {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:a b"},
        "rest-json",
    ),
    ("lambda", "list_tags", {"Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}, "rest-json"),
    ("s3", "put_object", {"Bucket": "bucket", "Key": "a//../ü +%2F", "Body": b"x"}, "s3"),
    ("s3", "list_objects_v2", {"Bucket": "bucket", "Prefix": "a b+c/=&ü", "Delimiter": "/"}, "s3"),
    ("route53", "list_tags_for_resource", {"ResourceType": "hostedzone", "ResourceId": "Z1"}, "query"),
]


@pytest.mark.parametrize(("service", "operation", "arguments", "family"), CALLS)
def test_boto3_calls(service: str, operation: str, arguments: dict[str, Any], family: Family) -> None:
    request = captured(service, operation, arguments)
    claim, _ = check(request, family)
    assert claim.scope.service == service
    with pytest.raises(AwsError):
        check(request, family, secret="another")


@pytest.mark.parametrize("signer", [SigV4Auth, S3SigV4Auth])
def test_remembered_scope_verifies_as_a_new_one(signer: type[SigV4Auth]) -> None:
    service: str = "s3" if signer is S3SigV4Auth else "kms"
    family: Family = "s3" if service == "s3" else "json"
    forget_scopes()
    first, _ = check(sign(signer=signer, service=service), family)
    again, _ = check(sign(signer=signer, service=service, body=b"more"), family)
    assert again.scope is first.scope, "what was verified is remembered"
    with pytest.raises(AwsError):
        check(sign(signer=signer, service=service), family, secret="rotated")
    check(sign(signer=signer, service=service), family)


def test_only_what_was_verified_is_remembered() -> None:
    forget_scopes()
    request = sign()
    with pytest.raises(AwsError):
        check(request, secret="another")
    claims = [read_claim(request.method, request.query, request.headers) for _ in range(2)]
    assert claims[0] is not None
    assert claims[1] is not None
    assert claims[0].scope is not claims[1].scope, "nobody without a key fills the cache"


def test_memory_of_scopes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "_MAX_SCOPES", 3)
    forget_scopes()
    for number in range(8):
        check(sign(headers={f"x-a{number}": "1"}))
        assert len(claim_module._scopes) <= 3
    forget_scopes()
    check(sign(headers={f"x-{number:040}": "1" for number in range(30)}))
    assert not claim_module._scopes, "an oversized list of signed headers is not kept"


def test_repr_holds_no_secret() -> None:
    claim, _ = check(sign(token="tokentoken"))
    shown = f"{claim!r} {claim.scope!r} {claim.scope.key!r}"
    assert KEY_ID in shown
    assert SECRET not in shown
    assert "tokentoken" not in shown
    assert claim.signature.decode() not in shown
