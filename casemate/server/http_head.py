"""The head of an HTTP/1.1 request, parsed strictly (RFC 9112). Pure: bytes in, a tuple out.

Our own parser and not llhttp (httptools), for four reasons, each tried: llhttp refuses raw UTF-8 in a target,
which S3 clients send; it ends a message at a head with ``Upgrade``, so that the body is taken for the next
request; it accepts ``GET  / HTTP/1.1``, RTSP and ICE without a way to tell; and it cannot stop between two
pipelined requests. Here a whole head is taken apart with a few C-level calls, at about the cost of its callbacks.
"""

from __future__ import annotations

from typing import Any

from casemate.server.transport_limits import Limits

CHUNKED = -1
"""The body length of a request with ``Transfer-Encoding: chunked``."""

KEEP_ALIVE = 1
EXPECTS_CONTINUE = 2
HTTP_1_0 = 4

Memo = dict[bytes, Any]
"""``Exchange.memo``"""
Head = tuple[str, bytes, bytes, dict[bytes, bytes], int, int, Memo | None]
"""method, path, query, headers, body length (or CHUNKED), flags; the memo of a beginning that is known"""
_Start = tuple[str, bytes, int, dict[bytes, bytes], Memo]

SINGLE = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-md5",
        b"content-type",
        b"date",
        b"expect",
        b"host",
        b"transfer-encoding",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-decoded-content-length",
        b"x-amz-security-token",
        b"x-amz-target",
    }
)
"""Headers that may come once only: two readers that pick different ones would disagree on the request."""

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HOST = b"-._~%!$&'()*+,;=:[]0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CONTROLS = bytes(code for code in range(32) if code != 9) + b"\x7f"
_BLANK = b" \t"
_METHODS = {
    name.encode(): name for name in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE")
}
_METHOD_BYTES = 32
_NAMES: dict[bytes, bytes] = {}
"""Header names as they came -> in lower case, known to be tokens. Bounded."""
_HOSTS: set[bytes] = set()
"""Hosts that were found well formed. Bounded."""
_REQUESTS: dict[bytes, tuple[str, bytes, int]] = {}
"""Request lines for "/": method, target and flags. As many as there are methods and versions."""
_LINES: dict[bytes, tuple[bytes, bytes]] = {}
"""Header lines that come again and again, taken apart and found good. Bounded, and never one with a secret."""
_STARTS: dict[bytes, _Start] = {}
"""What a client sends before its signature, which stays the same for a second: the request line and such lines, taken
apart: method, path, flags, headers, memo. Bounded."""
_SIGNED = b"\r\nAuthorization: "
_SIGNED_LENGTH = len(_SIGNED) - 2
_STARTS_KEPT = 256
_RECURRING = frozenset(
    b"accept accept-encoding amz-sdk-request connection content-length content-type host user-agent x-amz-date "
    b"x-amz-target".split()
)
_FRAMING = frozenset((b"connection", b"expect", b"transfer-encoding"))
"""What tells how the request is to be read: such requests go the general way."""
_LINE_KEPT = 512
"""Bytes of the longest line that is kept."""
_KEPT = 512


class BadRequest(Exception):
    """A request that the transport refuses itself. kind: a short name for the counters."""

    __slots__ = ("kind", "reason", "status")

    def __init__(self, kind: str, reason: str, status: int = 400) -> None:
        super().__init__(kind, reason, status)
        self.kind = kind
        self.reason = reason
        self.status = status


def is_token(text: bytes) -> bool:
    """RFC 9110, 5.6.2."""
    return bool(text) and not text.translate(None, _TOKEN)


def has_controls(text: bytes) -> bool:
    """True with a control character other than tab."""
    return len(text.translate(None, _CONTROLS)) != len(text)


def field_name(raw: bytes) -> bytes:
    """A header's name in lower case. Raises BadRequest when it is not a token (a blank before the colon)."""
    name = _NAMES.get(raw)
    if name is None:
        if not is_token(raw):
            raise BadRequest("header", "A header's name is malformed.")
        name = raw.lower()
        if len(_NAMES) < _KEPT:
            _NAMES[raw] = name
    return name


class _Control(Exception):
    """A control character in a line (a bare CR or LF too)."""


def _request(head: bytes, line: bytes, limits: Limits) -> tuple[str, bytes, int]:
    """Method, target and flags of a request line. Raises BadRequest."""
    parts = line.split(b" ")
    if has_controls(line) or len(parts) != 3 or len(parts[1]) > limits.target_bytes:
        _check_request_line(head, limits)
        raise BadRequest("control", "The request's head has a control character.")
    raw_method, target, version = parts
    if version == b"HTTP/1.1":
        flags = KEEP_ALIVE
    elif version == b"HTTP/1.0":
        flags = HTTP_1_0
    else:
        raise _bad_version(version)
    method = _METHODS.get(raw_method)
    if method is None:
        if len(raw_method) > _METHOD_BYTES or not is_token(raw_method) or raw_method == b"CONNECT":
            raise BadRequest("method", "The request's method is not acceptable.")
        method = raw_method.decode("ascii")
    elif target == b"/":
        # What every client of the JSON and query protocols sends.
        _REQUESTS[line] = (method, target, flags)
    return method, target, flags


