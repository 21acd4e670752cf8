"""What may be looked up in a page: for each attribute the CRC-32 of every value that its events have.

A page without the CRC of a value has no event with that value; one that has it may have none all the same. Event ids
are left out: they begin with their event's time.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Final
from zlib import crc32

from casemate.services.cloudtrail.found_events import values

INDEXED: Final = (
    *("EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId"),
)
"""By their numbers, which are stored."""

_COUNTS: Final = struct.Struct(f">{len(INDEXED)}I")

Terms = tuple[set[int], ...]
"""Of each attribute."""


def no_terms() -> Terms:
    return tuple(set() for _ in INDEXED)


Source = tuple[Any, ...]
"""All that a record's terms come from."""


def source(record: Mapping[str, Any]) -> Source:
    who = record["userIdentity"].get
    shown = record.get("resources")
    return (
        record["eventName"],
        record["eventSource"],
        record.get("readOnly"),
        who("type"),
        who("principalId"),
        who("userName"),
        who("accessKeyId"),
        shown and tuple([(each.get("type"), each.get("ARN")) for each in shown]),
    )


def add(terms: Terms, record: Mapping[str, Any]) -> None:
    for found, attribute in zip(terms, INDEXED, strict=True):
        found.update([crc32(value.encode()) for value in values(record, attribute)])


def encode_one(found: Iterable[int]) -> bytes:
    numbers = array("I", sorted(found))
    numbers.byteswap()
    return numbers.tobytes()


def encode(terms: Terms) -> bytes:
    """All attributes' together."""
    return _COUNTS.pack(*map(len, terms)) + b"".join(map(encode_one, terms))


def of_attribute(encoded: bytes, attribute: int) -> bytes:
    """One attribute's, of all."""
    counts = _COUNTS.unpack_from(encoded)
    start = _COUNTS.size + 4 * sum(counts[:attribute])
    return encoded[start : start + 4 * counts[attribute]]


def may_have(encoded: bytes, value: str) -> bool:
    """Whether one attribute's terms have a value's."""
    wanted = struct.pack(">I", crc32(value.encode()))
    if len(encoded) <= 256:
        return any(encoded[at : at + 4] == wanted for at in range(0, len(encoded), 4))
    count = len(encoded) // 4
    at = bisect_left(range(count), wanted, key=lambda index: encoded[4 * index : 4 * index + 4])
    return at < count and encoded[4 * at : 4 * at + 4] == wanted
