"""Bodies on their way: a request's body into sealed frames, counted and hashed; sealed frames into an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Queue
from threading import Thread
from typing import NamedTuple

from casemate.engine.checksums import Checksum, checksum
from casemate.engine.envelope.errors import Tampered
from casemate.services.s3.ciphers import FRAME_BYTES, BodyKeys, Part, region
from casemate.store.blobs import BlobNotFound, BlobReader, BlobStore
from casemate.store.database import Tx
from casemate.store.ids import new_id

INLINE = 64 * 1024
"""Bodies up to this size are rows of the database, and share its commits; larger ones are blobs."""

_LARGE = 1024 * 1024
"""From here on a second hash is counted beside the first."""

_WAITING = 32
"""Pieces that a hash may lag behind."""

_AT_ONCE = 8
"""Frames that are read, opened and sent together."""

_COPIED = 1024 * 1024

DIGEST = "CRC64NVME"

Piece = bytes | bytearray | memoryview


class Stored(NamedTuple):
    """A body that was sealed and, unless its sealed bytes are in data, is durable as the blob of that id. digest: of
    its sealed bytes, CRC64NVME."""

    id: str
    size: int
    data: bytes | None
    digest: bytes


class Bodies:
    """Where the bodies of objects are, one per worker: ``call.part(Bodies)``."""

    def __init__(self, blobs: BlobStore) -> None:
        self.blobs = blobs

    def __repr__(self) -> str:
        return "<Bodies>"

    def store(
        self,
        pieces: Iterable[Piece],
        size: int,
        keys: BodyKeys,
        hashes: Sequence[Checksum],
        check: Callable[[], object] | None = None,
    ) -> Stored:
        """Seal a body and put it where it belongs; blocks unless it is small. hashes: are fed all of it; check: is
        called when all has come and nothing is kept yet, and may raise. What the source raises leaves nothing
        behind."""
        if size <= INLINE:
            whole = b"".join(pieces)
            for one in hashes:
                one.update(whole)
            if check is not None:
                check()
            small = len(whole) <= FRAME_BYTES
            data = keys.seal_whole(whole) if small else b"".join(keys.seal(_frames((whole,))))
            return Stored(new_id(), size, data, digest_of((data,)))
        digest = checksum(DIGEST)
        hashed = _hashed(pieces, hashes, check, aside=size >= _LARGE and len(hashes) > 1)
        blob = self.blobs.put(_sealed(hashed, keys, digest))
        return Stored(blob, size, None, digest.digest())

    def copy(self, pieces: Iterable[Piece], size: int, data: bytes | None) -> Stored:
        """Store another body of the same sealed bytes, which are in data or come in pieces. size: of the content."""
        if data is not None:
            return Stored(new_id(), size, data, digest_of((data,)))
        digest = checksum(DIGEST)
        blob = self.blobs.put(_digested(pieces, digest))
        return Stored(blob, size, None, digest.digest())

    def sealed(self, blob: str) -> Iterator[bytes]:
        """A blob as it is. Raises Tampered where there is none."""
        try:
            reader = self.blobs.open(blob)
        except BlobNotFound:
            raise Tampered("an object's blob is missing") from None
        with reader:
            while piece := reader.read(_COPIED):
                yield piece

    def discard(self, stored: Stored) -> None:
        """What was stored is not wanted after all."""
        if stored.data is None:
            self.blobs.delete(stored.id)

    def read(self, parts: Sequence[Part], start: int, length: int) -> Reading:
        """Bytes ``start`` to ``start + length`` of what the parts are together. It blocks."""
        return Reading(self.blobs, parts, start, length)


def digest_of(pieces: Iterable[Piece]) -> bytes:
    """What tells whether sealed bytes are as they were."""
    digest = checksum(DIGEST)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def insert(
    tx: Tx, stored: Stored, holder: str, *, part: int = 0, salt: bytes = b"", sealed: bytes | None = None
) -> None:
    """Make a body's row. holder: the version or the upload that it belongs to."""
    tx.run(
        "INSERT INTO s3_bodies (id, holder, part, size, salt, data, sealed, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (stored.id, holder, part, stored.size, salt, stored.data, sealed, stored.digest),
    )


