"""Long bodies in frames: journal segments and object bodies, each under a data key of its own.

A body is a row of frames, each sealed by AES-256-GCM under the body's data key with a counted nonce::

    nonce (12) = zeros 7 | frame index 4 | last frame 1 else 0

and with the body's ``aad`` (what it is and whose) authenticated in each. So frames cannot be reordered,
swapped between bodies, or dropped from the middle, and a body that ends without its last frame was cut (the
STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár). Any frame opens alone, so a ranged read
decrypts only what it needs (``span``).

A data key must be used by one FrameWriter only, ever: draw it at random for the body.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from casemate.engine.envelope.derivation import KEY_BYTES, TAG_BYTES, KeyHolder
from casemate.engine.envelope.errors import Tampered

MAX_FRAMES = 1 << 32
MAX_FRAME_BYTES = (1 << 31) - 1 - TAG_BYTES


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a data key has {KEY_BYTES} bytes, this one has {len(key)}")
    return AESGCM(key)


class FrameWriter(KeyHolder):
    """Seals a body's frames, in order, each index once: a nonce used twice would break the cipher. One
    thread."""

    __slots__ = ("_aad", "_cipher", "_next")

    def __init__(self, key: bytes, aad: bytes) -> None:
        self._cipher = _cipher(key)
        self._aad = aad
        self._next = 0

    def seal_frame(self, index: int, data: bytes | memoryview, last: bool = False) -> bytes:
        """The frame, TAG_BYTES longer than ``data``. Raises ValueError for an index out of turn."""
        if index != self._next or not 0 <= index < MAX_FRAMES:
            raise ValueError(f"frame {index} is out of turn: a data key seals each index once, in order")
        self._next = MAX_FRAMES if last else index + 1
        return self._cipher.encrypt(_nonce(index, last), data, self._aad)


class FrameReader(KeyHolder):
    """Opens a body's frames, in any order. Threads may share it."""

    __slots__ = ("_aad", "_cipher")

    def __init__(self, key: bytes, aad: bytes) -> None:
        self._cipher = _cipher(key)
        self._aad = aad

    def open_frame(self, index: int, sealed: bytes | memoryview, last: bool = False) -> bytes:
        """The frame's data. last: whether this is where the body ends (the caller knows from its length or
        from the end of the file). Raises Tampered for a frame that is altered, from another place or
        another body, or that is the last one where ``last`` says otherwise, and the reverse."""
        if not 0 <= index < MAX_FRAMES:
            raise Tampered(f"a body has no frame {index}")
        try:
            return self._cipher.decrypt(_nonce(index, last), sealed, self._aad)
        except InvalidTag:
            raise Tampered(f"frame {index} is not what was written there") from None


class Span(NamedTuple):
    """Which frames hold a range of a body, and where they lie in the sealed bytes."""

    first: int
    """Index of the first frame needed."""
    frames: int
    """How many frames are needed."""
    start: int
    """Offset of the first of these frames in the sealed body."""
    length: int
    """Sealed bytes to read from there."""
    skip: int
    """Bytes of the first frame's data before the range."""
    last: int
    """Index of the body's last frame (open that one with ``last=True``)."""


def frame_count(size: int, frame_bytes: int) -> int:
    """How many frames a body of ``size`` bytes has. An empty one has an empty frame, so that it has an
    end."""
    return max(1, -(-size // frame_bytes))


def sealed_size(size: int, frame_bytes: int) -> int:
    """Sealed bytes of a body of ``size`` bytes in frames of ``frame_bytes``."""
    return size + TAG_BYTES * frame_count(size, frame_bytes)


def span(size: int, frame_bytes: int, start: int, length: int) -> Span:
    """The frames that hold bytes ``start`` to ``start + length`` of a body of ``size`` bytes in frames of
    ``frame_bytes``. Raises ValueError for a range that the body does not have."""
    if start < 0 or length < 0 or start + length > size:
        raise ValueError(f"bytes {start} to {start + length} are not within a body of {size}")
    frames = frame_count(size, frame_bytes)
    first = min(start // frame_bytes, frames - 1)
    final = max(first, (start + length - 1) // frame_bytes)
    sealed_frame = frame_bytes + TAG_BYTES
    begin = first * sealed_frame
    end = min((final + 1) * sealed_frame, sealed_size(size, frame_bytes))
    return Span(first, final - first + 1, begin, end - begin, start - first * frame_bytes, frames - 1)
