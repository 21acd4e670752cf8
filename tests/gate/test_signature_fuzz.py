"""Whatever comes in as a signature is refused by an AwsError; nothing else is ever raised, and nothing gets in."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from signature_support import SECRET, sign

from casemate.errors import AwsError
from casemate.gate.auth_errors import FAMILIES, Family
from casemate.gate.canonical import canonical_query, normal_path, query_pairs, s3_path, uri_encode
from casemate.gate.claim import read_claim, read_date
from casemate.gate.signature import body_hash, check_scope, payload_of, verify

GOOD = sign(token="token").headers[b"authorization"]
PIECES = [
    b"AWS4-HMAC-SHA256",
    b"AWS",
    b"AWS4-ECDSA-P256-SHA256",
    b" ",
    b",",
    b", ",
    b"=",
    b"Credential=",
    b"Signature=",
    b"SignedHeaders=",
    b"AKIAIOSFODNN7EXAMPLE/20261123/us-east-1/kms/aws4_request",
    b"//// ",
    b"a/20261123/%d/%s/aws4_request",
    b"host;x-amz-date",
    b"host",
    b";",
    b"%b",
    b"%",
    b"0" * 64,
    b"\xff",
    b"{date}",
    b"a/99999999/r/s3/aws4_request",
]
NAMES = [
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    b"X-Amz-Signature",
    b"X-Amz-Date",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Expires",
    b"X-Amz-Security-Token",
    b"X-Amz-Content-Sha256",
    b"AWSAccessKeyId",
    b"Signature",
    b"Expires",
]
CONTENT = [
    b"AWS4-HMAC-SHA256",
    b"a%2F20261123%2Fr%2Fs3%2Faws4_request",
    b"a/20261123/r/kms/aws4_request",
    b"host",
    b"300",
    b"20261123T101112Z",
    b"00000000T000000Z",
    b"-1",
    b"99999999999999999999",
    b"",
    b"%",
    b"%zz",
    b"%ff",
    b"0" * 64,
]
DATES = [
    b"20261123T101112Z",
    b"20261323T101112Z",
    b"00000101T000000Z",
    b"Mon, 23 Nov 2026 10:11:12 GMT",
    b"99991231T235959Z",
]

AUTHORIZATION = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=14).map(b"".join)
MUTATED = st.tuples(st.integers(0, len(GOOD)), st.integers(0, 9), st.sampled_from(PIECES)).map(
    lambda cut: GOOD[: cut[0]] + cut[2] + GOOD[cut[0] + cut[1] :]
)
QUERY = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(CONTENT) | st.binary(max_size=6)).map(b"=".join)
    | st.binary(max_size=8),
    max_size=11,
).map(b"&".join)
COMPLETE = st.fixed_dictionaries({name: st.sampled_from(CONTENT) for name in NAMES[:6]}).map(
    lambda fields: b"&".join(name + b"=" + value for name, value in fields.items())
)
DATE = st.sampled_from(DATES) | st.binary(max_size=32)
HEADERS = st.fixed_dictionaries(
    {b"host": st.binary(max_size=12)},
    optional={
        b"authorization": AUTHORIZATION | MUTATED,
        b"x-amz-date": DATE,
        b"date": DATE,
        b"x-amz-content-sha256": st.binary(max_size=12) | st.sampled_from([b"UNSIGNED-PAYLOAD", b"0" * 64]),
        b"x-amz-security-token": st.binary(max_size=12),
        b"x-amz-target": st.binary(max_size=12),
        b"content-type": st.binary(max_size=12),
    },
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "é", "☃"])


@settings(max_examples=400, deadline=None)
@given(
    METHODS,
    st.binary(max_size=20),
    QUERY | COMPLETE,
    HEADERS,
    st.sampled_from([*FAMILIES, None]),
    st.booleans(),
)
@example("GET", b"/", b"", {b"host": b"h", b"authorization": GOOD.replace(b"us-east-1", b"%d%s")}, "s3", True)
def test_only_refusals(
    method: str, path: bytes, query: bytes, headers: dict[bytes, bytes], family: Family | None, dated: bool
) -> None:
    try:
        claim = read_claim(method, query, headers, family)
        if claim is None:
            return
        spoken: Family = family or "s3"
        now = claim.epoch + 1.5 if dated else time.time()
        payload = payload_of(claim, spoken, headers)
        verify(claim, SECRET, spoken, method, path, query, headers, payload.declared or body_hash(b""), now)
        check_scope(claim, spoken, "kms", frozenset({"us-east-1"}))
    except AwsError as error:
        shown = "\n".join([error.code, error.message, *map(str, error.fields.values())])
        # An error is rendered in XML or JSON with its texts as they are.
        leaked = SECRET in shown or not shown.isascii() or not shown.replace("\n", "").isprintable()
    else:
        leaked = True
    assert not leaked, "something got in, or a secret got out"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.sampled_from(FAMILIES), st.booleans())
def test_dates(value: bytes, family: Family, presigned: bool) -> None:
    """Whatever comes is refused, or is a date: hypothesis does find some."""
    try:
        basic, epoch = read_date(value, family, presigned=presigned)
    except AwsError:
        return
    moment = datetime.strptime(basic.decode("ascii"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert epoch == int(moment.timestamp())
    assert read_date(basic, family, presigned=presigned) == (basic, epoch)


def test_dates_in_every_form_that_clients_use() -> None:
    expected = (b"20261123T010203Z", 1795395723)
    for value in (b"20261123T010203Z", b"Mon, 23 Nov 2026 01:02:03 GMT", b"Mon, 23 Nov 2026 01:02:03 +0000"):
        assert read_date(value, "json") == expected
    for value in (
        b"20261123T240000Z",
        b"20260230T000000Z",
        b"Mon, 31 Feb 2026 01:02:03 GMT",
        b"20261123T010260Z",
    ):
        with pytest.raises(AwsError):
            read_date(value, "json")


@given(st.binary(max_size=60))
def test_canonical_forms_are_plain_and_stable(raw: bytes) -> None:
    path = s3_path(b"/" + raw)
    assert s3_path(path) == path, "the canonical form of a canonical form is itself"
    assert normal_path(b"/" + raw)[:1] == b"/"
    query = canonical_query(query_pairs(raw))
    assert canonical_query(query_pairs(query)) == query
    allowed = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%/&=")
    assert allowed.issuperset(path + query + normal_path(raw) + uri_encode(raw))


def test_canonical_path_and_query() -> None:
    assert s3_path(b"/a(b)/%e2%98%83/%2f/..//x%7E") == b"/a%28b%29/%E2%98%83/%2F/..//x~"
    assert s3_path(b"") == b"/"
    assert s3_path(b"/%zz%4") == b"/%25zz%254"
    assert normal_path(b"/a/./b/../c//d%20e/") == b"/a/c/d%2520e/"
    assert normal_path(b"/../..") == b"/"
    assert normal_path(b"") == b"/"
    query = b"b=2&a-=1&a=2&a=1&&a&c=x+y%2B&%41=%7e"
    assert canonical_query(query_pairs(query)) == b"A=~&a=&a=1&a=2&a-=1&b=2&c=x%20y%2B"
