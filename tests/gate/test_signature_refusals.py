"""Every way to be wrong, in every family of services: provoked for real, and answered as AWS answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, get_args

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from signature_support import KEY_ID, SECRET, Request, check, sign

from casemate.errors import AwsError
from casemate.gate.auth_errors import FAMILIES, TABLE, Family, Kind, auth_error, family_of, guess_family
from casemate.gate.claim import read_claim
from casemate.gate.signature import check_scope, payload_of

SERVICE: dict[Family, str] = {
    "json": "kms",
    "rest-json": "lambda",
    "query": "iam",
    "ec2": "ec2",
    "s3": "s3",
}


def header_form(family: Family, **options: Any) -> Request:
    signer: type[SigV4Auth] = S3SigV4Auth if family == "s3" else SigV4Auth
    return sign(signer=signer, service=SERVICE[family], **options)


def query_form(family: Family, expires: int = 600) -> Request:
    signer: type[SigV4Auth] = S3SigV4QueryAuth if family == "s3" else SigV4QueryAuth
    url = "http://localhost:4566/?Action=X"
    return sign(url, "GET", b"", signer=signer, service=SERVICE[family], expires=expires)


def without(request: Request, name: bytes) -> Request:
    kept = [part for part in request.query.split(b"&") if not part.startswith(name + b"=")]
    return Request(request.method, request.path, b"&".join(kept), request.headers, request.body)


def with_expires(request: Request, value: bytes) -> Request:
    short = without(request, b"X-Amz-Expires")
    query = short.query + b"&X-Amz-Expires=" + value
    return Request(short.method, short.path, query, short.headers, short.body)


def scope_check(family: Family, service: str, regions: frozenset[str]) -> None:
    request = header_form(family)
    claim = read_claim(request.method, request.query, request.headers, family)
    assert claim is not None
    check_scope(claim, family, service, regions)


def unsigned_host(family: Family) -> None:
    check(header_form(family).swapped(b"host;", b""), family)


def in_query(family: Family, old: bytes, new: bytes) -> None:
    request = query_form(family)
    assert old in request.query
    query = request.query.replace(old, new)
    check(Request(request.method, request.path, query, request.headers), family)


PROVOKE: dict[Kind, Callable[[Family], object]] = {
    "malformed-header": lambda family: check(header_form(family).swapped(b"Signature=", b"Sign="), family),
    "malformed-credential": lambda family: check(header_form(family).swapped(b"/aws4_request", b""), family),
    "malformed-query": lambda family: check(without(query_form(family), b"X-Amz-Date"), family),
    "unsupported-scheme": lambda family: check(
        header_form(family).with_headers(authorization=b"Bearer abc"), family
    ),
    "unsupported-algorithm": lambda family: check(
        header_form(family).swapped(b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"), family
    ),
    "signature-v2": lambda family: check(
        header_form(family).with_headers(authorization=b"AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl"), family
    ),
    "two-mechanisms": lambda family: check(
        query_form(family).with_headers(authorization=header_form(family).headers[b"authorization"]), family
    ),
    "missing-date": lambda family: check(header_form(family).with_headers(x_amz_date=None), family),
    "malformed-date": lambda family: check(
        header_form(family).with_headers(x_amz_date=b"2026-11-23T10:00:00Z"), family
    ),
    "malformed-query-date": lambda family: in_query(family, b"X-Amz-Date=", b"X-Amz-Date=9"),
    "expires-not-a-number": lambda family: check(with_expires(query_form(family), b"1h"), family),
    "expires-negative": lambda family: check(with_expires(query_form(family), b"-1"), family),
    "expires-too-long": lambda family: check(with_expires(query_form(family), b"604801"), family),
    "scope-date": lambda family: check(
        header_form(family).with_headers(x_amz_date=b"20130524T000000Z"), family, now=1369353600
    ),
    "scope-region": lambda family: scope_check(family, SERVICE[family], frozenset({"eu-west-1"})),
    "scope-service": lambda family: scope_check(family, "sqs", frozenset({"us-east-1"})),
    "scope-terminator": lambda family: check(
        header_form(family).swapped(b"/aws4_request", b"/aws5_request"), family
    ),
    "unsigned-host": unsigned_host,
    "unsigned-headers": lambda family: check(header_form(family).with_headers(x_amz_acl=b"public"), family),
    "signature-mismatch": lambda family: check(header_form(family), family, secret="another"),
    "expired": lambda family: check(header_form(family), family, now=time.time() + 905),
    "not-yet-current": lambda family: check(header_form(family), family, now=time.time() - 905),
    "query-expired": lambda family: check(query_form(family), family, now=time.time() + 605),
    "query-not-yet-current": lambda family: check(query_form(family), family, now=time.time() - 905),
    "invalid-content-sha256": lambda family: check(
        header_form(family).with_headers(x_amz_content_sha256=b"E3B0"), family
    ),
}

# Only what belongs to S3 alone.
PROVOKE_S3: dict[Kind, Callable[[], object]] = {
    "missing-content-sha256": lambda: check(header_form("s3").with_headers(x_amz_content_sha256=None), "s3"),
    "content-sha256-mismatch": lambda: check(with_body(header_form("s3"), b"another"), "s3"),
}

# What the gate finds out, not the signature.
GATES: tuple[Kind, ...] = ("missing-token", "unknown-key", "inactive-key", "expired-token", "invalid-token")

INCOMPLETE: tuple[Kind, ...] = (
    "malformed-header",
    "malformed-credential",
    "malformed-query",
    "unsupported-scheme",
    "unsupported-algorithm",
    "signature-v2",
    "two-mechanisms",
    "missing-date",
    "malformed-date",
    "malformed-query-date",
    "expires-not-a-number",
    "expires-negative",
    "expires-too-long",
    "missing-content-sha256",
    "invalid-content-sha256",
)
TIMES: tuple[Kind, ...] = ("expired", "not-yet-current", "query-expired", "query-not-yet-current")

S3_ANSWERS: dict[Kind, tuple[str, int]] = {
    "missing-token": ("AccessDenied", 403),
    "malformed-header": ("AuthorizationHeaderMalformed", 400),
    "malformed-credential": ("AuthorizationHeaderMalformed", 400),
    "malformed-query": ("AuthorizationQueryParametersError", 400),
    "unsupported-scheme": ("InvalidArgument", 400),
    "unsupported-algorithm": ("InvalidRequest", 400),
    "signature-v2": ("InvalidRequest", 400),
    "two-mechanisms": ("InvalidArgument", 400),
    "missing-date": ("AccessDenied", 403),
    "malformed-date": ("AccessDenied", 403),
    "malformed-query-date": ("AuthorizationQueryParametersError", 400),
    "expires-not-a-number": ("AuthorizationQueryParametersError", 400),
    "expires-negative": ("AuthorizationQueryParametersError", 400),
    "expires-too-long": ("AuthorizationQueryParametersError", 400),
    "scope-date": ("AuthorizationHeaderMalformed", 400),
    "scope-region": ("AuthorizationHeaderMalformed", 400),
    "scope-service": ("AuthorizationHeaderMalformed", 400),
    "scope-terminator": ("AuthorizationHeaderMalformed", 400),
    "unsigned-host": ("AccessDenied", 403),
    "unsigned-headers": ("AccessDenied", 403),
    "signature-mismatch": ("SignatureDoesNotMatch", 403),
    "expired": ("RequestTimeTooSkewed", 403),
    "not-yet-current": ("RequestTimeTooSkewed", 403),
    "query-expired": ("AccessDenied", 403),
    "query-not-yet-current": ("AccessDenied", 403),
    "unknown-key": ("InvalidAccessKeyId", 403),
    "inactive-key": ("InvalidAccessKeyId", 403),
    "expired-token": ("ExpiredToken", 400),
    "invalid-token": ("InvalidToken", 400),
    "missing-content-sha256": ("InvalidRequest", 400),
    "invalid-content-sha256": ("InvalidArgument", 400),
    "content-sha256-mismatch": ("XAmzContentSHA256Mismatch", 400),
}


def expected(family: Family, kind: Kind) -> tuple[str, int]:
    """AWS's code and status, written down once more by rule, apart from the table under test."""
    if family == "s3":
        return S3_ANSWERS[kind]
    if family in ("json", "rest-json"):
        status = 400 if family == "json" else 403
        if kind in INCOMPLETE:
            return "IncompleteSignatureException", status
        return {
            "missing-token": "MissingAuthenticationTokenException",
            "unknown-key": "UnrecognizedClientException",
            "inactive-key": "UnrecognizedClientException",
            "invalid-token": "UnrecognizedClientException",
            "expired-token": "ExpiredTokenException",
        }.get(kind, "InvalidSignatureException"), status
    if kind in INCOMPLETE:
        return "IncompleteSignature", 400
    if family == "query":
        return {
            "missing-token": "MissingAuthenticationToken",
            "unknown-key": "InvalidClientTokenId",
            "inactive-key": "InvalidClientTokenId",
            "invalid-token": "InvalidClientTokenId",
            "expired-token": "ExpiredToken",
        }.get(kind, "SignatureDoesNotMatch"), 403
    if kind == "missing-token":
        return "MissingParameter", 400
    return ("RequestExpired", 400) if kind in (*TIMES, "expired-token") else ("AuthFailure", 401)


