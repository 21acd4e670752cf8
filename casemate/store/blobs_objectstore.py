"""Blobs in an object store (S3, GCS, Azure) by obstore, which is imported only here.

An object's name is <last two digits>/<id>: random prefixes spread over a store's partitions. A large body
goes up in parts, of which ``_PARTS_AT_ONCE`` are in memory at a time; an upload that fails is aborted, but
one whose process is killed leaves its parts with the store: let a lifecycle rule of the bucket abort
incomplete uploads.

obstore's own store of local files does not sync them, which is why ``open_blobs`` never makes one: local
files are blobs_files.py's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from casemate.store.blobs import PIECE_BYTES, Blob, BlobNotFound, Piece, Source, check_id, pieces_of
from casemate.store.errors import StoreError, Unavailable
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4


@contextmanager
def _remote() -> Iterator[None]:
    """What the object store refuses is Unavailable, or BlobNotFound."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise BlobNotFound("the object store has no such blob") from None
    except (BaseError, OSError) as error:
        raise Unavailable(f"the object store failed: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """obstore's errors go on with a dump of the request, which does not belong into a log."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


class ObjectBlobs:
    """A BlobStore in one of obstore's stores."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def at(cls, url: str) -> ObjectBlobs:
        """Raises StoreError when obstore is not installed or refuses the URL."""
        try:
            from obstore.store import MemoryStore, from_url
        except ImportError:
            raise StoreError(
                "blobs in an object store need obstore: pip install 'casemate[objectstore]'"
            ) from None
        with _remote():
            return cls(MemoryStore() if url.startswith("memory:") else from_url(url))

    def __repr__(self) -> str:
        return f"<ObjectBlobs in {type(self._store).__name__}>"

    def put(self, source: Source) -> str:
        import obstore

        blob_id = new_id()
        pieces = _Pieces(source)
        first = pieces.up_to(_PART_BYTES)
        try:
            with _remote():
                if pieces.ended:
                    obstore.put(self._store, _name(blob_id), first, use_multipart=False)
                else:
                    obstore.put(
                        self._store,
                        _name(blob_id),
                        pieces.after(first),
                        chunk_size=_PART_BYTES,
                        max_concurrency=_PARTS_AT_ONCE,
                    )
        except StoreError:
            if pieces.error is not None:
                raise pieces.error from None
            raise
        return blob_id

    def open(self, blob_id: str, start: int = 0, length: int | None = None) -> ObjectPart:
        import obstore

        name = _name(check_id(blob_id))
        if start < 0 or (length is not None and length < 0):
            raise ValueError("a part of a blob begins at 0 or later and has no negative length")
        with _remote():
            try:
                if length is None:
                    result = obstore.get(
                        self._store, name, options={"range": {"offset": start}} if start else {}
                    )
                elif length:
                    result = obstore.get(self._store, name, options={"range": (start, start + length)})
                else:
                    return ObjectPart(obstore.head(self._store, name)["size"], iter(()))
            except FileNotFoundError:
                raise
            except Exception:
                # Object stores refuse a range that begins at or after the end, where a slice is empty.
                size = obstore.head(self._store, name)["size"]
                if start < size:
                    raise
                return ObjectPart(size, iter(()))
            return ObjectPart(result.meta["size"], _stream(result.stream(min_chunk_size=PIECE_BYTES)))

    def delete(self, blob_id: str) -> None:
        import obstore

        with contextlib.suppress(BlobNotFound), _remote():
            obstore.delete(self._store, _name(check_id(blob_id)))

    def list(self) -> Iterator[Blob]:
        import obstore

        listing = iter(obstore.list(self._store, chunk_size=1000))
        while True:
            with _remote():
                metas = next(listing, None)
            if metas is None:
                return
            for meta in metas:
                blob_id = meta["path"].rpartition("/")[2]
                try:
                    expected = _name(check_id(blob_id))
                except ValueError:
                    continue  # an operator's own object
                if meta["path"] == expected:
                    yield Blob(blob_id, meta["size"], meta["last_modified"].timestamp())

    def discard_unfinished(self, before: float) -> int:
        """Nothing of its own: see the module's remark on lifecycle rules."""
        del before
        return 0


def _name(blob_id: str) -> str:
    return f"{blob_id[-2:]}/{blob_id}"


def _stream(chunks: Iterator[object]) -> Iterator[memoryview]:
    for chunk in chunks:
        yield memoryview(chunk)  # type: ignore[arg-type]


class _Pieces:
    """A source whose beginning is looked at, and whose error is kept apart from the object store's."""

    def __init__(self, source: Source) -> None:
        self._pieces = pieces_of(source)
        self.ended = False
        self.error: Exception | None = None

    def _next(self) -> Piece | None:
        try:
            piece = next(self._pieces, None)
        except Exception as error:
            self.error = error
            raise
        self.ended = piece is None
        return piece

    def up_to(self, size: int) -> bytes:
        """Bytes from the source: more than ``size``, or all there are (then ``ended``)."""
        gathered = bytearray()
        while len(gathered) <= size and (piece := self._next()) is not None:
            gathered += piece
        return bytes(gathered)

    def after(self, first: bytes) -> Iterator[Piece]:
        yield first
        while (piece := self._next()) is not None:
            yield piece


class ObjectPart:
    """A BlobReader of an object: what has arrived and was not read yet is one chunk at most."""

    def __init__(self, size: int, chunks: Iterator[memoryview]) -> None:
        self.size = size
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        gathered = bytearray()
        while size < 0 or len(gathered) < size:
            if not self._rest:
                with _remote():
                    following = next(self._chunks, None)
                if following is None:
                    break
                self._rest = following
            wanted = len(self._rest) if size < 0 else size - len(gathered)
            gathered += self._rest[:wanted]
            self._rest = self._rest[wanted:]
        return bytes(gathered)

    def close(self) -> None:
        self._chunks = iter(())
        self._rest = memoryview(b"")

    def __enter__(self) -> ObjectPart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
