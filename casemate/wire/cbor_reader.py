"""CBOR (RFC 8949) from strangers: the subset that Smithy's RPC v2 uses, bounded.

No tag but 1 (epoch time) is read: a general decoder would build regular expressions, big numbers and shared
references at a client's word.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

from casemate.wire.refusals import Unreadable
from casemate.wire.timestamps import from_epoch

MAX_DEPTH = 100

_BREAK = object()
_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


class _Decoder:
    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def whole(self) -> Any:
        value = self._item(0)
        if value is _BREAK or self._at != len(self._data):
            raise Unreadable("Malformed CBOR")
        return value

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise Unreadable("The CBOR document is cut short")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info not in _LENGTHS:
            raise Unreadable("Malformed CBOR")
        return int.from_bytes(self._take(_LENGTHS[info]), "big")

    def _item(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Unreadable("The document is nested too deeply")
        first = self._take(1)[0]
        major, info = first >> 5, first & 31
        if major == 0:
            return self._argument(info)
        if major == 1:
            return -1 - self._argument(info)
        if major in (2, 3):
            return self._string(major, info)
        if major == 4:
            return self._array(info, depth)
        if major == 5:
            return self._map(info, depth)
        if major == 6:
            return self._tag(info, depth)
        if info == 31:
            return _BREAK
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info in _FLOATS:
            form, count = _FLOATS[info]
            return struct.unpack(form, self._take(count))[0]
        raise Unreadable("A simple value of CBOR is not known")

    def _string(self, major: int, info: int) -> bytes | str:
        if info == 31:
            chunks = []
            while (first := self._take(1)[0]) != 0xFF:
                if first >> 5 != major or first & 31 == 31:
                    raise Unreadable("Malformed CBOR")
                chunks.append(self._take(self._argument(first & 31)))
            data = b"".join(chunks)
        else:
            data = self._take(self._argument(info))
        if major == 2:
            return data
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise Unreadable("A text string is not UTF-8") from None

    def _value(self, depth: int) -> Any:
        value = self._item(depth + 1)
        if value is _BREAK:
            raise Unreadable("Malformed CBOR")
        return value

    def _array(self, info: int, depth: int) -> list[Any]:
        items = []
        if info == 31:
            while (item := self._item(depth + 1)) is not _BREAK:
                items.append(item)
            return items
        # A count is believed one element at a time: each needs at least one byte that is really there.
        items.extend(self._value(depth) for _ in range(self._argument(info)))
        return items

    def _map(self, info: int, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        left = -1 if info == 31 else self._argument(info)
        while left:
            key = self._item(depth + 1)
            if key is _BREAK and left < 0:
                break
            if type(key) is not str:
                raise Unreadable("The key of a map is not a text string")
            members[key] = self._value(depth)
            left -= 1
        return members

    def _tag(self, info: int, depth: int) -> datetime:
        if self._argument(info) != 1:
            raise Unreadable("A tag of CBOR is not known")
        seconds = self._value(depth)
        if type(seconds) not in (int, float):
            raise Unreadable("Invalid timestamp")
        try:
            return from_epoch(seconds)
        except (ValueError, OverflowError):
            raise Unreadable("Invalid timestamp") from None


def load(data: bytes) -> Any:
    """One data item and nothing after it; times are datetimes. Raises Unreadable."""
    return _Decoder(data).whole()
