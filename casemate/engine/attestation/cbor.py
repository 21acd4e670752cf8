"""CBOR (RFC 8949) from strangers: what attestation documents consist of, and nothing else.

Integers, byte and text strings, arrays, maps, null and booleans; arrays and maps also of indefinite length, as
the newer enclaves' documents have them. No floats and no tags: a general decoder would build big numbers, regular
expressions and shared references at a stranger's word. Nesting is bounded, and no count is believed further than the
bytes that are really there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from casemate.engine.attestation.errors import BadAttestation

MAX_DEPTH = 4

_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_SIMPLE = {20: False, 21: True, 22: None}


class _Reader:
    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def whole(self) -> Any:
        value = self._item(MAX_DEPTH)
        if self._at != len(self._data):
            raise BadAttestation("The CBOR is followed by something else.")
        return value

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise BadAttestation("The CBOR is cut short.")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _item(self, depth: int) -> Any:
        if depth == 0:
            raise BadAttestation("The CBOR is nested too deeply.")
        first = self._take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7 and info in _SIMPLE:
            return _SIMPLE[info]
        indefinite = info == 31 and major in (4, 5)
        if major in (6, 7) or (info > 23 and info not in _LENGTHS and not indefinite):
            raise BadAttestation("The CBOR holds what no attestation document does.")
        if major == 4:
            return [self._item(depth - 1) for _ in self._count(info)]
        if major == 5:
            return self._map(info, depth)
        argument = self._argument(info)
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return self._take(argument)
        try:
            return self._take(argument).decode()
        except UnicodeDecodeError:
            raise BadAttestation("The CBOR holds text that is not UTF-8.") from None

    def _argument(self, info: int) -> int:
        return info if info < 24 else int.from_bytes(self._take(_LENGTHS[info]), "big")

    def _count(self, info: int) -> Iterator[None]:
        """Once for each element, which needs a byte that is really there."""
        if info == 31:
            while self._data[self._at : self._at + 1] != b"\xff":
                yield
            self._at += 1
            return
        count = self._argument(info)
        if count > len(self._data) - self._at:
            raise BadAttestation("The CBOR is cut short.")
        yield from repeat(None, count)

    def _map(self, info: int, depth: int) -> dict[int | str, Any]:
        members: dict[int | str, Any] = {}
        for _ in self._count(info):
            name = self._item(depth - 1)
            if type(name) not in (int, str) or name in members:
                raise BadAttestation("The CBOR holds a map with a name that is twice there or no name.")
            members[name] = self._item(depth - 1)
        return members


def load(data: bytes) -> Any:
    """The one item that ``data`` is: int, bytes, str, bool, None, or a list or dict of these. Raises
    BadAttestation."""
    return _Reader(data).whole()


def dump(value: Any) -> bytes:
    """The shortest CBOR of an int, bytes, str, None, or a list or mapping of these, in the given order."""
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, Mapping):
        return _head(5, len(value)) + b"".join(dump(part) for item in value.items() for part in item)
    if isinstance(value, Sequence):
        return _head(4, len(value)) + b"".join(dump(item) for item in value)
    raise TypeError(f"no CBOR is written of {type(value).__name__}")


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    for info, size in _LENGTHS.items():
        if argument < 1 << 8 * size:
            return bytes((major << 5 | info,)) + argument.to_bytes(size, "big")
    raise ValueError("the number has more than 64 bits")