def with_body(request: Request, body: bytes) -> Request:
    return Request(request.method, request.path, request.query, request.headers, body)


def refusal(act: Callable[[], object]) -> AwsError:
    with pytest.raises(AwsError) as caught:
        act()
    error = caught.value
    shown = f"{error} {error.fields} {error!r}"
    assert SECRET not in shown
    return error


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_refusals_start_from_is_good(family: Family) -> None:
    check(header_form(family), family)
    check(query_form(family), family)
    scope_check(family, SERVICE[family], frozenset({"us-east-1"}))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", PROVOKE)
def test_refusal(kind: Kind, family: Family) -> None:
    error = refusal(lambda: PROVOKE[kind](family))
    assert (error.code, error.status) == expected(family, kind), kind
    assert error.message, "AWS says why"
    template = TABLE[family][kind].text
    assert error.message.startswith(template.partition("{")[0]), "the text is this kind's"


@pytest.mark.parametrize("kind", PROVOKE_S3)
def test_refusal_s3(kind: Kind) -> None:
    error = refusal(PROVOKE_S3[kind])
    assert (error.code, error.status) == expected("s3", kind), kind


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", GATES)
def test_refusal_by_the_gate(kind: Kind, family: Family) -> None:
    error = auth_error(family, kind, AWSAccessKeyId=KEY_ID)
    assert (error.code, error.status) == expected(family, kind)


