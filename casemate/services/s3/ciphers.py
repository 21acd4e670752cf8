"""A body's keys, its frames under them, and which sealed bytes hold a range of it.

A body is sealed in frames (casemate.engine.envelope.frames), so that a range opens by the frames that hold it, and
what was cut, reordered or exchanged does not open. Each body has keys of its own: its object's or, of a part, keys
derived from the upload's and what tells it from the other parts. Under dual-layer encryption a frame is sealed
twice, by keys of two origins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from casemate.engine.envelope.derivation import TAG_BYTES, Deriver, KeyHolder
from casemate.engine.envelope.encoding import fields
from casemate.engine.envelope.frames import FrameReader, FrameWriter, frame_count, sealed_size, span

FRAME_BYTES = 128 * 1024
"""Content in a frame."""


class ObjectKeys(KeyHolder):
    """The data keys of an object or an upload, one for each layer of encryption; place: the bucket's id and the key,
    to which everything is bound."""

    __slots__ = ("_keys", "_place")

    def __init__(self, keys: Sequence[bytes], *place: str) -> None:
        self._keys = keys
        self._place = place

    def body(self, part: int = 0, salt: bytes = b"") -> BodyKeys:
        """The keys of one body. part: its number, 0 of a whole object, which has the data keys for itself; salt: of a
        part, drawn anew for each."""
        context = fields(*self._place, part, salt)
        if not part:
            return BodyKeys(self._keys, context)
        return BodyKeys([Deriver(key, b"casemate s3 part 1").derive(context) for key in self._keys], context)


class BodyKeys(KeyHolder):
    """The keys of one body, by layer, and what its frames are bound to."""

    __slots__ = ("_aad", "_keys")

    def __init__(self, keys: Sequence[bytes], aad: bytes) -> None:
        self._keys = keys
        self._aad = aad

    def seal(self, pieces: Iterator[memoryview | bytes]) -> Iterator[bytes]:
        """The sealed frames, in order. pieces: of FRAME_BYTES each but for the last one, which may be shorter, and
        which there must be."""
        writers = [FrameWriter(key, self._aad) for key in self._keys]
        index = 0
        piece = next(pieces)
        while True:
            following = next(pieces, None)
            frame: bytes | memoryview = piece
            for writer in writers:
                frame = writer.seal_frame(index, frame, following is None)
            assert isinstance(frame, bytes)
            yield frame
            if following is None:
                return
            piece = following
            index += 1

    def seal_whole(self, content: bytes) -> bytes:
        """A body of one frame."""
        for key in self._keys:
            content = FrameWriter(key, self._aad).seal_frame(0, content, True)
        return content

    def opener(self) -> FrameOpener:
        return FrameOpener([FrameReader(key, self._aad) for key in reversed(self._keys)])

    @property
    def layers(self) -> int:
        return len(self._keys)


class FrameOpener:
    """Opens frames of one body."""

    __slots__ = ("_readers",)

    def __init__(self, readers: Sequence[FrameReader]) -> None:
        self._readers = readers

    def open(self, index: int, sealed: bytes | memoryview, last: bool) -> bytes:
        """A frame's content. Raises Tampered."""
        frame: bytes | memoryview = sealed
        for reader in self._readers:
            frame = reader.open_frame(index, frame, last)
        assert isinstance(frame, bytes)
        return frame


class Region(NamedTuple):
    """Where a range of a body lies in its sealed bytes. start, length: sealed bytes to be read; first, last: the
    numbers of the range's first frame and of the body's last one; skip: content of the first frame before the range;
    frame: sealed bytes of a whole frame."""

    start: int
    length: int
    first: int
    last: int
    skip: int
    frame: int


def region(size: int, start: int, length: int, layers: int) -> Region:
    """For bytes ``start`` to ``start + length`` of a body of ``size`` bytes that is sealed so many times."""
    inner = span(size, FRAME_BYTES, start, length)
    overhead = (layers - 1) * TAG_BYTES
    return Region(
        inner.start + inner.first * overhead,
        inner.length + inner.frames * overhead,
        inner.first,
        inner.last,
        inner.skip,
        FRAME_BYTES + layers * TAG_BYTES,
    )


def stored_size(size: int, layers: int) -> int:
    """Sealed bytes of a body."""
    return sealed_size(size, FRAME_BYTES) + (layers - 1) * TAG_BYTES * frame_count(size, FRAME_BYTES)


class Part(NamedTuple):
    """One body of an object, to be read. id: of its blob, unless its sealed bytes are in data."""

    id: str
    size: int
    keys: BodyKeys
    data: bytes | None


class Openable(Protocol):
    """A store of blobs, as far as reading needs it."""

    def open(self, blob_id: str, start: int = 0, length: int | None = None) -> Readable: ...


class Readable(Protocol):
    """A part of a blob being read."""

    def read(self, size: int = -1, /) -> bytes: ...

    def close(self) -> None: ...