def _digested(pieces: Iterable[Piece], digest: Checksum) -> Iterator[Piece]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _sealed(pieces: Iterable[Piece], keys: BodyKeys, digest: Checksum) -> Iterator[bytes]:
    for frame in keys.seal(_frames(pieces)):
        digest.update(frame)
        yield frame


def _hashed(
    pieces: Iterable[Piece], hashes: Sequence[Checksum], check: Callable[[], object] | None, aside: bool
) -> Iterator[Piece]:
    """The same pieces, which the hashes are fed; aside: all but the first in threads of their own."""
    here, there = (hashes[:1], [_Feeder(one) for one in hashes[1:]]) if aside else (hashes, [])
    feed = [one.update for one in here] + [one.update for one in there]
    try:
        for piece in pieces:
            for update in feed:
                update(piece)
            yield piece
    finally:
        for one in there:
            one.finish()
    if check is not None:
        check()


class _Feeder:
    """Feeds a hash in a thread: MD5 takes as long as all else that is done with a body together, and lets other
    threads run meanwhile."""

    def __init__(self, fed: Checksum) -> None:
        self._fed = fed
        self._pieces: Queue[Piece | None] = Queue(_WAITING)
        self._thread = Thread(target=self._feed, name="casemate-hash", daemon=True)
        self._thread.start()

    def update(self, piece: Piece) -> None:
        self._pieces.put(piece)

    def finish(self) -> None:
        """Wait until all of it was fed."""
        self._pieces.put(None)
        self._thread.join()

    def _feed(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._fed.update(piece)


def _frames(pieces: Iterable[Piece]) -> Iterator[memoryview]:
    """The same bytes in pieces of a frame's content each, the last one shorter or, of nothing, empty."""
    rest = bytearray()
    yielded = False
    for piece in pieces:
        view = memoryview(piece)
        if rest:
            lacking = FRAME_BYTES - len(rest)
            rest += view[:lacking]
            view = view[lacking:]
            if len(rest) < FRAME_BYTES:
                continue
            yield memoryview(rest)
            yielded = True
            rest = bytearray()
        while len(view) >= FRAME_BYTES:
            yield view[:FRAME_BYTES]
            yielded = True
            view = view[FRAME_BYTES:]
        rest += view
    if rest or not yielded:
        yield memoryview(rest)


class Reading:
    """A range of an object's content, piece by piece. Raises Tampered, Unavailable; close it."""

    __slots__ = ("_blobs", "_left", "_open", "_parts", "_skip")

    def __init__(self, blobs: BlobStore, parts: Sequence[Part], start: int, length: int) -> None:
        self._blobs = blobs
        self._parts = parts
        self._skip = start
        self._left = length
        self._open: BlobReader | None = None

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if not self._left:
                return
            if self._skip >= part.size:
                self._skip -= part.size
                continue
            length = min(self._left, part.size - self._skip)
            yield from self._part(part, self._skip, length)
            self._left -= length
            self._skip = 0
        if self._left:
            raise Tampered("an object's parts are fewer than they were")

    def close(self) -> None:
        """Let go of what is open."""
        reader, self._open = self._open, None
        if reader is not None:
            reader.close()

    def _part(self, part: Part, start: int, length: int) -> Iterator[bytes]:
        where = region(part.size, start, length, part.keys.layers)
        opener = part.keys.opener()
        index, skip = where.first, where.skip
        end = where.start + where.length
        try:
            if part.data is None:
                try:
                    self._open = reader = self._blobs.open(part.id, where.start, where.length)
                except BlobNotFound:
                    raise Tampered("an object's blob is missing") from None
                sealed_pieces = iter(lambda: reader.read(_AT_ONCE * where.frame), b"")
            else:
                sealed_pieces = iter((part.data[where.start : end],))
            for sealed in sealed_pieces:
                view = memoryview(sealed)
                opened = []
                for at in range(0, len(view), where.frame):
                    opened.append(opener.open(index, view[at : at + where.frame], index == where.last))
                    index += 1
                content = opened[0] if len(opened) == 1 else b"".join(opened)
                piece = content[skip : skip + length] if skip or len(content) > length else content
                skip = 0
                length -= len(piece)
                yield piece
        finally:
            # Also when nobody wants the rest.
            self.close()
        if length:
            raise Tampered("an object's blob is shorter than it was")
