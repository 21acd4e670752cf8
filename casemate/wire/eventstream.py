"""The framing of ``application/vnd.amazon.eventstream``: messages of typed headers and a payload.

A message is: total length (4 bytes), length of the headers (4), CRC-32 of these eight bytes (4), headers, payload,
CRC-32 of everything before it (4); all big-endian. Source: Smithy's "Amazon Event Stream Specification".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID
from zlib import crc32

from casemate.wire.timestamps import to_epoch

HeaderValue = bool | int | bytes | str | datetime | UUID

MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024


def _header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) < 256:
        raise ValueError("a header's name has 1 to 255 bytes")
    start = bytes([len(encoded)]) + encoded
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return start + struct.pack(">Bi", 4, value)
        return start + struct.pack(">Bq", 5, value)
    if isinstance(value, datetime):
        return start + struct.pack(">Bq", 8, round(to_epoch(value) * 1000))
    if isinstance(value, UUID):
        return start + b"\x09" + value.bytes
    kind, data = (7, value.encode()) if isinstance(value, str) else (6, value)
    if len(data) > 0x7FFF:
        raise ValueError("a header's value has at most 32,767 bytes")
    return start + struct.pack(">BH", kind, len(data)) + data


def encode_message(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """One message. Raises ValueError when a part is longer than the format allows."""
    block = b"".join([_header(name, value) for name, value in headers.items()])
    if len(block) > MAX_HEADERS or len(payload) > MAX_PAYLOAD:
        raise ValueError("the message is too long")
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = b"".join([prelude, struct.pack(">I", crc32(prelude)), block, payload])
    return message + struct.pack(">I", crc32(message))
