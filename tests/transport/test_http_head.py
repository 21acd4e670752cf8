"""The head's parser: what is taken, and how, and what is refused with which status."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.server import http_head
from casemate.server.http_head import (
    CHUNKED,
    EXPECTS_CONTINUE,
    HTTP_1_0,
    KEEP_ALIVE,
    BadRequest,
    check_partial_head,
    parse_head,
)
from casemate.server.transport_limits import Limits

LIMITS = Limits()
SMALL = dataclasses.replace(LIMITS, head_bytes=400, header_bytes=100, header_count=5, target_bytes=50)

TAKEN = [
    (b"GET / HTTP/1.1\r\nHost: a", ("GET", b"/", b"", {b"host": b"a"}, 0, KEEP_ALIVE)),
    (b"GET /a?b?c HTTP/1.1\r\nhOST:\t a:80 \t", ("GET", b"/a", b"b?c", {b"host": b"a:80"}, 0, KEEP_ALIVE)),
    (b"GET /?x HTTP/1.0", ("GET", b"/", b"x", {}, 0, HTTP_1_0)),
    (
        b"PUT //a/../%2F%e4\xc3\xa4?\xff HTTP/1.1\r\nHost: a",
        ("PUT", b"//a/../%2F%e4\xc3\xa4", b"\xff", {b"host": b"a"}, 0, KEEP_ALIVE),
    ),
    (b"OPTIONS * HTTP/1.1\r\nHost: a", ("OPTIONS", b"*", b"", {b"host": b"a"}, 0, KEEP_ALIVE)),
    (b"M-SEARCH / HTTP/1.1\r\nHost: a", ("M-SEARCH", b"/", b"", {b"host": b"a"}, 0, KEEP_ALIVE)),
    (b"GET http://a:1/b?c HTTP/1.1\r\nHost: A:1", ("GET", b"/b", b"c", {b"host": b"A:1"}, 0, KEEP_ALIVE)),
    (b"GET HTTPS://a HTTP/1.1\r\nHost: a", ("GET", b"/", b"", {b"host": b"a"}, 0, KEEP_ALIVE)),
    (b"GET http://a?b/c HTTP/1.1\r\nHost: a", ("GET", b"/", b"b/c", {b"host": b"a"}, 0, KEEP_ALIVE)),
    (
        b"GET / HTTP/1.1\r\nHost: [::1]:4566\r\nX: 1\r\nx: \r\nX:\xff",
        ("GET", b"/", b"", {b"host": b"[::1]:4566", b"x": b"1,,\xff"}, 0, KEEP_ALIVE),
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007",
        ("POST", b"/", b"", {b"host": b"a", b"content-length": b"007"}, 7, KEEP_ALIVE),
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked",
        ("POST", b"/", b"", {b"host": b"a", b"transfer-encoding": b"Chunked"}, CHUNKED, KEEP_ALIVE),
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue",
        ("POST", b"/", b"", {b"host": b"a", b"expect": b"100-Continue"}, 0, KEEP_ALIVE | EXPECTS_CONTINUE),
    ),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close",
        ("GET", b"/", b"", {b"host": b"a", b"connection": b"x, Close"}, 0, 0),
    ),
    (
        b"GET / HTTP/1.0\r\nConnection: keep-alive",
        ("GET", b"/", b"", {b"connection": b"keep-alive"}, 0, KEEP_ALIVE | HTTP_1_0),
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 3",
        (
            "POST",
            b"/",
            b"",
            {
                b"host": b"a",
                b"connection": b"Upgrade, HTTP2-Settings",
                b"upgrade": b"h2c",
                b"content-length": b"3",
            },
            3,
            KEEP_ALIVE,
        ),
    ),
]

LINE = b"GET / HTTP/1.1\r\n"
GOOD = LINE + b"Host: a\r\n"

REFUSED = [
    ("control in target", b"GET /\x01 HTTP/1.1\r\nHost: a", 400),
    ("nul in target", b"GET /\x00 HTTP/1.1\r\nHost: a", 400),
    ("delete in target", b"GET /\x7f HTTP/1.1\r\nHost: a", 400),
    ("tab in target", b"GET /\t HTTP/1.1\r\nHost: a", 400),
    ("fragment", b"GET /#a HTTP/1.1\r\nHost: a", 400),
    ("no slash", b"GET a HTTP/1.1\r\nHost: a", 400),
    ("empty target", b"GET  HTTP/1.1\r\nHost: a", 400),
    ("star without OPTIONS", b"GET * HTTP/1.1\r\nHost: a", 400),
    ("authority", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1", 400),
    ("other scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a", 400),
    ("absolute form for another host", b"GET http://b/ HTTP/1.1\r\nHost: a", 400),
    ("absolute form with user", b"GET http://u@a/ HTTP/1.1\r\nHost: a", 400),
    ("two spaces", b"GET  / HTTP/1.1\r\nHost: a", 400),
    ("space at the end", b"GET / HTTP/1.1 \r\nHost: a", 400),
    ("space at the start", b" GET / HTTP/1.1\r\nHost: a", 400),
    ("space in target", b"GET /a b HTTP/1.1\r\nHost: a", 400),
    ("HTTP/0.9", b"GET /", 400),
    ("HTTP/0.9 with version", b"GET / HTTP/0.9\r\nHost: a", 505),
    ("HTTP/2 preface", b"PRI * HTTP/2.0", 505),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a", 505),
    ("HTTP/11", b"GET / HTTP/11\r\nHost: a", 400),
    ("small http", b"GET / http/1.1\r\nHost: a", 400),
    ("RTSP", b"OPTIONS / RTSP/1.0\r\nHost: a", 400),
    ("not a token", b"G(T / HTTP/1.1\r\nHost: a", 400),
    ("no method", b" / HTTP/1.1\r\nHost: a", 400),
    ("long method", b"G" * 33 + b" / HTTP/1.1\r\nHost: a", 400),
    ("no Host", b"GET / HTTP/1.1", 400),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:", 400),
    ("two Hosts", GOOD + b"Host: a", 400),
    ("two Hosts in one", LINE + b"Host: a b", 400),
    ("a path in Host", LINE + b"Host: a/b", 400),
    ("a user in Host", LINE + b"Host: u@a", 400),
    ("blank before colon", GOOD + b"X : 1", 400),
    ("tab before colon", GOOD + b"X\t: 1", 400),
    ("no colon", GOOD + b"X", 400),
    ("no name", GOOD + b": 1", 400),
    ("name not a token", GOOD + b"X(: 1", 400),
    ("name not ASCII", GOOD + b"X\xe9: 1", 400),
    ("blank before the first header", LINE + b" Host: a", 400),
    ("folded", GOOD + b"X: 1\r\n 2", 400),
    ("folded by tab", GOOD + b"X: 1\r\n\t2", 400),
    ("bare LF", GOOD + b"X: 1\nY: 2", 400),
    ("bare CR", GOOD + b"X: 1\rY: 2", 400),
    ("CR CR LF", GOOD + b"X: 1\r\r\nY: 2", 400),
    ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a", 400),
    ("nul in value", GOOD + b"X: \x00", 400),
    ("control in value", GOOD + b"X: a\x0bb", 400),
    ("delete in value", GOOD + b"X: a\x7fb", 400),
    ("both framings", GOOD + b"Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
    ("both framings, turned", GOOD + b"Transfer-Encoding: chunked\r\nContent-Length: 1", 400),
    ("two lengths", GOOD + b"Content-Length: 1\r\nContent-Length: 1", 400),
    ("two lengths in one", GOOD + b"Content-Length: 1, 1", 400),
    ("signed length", GOOD + b"Content-Length: +1", 400),
    ("negative length", GOOD + b"Content-Length: -1", 400),
    ("hexadecimal length", GOOD + b"Content-Length: 0x1", 400),
    ("underscored length", GOOD + b"Content-Length: 1_0", 400),
    ("no length", GOOD + b"Content-Length:", 400),
    ("other digits", GOOD + b"Content-Length: \xd9\xa1", 400),
    ("huge length", GOOD + b"Content-Length: 9999999999999999999", 400),
    ("gzip", GOOD + b"Transfer-Encoding: gzip, chunked", 400),
    ("not chunked last", GOOD + b"Transfer-Encoding: chunked, gzip", 400),
    ("identity", GOOD + b"Transfer-Encoding: identity", 400),
    ("xchunked", GOOD + b"Transfer-Encoding: xchunked", 400),
    ("quoted chunked", GOOD + b'Transfer-Encoding: "chunked"', 400),
    ("vertical tab before chunked", GOOD + b"Transfer-Encoding: \x0bchunked", 400),
    ("non-breaking space before chunked", GOOD + b"Transfer-Encoding: \xa0chunked", 400),
    ("chunked twice", GOOD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
    ("empty coding", GOOD + b"Transfer-Encoding:", 400),
    ("two Authorizations", GOOD + b"Authorization: a\r\nAuthorization: b", 400),
    ("two Content-Types", GOOD + b"Content-Type: a\r\ncontent-type: b", 400),
    ("two dates", GOOD + b"X-Amz-Date: a\r\nX-Amz-Date: b", 400),
    ("two tokens", GOOD + b"X-Amz-Security-Token: a\r\nX-Amz-Security-Token: b", 400),
    ("two targets", GOOD + b"X-Amz-Target: a\r\nX-Amz-Target: b", 400),
    ("other expectation", GOOD + b"Expect: 200-ok", 417),
    ("long target", b"GET /" + b"a" * 50 + b" HTTP/1.1\r\nHost: a", 414),
    ("long target and a long head", b"GET /" + b"a" * 500 + b" HTTP/1.1\r\nHost: a", 414),
    ("many headers", GOOD + b"\r\n".join([b"X: 1"] * 5), 431),
    ("a large header", GOOD + b"X: " + b"1" * 100, 431),
    ("large headers", GOOD + b"\r\n".join([b"X: " + b"1" * 90] * 4) + b"1" * 90, 431),
]


@pytest.mark.parametrize(("head", "expected"), TAKEN)
def test_taken(head: bytes, expected: object) -> None:
    assert parse_head(head, LIMITS)[:6] == expected


@pytest.mark.parametrize(
    ("head", "status"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_head(head, SMALL)
    assert refusal.value.status == status, refusal.value.reason


@pytest.mark.parametrize(("head", "expected"), TAKEN)
def test_a_part_of_a_good_head_is_waited_for(head: bytes, expected: object) -> None:
    whole = head + b"\r\n"
    for stop in range(1, len(whole) + 1):
        check_partial_head(bytearray(whole[:stop]), 0, LIMITS)
        check_partial_head(bytearray(whole[:stop]), stop - 1, LIMITS)


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),  # a TLS client hello
        (b"\x00", 400),
        (b"(", 400),
        (b"\rG", 400),
        (b"GET /\r\n", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX", 400),
        (b"PRI * HTTP/2.0\r\n", 505),
        (b"G" * 33, 400),
        (b"GET /" + b"a" * 50, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"1" * 400, 431),
    ],
)
def test_a_hopeless_part_is_refused_early(part: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_partial_head(bytearray(part), 0, SMALL)
    assert refusal.value.status == status


HEAD_BYTES = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [b"\r\n", b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b": ", b"Content-Length: 1", b" ", b"\n"]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(HEAD_BYTES)
def test_any_bytes_are_parsed_or_refused(head: bytes) -> None:
    try:
        method, path, query, headers, length, *_ = parse_head(head.removesuffix(b"\r\n"), SMALL)
    except BadRequest:
        return
    assert method.isascii()
    assert path[:1] == b"/" or path == b"*"
    assert b"?" not in path
    assert length >= CHUNKED
    for text in (path, query, *headers, *headers.values()):
        assert not set(text) & (set(range(32)) - {9} | {127}), "a control character came through"


BEGINNING = b"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Date: 20261125T101112Z"
LINES = st.one_of(
    st.sampled_from(
        [
            b"Content-Length: 12",
            b"content-length:12",
            b"Content-Length: 1x",
            b"Connection: close",
            b"Expect: 100-continue",
            b"Transfer-Encoding: chunked",
            b"Host: b",
            b"Authorization: again",
            b"amz-sdk-invocation-id: 7",
            b"Content-Type: \t x ",
            b"Content-Type:",
            b"no colon",
            b"a : blank",
            b"",
        ]
    ),
    st.binary(max_size=20),
)


@given(st.lists(LINES, max_size=4), st.binary(max_size=6), st.sampled_from([LIMITS, SMALL]))
def test_a_beginning_that_is_known_changes_nothing(lines: list[bytes], value: bytes, limits: Limits) -> None:
    head = b"\r\n".join([BEGINNING, b"Authorization: " + value, *lines])

    def parsed() -> tuple[object, ...]:
        try:
            return parse_head(head, limits)[:6]
        except BadRequest as refusal:
            return refusal.kind, refusal.status

    http_head._STARTS.clear()
    expected = parsed()
    parse_head(BEGINNING + b"\r\nAuthorization: x", LIMITS)
    assert BEGINNING in http_head._STARTS
    assert parsed() == expected


def test_requests_that_begin_alike_share_a_memo() -> None:
    http_head._STARTS.clear()
    head = BEGINNING + b"\r\nAuthorization: %d\r\nContent-Length: %d"
    first, second, third = (parse_head(head % (number, number), LIMITS)[6] for number in range(3))
    assert first is None
    assert second == {}
    assert second is third
    other = (head % (1, 1)).replace(b"112Z", b"113Z")
    parse_head(other, LIMITS)
    assert parse_head(other, LIMITS)[6] is not second
