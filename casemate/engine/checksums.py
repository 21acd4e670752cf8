"""The checksums that S3 keeps of objects, counted piece by piece and, of cyclic ones, put together out of parts.

awscrt, which has the cyclic ones and XXHash, is imported when one of them is first asked for. Source: "Checking
object integrity in Amazon S3".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Protocol

Piece = bytes | bytearray | memoryview


class Checksum(Protocol):
    """What is fed a body's pieces in order, and then asked once."""

    def update(self, data: Piece, /) -> None: ...

    def digest(self) -> bytes: ...


class _Cyclic:
    __slots__ = ("_next", "_size", "_value")

    def __init__(self, following: Callable[[Any, int], int], size: int) -> None:
        self._next = following
        self._size = size
        self._value = 0

    def update(self, data: Piece) -> None:
        self._value = self._next(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XX:
    __slots__ = ("_hash",)

    def __init__(self, xxhash: Any) -> None:
        self._hash = xxhash

    def update(self, data: Piece) -> None:
        # It takes no views.
        self._hash.update(data if isinstance(data, bytes) else bytes(data))

    def digest(self) -> bytes:
        return bytes(self._hash.finalize())


@cache
def _crt() -> Any:
    from awscrt import checksums  # type: ignore[import-untyped]

    return checksums


_MAKE: dict[str, tuple[int, Callable[[], Checksum]]] = {
    "CRC32": (4, lambda: _Cyclic(_crt().crc32, 4)),
    "CRC32C": (4, lambda: _Cyclic(_crt().crc32c, 4)),
    "CRC64NVME": (8, lambda: _Cyclic(_crt().crc64nvme, 8)),
    "SHA1": (20, lambda: hashlib.sha1(usedforsecurity=False)),
    "SHA256": (32, hashlib.sha256),
    "SHA512": (64, hashlib.sha512),
    "MD5": (16, lambda: hashlib.md5(usedforsecurity=False)),
    "XXHASH64": (8, lambda: _XX(_crt().XXHash.new_xxhash64())),
    "XXHASH3": (8, lambda: _XX(_crt().XXHash.new_xxhash3_64())),
    "XXHASH128": (16, lambda: _XX(_crt().XXHash.new_xxhash3_128())),
}

ALGORITHMS: tuple[str, ...] = tuple(_MAKE)
"""By S3's names."""

CYCLIC = frozenset({"CRC32", "CRC32C", "CRC64NVME"})
"""Those whose value of a whole follows from its parts' values."""


def size_of(algorithm: str) -> int:
    """Bytes of a value."""
    return _MAKE[algorithm][0]


def checksum(algorithm: str) -> Checksum:
    """A new one, of one of ``ALGORITHMS``."""
    return _MAKE[algorithm][1]()


def combined(algorithm: str, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """The value of a whole out of its parts' values and sizes in bytes, for one of ``CYCLIC``."""
    combine = getattr(_crt(), f"combine_{algorithm.lower()}")
    value = 0
    for part, size in parts:
        value = combine(value, int.from_bytes(part, "big"), size)
    return int(value).to_bytes(size_of(algorithm), "big")
