"""Files of the archive at rest: blobs of frames of 128 KiB, each file under a data key of its own, which the root's
key for the archive wraps, and bound to the file's name.

A range is read by its frames alone. Frames and files that were altered, swapped, or cut raise Tampered.
"""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from casemate.engine.envelope.derivation import KEY_BYTES, TAG_BYTES
from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.frames import FrameReader, FrameWriter, frame_count, span
from casemate.store.blobs import BlobNotFound
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.engine.envelope.hierarchy import WrappingKey
    from casemate.store.blobs import BlobStore

PURPOSE: Final = "audit archive"
FRAME_BYTES: Final = 128 * 1024


class File(NamedTuple):
    """name: what it is bound to; size: of its content; key: wrapped."""

    name: str
    blob: str
    size: int
    key: bytes


def put(blobs: BlobStore, key: WrappingKey, content: memoryview) -> File:
    """Store a new file, durably. Raises Unavailable."""
    name, data_key = new_id(), os.urandom(KEY_BYTES)
    frames = FrameWriter(data_key, _aad(name))
    count = frame_count(len(content), FRAME_BYTES)

    def sealed() -> Iterator[bytes]:
        for index in range(count):
            piece = content[index * FRAME_BYTES : (index + 1) * FRAME_BYTES]
            yield frames.seal_frame(index, piece, index == count - 1)

    return File(name, blobs.put(sealed()), len(content), key.wrap(data_key, PURPOSE, name, len(content)))


def _aad(name: str) -> bytes:
    return f"{PURPOSE} {name}".encode()


class Reader(io.RawIOBase):
    """A file's content. Each thread has a place of its own in it, for DuckDB's threads read a file together. Raises
    Tampered, Unavailable."""

    def __init__(self, blobs: BlobStore, key: WrappingKey, file: File) -> None:
        self._blobs = blobs
        self._file = file
        self._frames = FrameReader(key.unwrap(file.key, PURPOSE, file.name, file.size), _aad(file.name))
        self._place = threading.local()
        self._kept: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._file.size}[whence]
        self._place.at = max(0, start + offset)
        return self.tell()

    def tell(self) -> int:
        at: int = getattr(self._place, "at", 0)
        return at

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        left = max(0, self._file.size - at)
        length = left if size is None or size < 0 else min(size, left)
        if not length:
            return b""
        self._place.at = at + length
        first, last = at // FRAME_BYTES, (at + length - 1) // FRAME_BYTES
        skip = at - first * FRAME_BYTES
        kept = self._kept
        if first == last == kept[0]:
            return kept[1][skip : skip + length]
        opened = self._open(first, last)
        self._kept = last, opened[-1]
        whole = opened[0] if first == last else b"".join(opened)
        return whole[skip : skip + length]

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any writable buffer
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _open(self, first: int, last: int) -> list[bytes]:
        """The content of these frames."""
        size, start = self._file.size, first * FRAME_BYTES
        where = span(size, FRAME_BYTES, start, min(size, (last + 1) * FRAME_BYTES) - start)
        try:
            with self._blobs.open(self._file.blob, where.start, where.length) as reader:
                sealed = memoryview(reader.read())
        except BlobNotFound:
            raise Tampered(f"the archive's file {self._file.name} is missing") from None
        if len(sealed) != where.length:
            raise Tampered(f"the archive's file {self._file.name} is shorter than it was")
        width = FRAME_BYTES + TAG_BYTES
        return [
            self._frames.open_frame(
                where.first + index,
                sealed[index * width : (index + 1) * width],
                where.first + index == where.last,
            )
            for index in range(where.frames)
        ]
