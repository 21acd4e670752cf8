"""Digests of a request's body, in headers: Content-MD5 and x-amz-checksum-*. Source: "Checking object integrity for
data at rest in Amazon S3", "Error responses".
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from casemate.errors import AwsError
from casemate.services.s3.refusals import invalid_request, not_supported

if TYPE_CHECKING:
    from casemate.gate.call import Call

_PREFIX = b"x-amz-checksum-"
# Headers that begin like a checksum's, and say something else.
_OTHERS = frozenset({b"x-amz-checksum-algorithm", b"x-amz-checksum-mode", b"x-amz-checksum-type"})


@cache
def _table(polynomial: int) -> tuple[int, ...]:
    """Of a CRC with reflected bits."""
    entries = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        entries.append(byte)
    return tuple(entries)


def _crc(polynomial: int, width: int) -> Callable[[bytes], bytes]:
    """A CRC of that width in bytes. Slow, good for documents."""

    def digest(data: bytes) -> bytes:
        table, value = _table(polynomial), (1 << 8 * width) - 1
        for byte in data:
            value = value >> 8 ^ table[(value ^ byte) & 0xFF]
        return (value ^ (1 << 8 * width) - 1).to_bytes(width, "big")

    return digest


_ALGORITHMS: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    b"crc32c": _crc(0x82F63B78, 4),
    b"crc64nvme": _crc(0x9A6C9329AC4BC9B5, 8),
    b"md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    b"sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    b"sha256": lambda data: hashlib.sha256(data).digest(),
    b"sha512": lambda data: hashlib.sha512(data).digest(),
}


def check_document(call: Call, *, required: bool) -> None:
    """Compare the body with the digests that the request's headers give of it. required: there must be one.

    Raises InvalidDigest, BadDigest, InvalidRequest; NotImplemented for an algorithm that is not served."""
    if call.via:
        # Another service asks: the body is of the request that it got.
        return
    headers, body = call.exchange.headers, call.exchange.body
    given = headers.get(b"content-md5")
    if given is not None:
        if _value(given, 16) is None:
            raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.", 400)
        if _value(given, 16) != _ALGORITHMS[b"md5"](body):
            raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)
    names = [name for name in headers if name.startswith(_PREFIX) and name not in _OTHERS]
    if len(names) > 1:
        raise invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    for name in names:
        algorithm = name[len(_PREFIX) :]
        digest = _ALGORITHMS.get(algorithm)
        if digest is None:
            raise not_supported(f"The checksum {algorithm.decode('latin-1')}")
        expected = digest(body)
        found = _value(headers[name], len(expected))
        if found is None:
            raise invalid_request(f"Value for {name.decode('latin-1')} header is invalid.")
        if found != expected:
            shown = algorithm.decode("latin-1").upper()
            raise AwsError(
                "BadDigest", f"The {shown} you specified did not match the calculated checksum.", 400
            )
    if required and given is None and not names and b"x-amz-trailer" not in headers:
        raise invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")


def _value(header: bytes, length: int) -> bytes | None:
    """The digest that a header holds, None when it holds none of that length."""
    try:
        value = b64decode(header, validate=True)
    except (Base64Error, ValueError):
        return None
    return value if len(value) == length else None
