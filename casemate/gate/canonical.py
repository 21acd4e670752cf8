"""The canonical request of Signature Version 4, from raw bytes to bytes. Pure: nothing here refuses anything.

Source: "Create a signed AWS API request" (IAM user guide) and "Signature Calculations for the Authorization
Header" (Amazon S3 API reference).
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_ENCODED: tuple[bytes, ...] = tuple(
    bytes((byte,)) if byte in _UNRESERVED else b"%%%02X" % byte for byte in range(256)
)
_PLAIN = re.compile(rb"[A-Za-z0-9\-._~]*\Z").match
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9\-._~/]*\Z").match
_DOTS = re.compile(rb"//|/\.").search


def uri_encode(value: bytes) -> bytes:
    """AWS's UriEncode: every byte but the unreserved characters of RFC 3986 becomes %XY, upper case."""
    return value if _PLAIN(value) else b"".join([_ENCODED[byte] for byte in value])


def _recode(segment: bytes) -> bytes:
    """Decode once, encode once: whatever a client left unencoded or encoded in lower case, AWS's form of
    it."""
    return segment if _PLAIN(segment) else uri_encode(unquote_to_bytes(segment))


def s3_path(path: bytes) -> bytes:
    """The canonical URI for S3: encoded once, never normalised (``//``, ``.`` and ``..`` are parts of keys).
    An encoded slash stays encoded, so that it cannot be exchanged for a real one."""
    if not path:
        return b"/"
    if _PLAIN_PATH(path):
        return path
    return b"/".join([_recode(segment) for segment in path.split(b"/")])


def normal_path(path: bytes) -> bytes:
    """The canonical URI for every other service: dot segments and empty segments removed (RFC 3986, 5.2.4),
    then each segment, encoded already as it is in the request, encoded once more."""
    if not path or path == b"/":
        return b"/"
    if _DOTS(path) or path[:1] != b"/":
        kept: list[bytes] = []
        segments = path.split(b"/")
        for segment in segments:
            if segment == b"..":
                if kept:
                    kept.pop()
            elif segment and segment != b".":
                kept.append(segment)
        # A final dot segment leaves no slash behind, as in the SDKs; only a slash that was there stays.
        path = b"/" + b"/".join(kept) + (b"/" if kept and not segments[-1] else b"")
    if _PLAIN_PATH(path):
        return path
    return b"/".join([uri_encode(segment) for segment in path.split(b"/")])


def query_pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    """The parameters in the order they came, names and values decoded (``+`` is a space, as in a form); empty
    parts (``a&&b``) are dropped, a name without ``=`` has the empty value."""
    pairs = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(text: bytes) -> bytes:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return unquote_to_bytes(text) if b"%" in text else text


def canonical_query(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Encoded, then sorted by name and, within a name, by value."""
    encoded = [(uri_encode(name), uri_encode(value)) for name, value in pairs]
    encoded.sort()
    return b"&".join([name + b"=" + value for name, value in encoded])


def collapse(value: bytes) -> bytes:
    """A header's value trimmed, each run of white space inside it one space."""
    return b" ".join(value.split())