def test_every_kind_is_in_every_family_and_tested() -> None:
    kinds = set(get_args(Kind))
    assert {family: set(TABLE[family]) ^ kinds for family in FAMILIES} == {
        family: set() for family in FAMILIES
    }
    assert {*PROVOKE, *PROVOKE_S3, *GATES} == kinds


# --- the texts that people search the web for


def test_texts() -> None:
    def text(kind: Kind, family: Family = "json") -> str:
        return refusal(lambda: PROVOKE[kind](family)).message

    assert text("signature-mismatch") == (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
        "Access Key and signing method. Consult the service documentation for details."
    )
    assert text("scope-region") == "Credential should be scoped to a valid region."
    assert text("scope-service") == "Credential should be scoped to correct service: 'sqs'."
    assert text("scope-region", "s3") == (
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"
    )
    assert text("signature-v2", "s3") == (
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )
    assert text("unsigned-headers") == "'x-amz-acl' must be a 'SignedHeader' in the AWS Authorization."
    assert text("missing-date") == (
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
    )
    assert text("scope-date").startswith(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20"
    )
    assert text("scope-date").endswith("' != '20130524', from '20130524T000000Z'.")


def test_incomplete_header_lists_what_is_missing_and_echoes_nothing() -> None:
    request = Request(headers={b"authorization": b"AWS4-HMAC-SHA256 Foo=secretsecret", b"host": b"h"})
    message = refusal(lambda: check(request)).message
    assert message.startswith(
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either "
        "a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization="
    )
    assert "secretsecret" not in message