def _field(line: bytes) -> tuple[bytes, bytes]:
    """A header's name and value. Raises BadRequest, _Control."""
    if has_controls(line):
        raise _Control
    raw, colon, value = line.partition(b":")
    name = _NAMES.get(raw) or field_name(raw)
    if not colon:
        raise BadRequest("header", "A header has no colon.")
    value = value.strip(_BLANK)
    if name in _RECURRING:
        _keep_line(line, name, value)
    return name, value


def _keep_line(line: bytes, name: bytes, value: bytes) -> None:
    if len(line) <= _LINE_KEPT:
        if len(_LINES) >= _KEPT:
            _LINES.clear()
        _LINES[line] = (name, value)


def _keep_start(text: bytes, method: str, target: bytes, flags: int) -> None:
    """Remember how a good request begins: the lines before its signature, where all of them recur."""
    fields = [_LINES.get(line) for line in text.split(b"\r\n")[1:]]
    headers = dict([field for field in fields if field is not None])
    if len(headers) == len(fields) and b"host" in headers and _FRAMING.isdisjoint(headers):
        if len(_STARTS) >= _STARTS_KEPT:
            _STARTS.clear()
        _STARTS[text] = (method, target, flags, headers, {})


def _joined(lines: list[bytes]) -> dict[bytes, bytes]:
    """The headers of a head in which one is repeated. Raises BadRequest where that must not be."""
    headers: dict[bytes, bytes] = {}
    for name, value in map(_field, lines):
        if name in headers:
            if name in SINGLE:
                raise BadRequest("repeated", f"The header {name.decode('ascii')} is repeated.")
            value = headers[name] + b"," + value
        headers[name] = value
    return headers


def parse_head(head: bytes, limits: Limits) -> Head:
    """Take a head apart: everything before the empty line, without the CRLF that ends the last header.

    Raises BadRequest (400, 414, 417, 431, 505).
    """
    at = head.find(_SIGNED)
    start = _STARTS.get(head[:at]) if at > 0 else None
    if start is not None:
        known = _begun(head, at + 2, start, limits)
        if known is not None:
            return known
    return _parse_whole(head, at, limits)


def _begun(head: bytes, at: int, start: _Start, limits: Limits) -> Head | None:
    """The straight way for a head whose beginning is known. None for whatever is not plainly right: the general way
    tells what is wrong."""
    method, path, flags, known, memo = start
    rest = head[at:]
    lines = rest.split(b"\r\n")
    if len(rest.translate(None, _CONTROLS)) + 2 * len(lines) - 2 != len(rest):
        return None
    count = len(known) + len(lines)
    headers = known.copy()
    # The first one is the signature's, of which none is like another.
    headers[b"authorization"] = lines[0][_SIGNED_LENGTH:].strip(_BLANK)
    del lines[0]
    for line in lines:
        field = _LINES.get(line)
        if field is None:
            raw, colon, value = line.partition(b": ")
            name = _NAMES.get(raw)
            if name is None or not colon:
                return None
            value = value.strip(_BLANK)
            if name in _RECURRING:
                _keep_line(line, name, value)
            headers[name] = value
        else:
            headers[field[0]] = field[1]
    if len(headers) != count or count > limits.header_count or not _FRAMING.isdisjoint(headers):
        return None
    if len(head) > limits.header_bytes or len(head) > limits.head_bytes:
        return None
    text = headers.get(b"content-length")
    if text is None:
        return method, path, b"", headers, 0, flags, memo
    if not text.isdigit() or len(text) > 18:
        return None
    return method, path, b"", headers, int(text), flags, memo