def test_expired_text_names_the_times() -> None:
    request = header_form("json")
    signed = request.headers[b"x-amz-date"].decode()
    error = refusal(lambda: check(request, now=4_000_000_000))
    assert error.message == (
        f"Signature expired: {signed} is now earlier than 20961002T065140Z (20961002T070640Z - 15 min.)"
    )
    early = refusal(lambda: check(request, now=1_000_000_000)).message
    assert early == f"Signature not yet current: {signed} is still later than 20010909T020140Z " + (
        "(20010909T014640Z + 15 min.)"
    )


def test_s3_members() -> None:
    request = header_form("s3")
    error = refusal(lambda: check(request, "s3", secret="another"))
    assert error.fields["AWSAccessKeyId"] == KEY_ID
    assert error.fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20")
    assert error.fields["SignatureProvided"] == request.headers[b"authorization"][-64:].decode()
    skewed = refusal(lambda: check(request, "s3", now=0))
    assert skewed.fields["ServerTime"] == "1970-01-01T00:00:00Z"
    assert skewed.fields["MaxAllowedSkewMilliseconds"] == "900000"
    region = refusal(lambda: scope_check("s3", "s3", frozenset({"eu-west-1"})))
    assert region.fields == {"Region": "eu-west-1"}, "SDKs follow it to the right region"
    unsigned = refusal(lambda: check(request.with_headers(x_amz_acl=b"a", x_amz_meta_b=b"c"), "s3"))
    assert unsigned.fields == {"HeadersNotSigned": "x-amz-acl, x-amz-meta-b"}


@pytest.mark.parametrize("seconds", [-899, 0, 899])
def test_skew_that_is_allowed(seconds: int) -> None:
    check(header_form("json"), now=time.time() + seconds)


def test_sts_ignores_expires() -> None:
    """EKS's and Vault's tokens carry X-Amz-Expires=60 and are used for up to 15 minutes."""
    url = "http://localhost:4566/?Action=GetCallerIdentity&Version=2011-06-15"
    request = sign(url, "GET", b"", signer=SigV4QueryAuth, service="sts", expires=60)
    check(request, "query", now=time.time() + 890)
    assert refusal(lambda: check(request, "query", now=time.time() + 905)).code == "SignatureDoesNotMatch"
    other = sign(url, "GET", b"", signer=SigV4QueryAuth, service="iam", expires=60)
    assert refusal(lambda: check(other, "query", now=time.time() + 65)).code == "SignatureDoesNotMatch"


def test_presigned_without_expires() -> None:
    error = refusal(lambda: check(without(query_form("s3"), b"X-Amz-Expires"), "s3"))
    assert error.code == "AuthorizationQueryParametersError"
    # Elsewhere it is not needed; here the signature had covered it.
    assert (
        refusal(lambda: check(without(query_form("json"), b"X-Amz-Expires"))).code
        == "InvalidSignatureException"
    )


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (b"X-Amz-Algorithm=AWS4-HMAC", b"X-Amz-Algorithm=AWS4-ECDSA", "X-Amz-Algorithm only supports"),
        (
            b"%2Faws4_request",
            b"%2Faws5_request",
            "Error parsing the X-Amz-Credential parameter; incorrect term",
        ),
        (
            b"%2Faws4_request",
            b"",
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed",
        ),
        (
            b"X-Amz-SignedHeaders=host",
            b"X-Amz-SignedHeaders=host%3B",
            "Query-string authentication version 4",
        ),
        (b"X-Amz-Date=", b"X-Amz-Date=20130524T000000Z&X-Amz-Date=", "Query-string authentication version 4"),
    ],
)
def test_presigned_s3_texts(old: bytes, new: bytes, text: str) -> None:
    error = refusal(lambda: in_query("s3", old, new))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert error.message.startswith(text)


def test_signature_v2_in_the_query() -> None:
    request = Request("GET", b"/b/k", b"AWSAccessKeyId=A&Signature=c2ln&Expires=1", {b"host": b"h"})
    assert refusal(lambda: check(request, "s3")).code == "InvalidRequest"