def _parse_whole(head: bytes, at: int, limits: Limits) -> Head:
    """The general way. at: where the signature's line begins, if it was found."""
    if len(head) > limits.head_bytes:
        _check_request_line(head, limits)
        raise BadRequest("head-size", "The request's headers are too large.", 431)
    try:
        lines = head.split(b"\r\n")
        method, target, version = _REQUESTS.get(lines[0]) or _request(head, lines[0], limits)
        del lines[0]
        kept = _LINES.get
        headers = dict([kept(line) or _field(line) for line in lines])
        count = len(lines)
    except _Control:
        _check_request_line(head, limits)
        raise BadRequest("control", "The request's head has a control character.") from None
    flags = version
    if count > limits.header_count:
        raise BadRequest("header-count", "The request has too many headers.", 431)
    if len(headers) != count:
        headers = _joined(head.split(b"\r\n")[1:])
    if len(head) > limits.header_bytes and max(map(len, head.split(b"\r\n"))) > limits.header_bytes:
        raise BadRequest("header-size", "A header of the request is too large.", 431)

    host = headers.get(b"host")
    if host is None:
        if flags & KEEP_ALIVE:
            raise BadRequest("host", "The request has no Host header.")
    elif host not in _HOSTS:
        if not host or host.translate(None, _HOST):
            raise BadRequest("host", "The Host header is malformed.")
        if len(_HOSTS) < _KEPT:
            _HOSTS.add(host)
    if target[:1] != b"/":
        target = _origin_form(method, target, host)
    if b"#" in target or b"\t" in target:
        raise BadRequest("target", "The request's target is malformed.")
    path, _, query = target.partition(b"?")

    length = 0
    text = headers.get(b"content-length")
    if text is not None:
        if not text.isdigit() or len(text) > 18:
            raise BadRequest("framing", "Content-Length is malformed.")
        length = int(text)
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        if text is not None or flags & HTTP_1_0 or coding.lower() != b"chunked":
            raise BadRequest("framing", "Transfer-Encoding is not acceptable.")
        length = CHUNKED

    connection = headers.get(b"connection")
    if connection is not None:
        options = {option.strip(_BLANK) for option in connection.lower().split(b",")}
        if b"close" in options:
            flags &= ~KEEP_ALIVE
        elif b"keep-alive" in options:
            flags |= KEEP_ALIVE
    expected = headers.get(b"expect")
    if expected is not None and not flags & HTTP_1_0:
        if expected.lower() != b"100-continue":
            raise BadRequest("expect", "The expectation cannot be met.", 417)
        flags |= EXPECTS_CONTINUE
    if at > 0 and target == b"/" and len(headers) == count:
        _keep_start(head[:at], method, target, version)
    return method, path, query, headers, length, flags, None


def check_partial_head(head: bytes | bytearray, fresh: int, limits: Limits) -> None:
    """Refuse a head early that cannot become a good one, although its end has not come.

    head: what has come; fresh: where the bytes begin that were not looked at before. A client that speaks TLS
    or another protocol to us, or ends its lines with a bare LF, is told so and not left to a timeout.
    """
    first = head[0]
    if first == 13:  # CR: a request that begins with an empty line too many
        if len(head) > 1:
            raise BadRequest("request-line", "The request line is malformed.")
        return
    if first not in _TOKEN:
        raise BadRequest("method", "This is not an HTTP request.")
    feed = head.find(b"\n", fresh)
    while feed >= 0:
        if head[feed - 1] != 13:
            raise BadRequest("control", "The request's head has a bare line feed.")
        feed = head.find(b"\n", feed + 1)
    if head.find(b"\r\n", 0, fresh) < 0:
        _check_request_line(bytes(head), limits, partial=True)
    if len(head) > limits.head_bytes:
        raise BadRequest("head-size", "The request's headers are too large.", 431)


def _check_request_line(head: bytes, limits: Limits, *, partial: bool = False) -> None:
    """Raise what is wrong with a bad request line, or return when it is not the culprit."""
    line, ended, _ = head.partition(b"\r\n")
    parts = line.split(b" ")
    if len(parts) > 1 and len(parts[1]) > limits.target_bytes:
        raise BadRequest("target-size", "The request's target is too long.", 414)
    if len(parts[0]) > _METHOD_BYTES:
        raise BadRequest("method", "The request's method is not acceptable.")
    if partial and not ended:
        return
    if len(parts) != 3:
        raise BadRequest("request-line", "The request line is malformed.")
    if parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise _bad_version(parts[2])


def _bad_version(version: bytes) -> BadRequest:
    if len(version) == 8 and version[:5] == b"HTTP/" and version[6:7] == b".":
        major, minor = version[5:6], version[7:8]
        if major.isdigit() and minor.isdigit():
            return BadRequest("version", "This version of HTTP is not served.", 505)
    return BadRequest("request-line", "The request line is malformed.")


def _origin_form(method: str, target: bytes, host: bytes | None) -> bytes:
    """The path and query of a target that does not begin with a slash (RFC 9112, 3.2)."""
    if target == b"*" and method == "OPTIONS":
        return target
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise BadRequest("target", "The request's target is malformed.")
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    # RFC 9112, 3.2.2 lets the target's authority win over Host. The signature covers Host: they must agree.
    if host is not None and rest[:end].lower() != host.lower():
        raise BadRequest("host", "The Host header is not the target's host.")
    rest = rest[end:]
    return rest if rest[:1] == b"/" else b"/" + rest