@pytest.mark.parametrize("header", [b"x-amz-target", b"x-amz-security-token", b"x-amz-meta-a", b"x-amz-date"])
@pytest.mark.parametrize("family", FAMILIES)
def test_added_headers_must_be_signed(header: bytes, family: Family) -> None:
    request = query_form(family).with_headers(**{header.decode().replace("-", "_"): b"x"})
    assert refusal(lambda: check(request, family)).code == expected(family, "unsigned-headers")[0]


def test_unsigned_headers_that_may_be_added() -> None:
    request = header_form("json").with_headers(
        user_agent=b"changed", x_amzn_trace_id=b"Root=1", x_forwarded_for=b"::1", range=b"bytes=0-1"
    )
    check(request)


def test_json_services_take_no_unsigned_payload() -> None:
    request = sign(headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert refusal(lambda: check(request)).code == "IncompleteSignatureException"
    claim = read_claim(request.method, request.query, request.headers)
    payload = payload_of(claim, "json", request.headers, unsigned_allowed=True)
    assert payload.kind == "unsigned", "but for operations that are modelled so"
    streaming = request.with_headers(x_amz_content_sha256=b"STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    with pytest.raises(AwsError):
        payload_of(claim, "json", streaming.headers, unsigned_allowed=True)


def test_declared_hash_elsewhere_than_s3() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    request = sign(body=b"", headers={"x-amz-content-sha256": empty})
    check(request)
    assert refusal(lambda: check(with_body(request, b"added"))).code == "InvalidSignatureException"


def test_anonymous() -> None:
    assert read_claim("GET", b"", {b"host": b"h"}) is None
    assert read_claim("GET", b"Signature=a&X-Amz-Date=b", {b"host": b"h"}) is None


# --- every byte


@pytest.mark.parametrize("family", FAMILIES)
def test_every_changed_byte_is_refused(family: Family) -> None:
    request = header_form(
        family,
        url="http://localhost:4566/a/b?x=1&y=%20",
        body=b"body",
        headers={"content-type": "text/x"},
        token="tok",
    )
    check(request, family)
    changed = 0
    for name in ("path", "query", "body"):
        value: bytes = getattr(request, name)
        for at in range(len(value)):
            fields = {**vars(request), name: flipped(value, at)}
            refusal(lambda fields=fields: check(Request(**fields), family))  # type: ignore[misc]
            changed += 1
    for header, content in request.headers.items():
        for at in range(len(content)):
            headers = {**request.headers, header: flipped(content, at)}
            fields = {**vars(request), "headers": headers}
            refusal(lambda fields=fields: check(Request(**fields), family))  # type: ignore[misc]
            changed += 1
    for header in request.headers:
        headers = {name: content for name, content in request.headers.items() if name != header}
        fields = {**vars(request), "headers": headers}
        if header != b"authorization":
            refusal(lambda fields=fields: check(Request(**fields), family))  # type: ignore[misc]
    refusal(lambda: check(Request(**{**vars(request), "method": "PUT"}), family))
    assert changed > 250, "all of it was tried"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_changed_byte_of_a_presigned_url_is_refused(family: Family) -> None:
    request = query_form(family)
    for at in range(len(request.query)):
        query = flipped(request.query, at)
        refusal(lambda query=query: check(Request("GET", b"/", query, request.headers), family))  # type: ignore[misc]


def flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


# --- families


def test_families() -> None:
    assert family_of("json", "kms") == "json"
    assert family_of("smithy-rpc-v2-cbor", "cloudwatch") == "json"
    assert family_of("rest-xml", "route53") == "query"
    assert family_of("rest-xml", "s3") == "s3"
    assert guess_family("POST", {b"x-amz-target": b"TrentService.Encrypt"}) == "json"
    assert (
        guess_family("POST", {b"content-type": b"application/x-www-form-urlencoded; charset=utf-8"})
        == "query"
    )
    assert guess_family("PUT", {}) == "s3"
    assert guess_family("POST", {b"x-amz-content-sha256": b""}) == "s3"
    assert guess_family("POST", {b"content-type": b"application/json"}) == "rest-json"
    assert guess_family("POST", {}) == "query"
