"""Blobs: large bodies, outside the database, in plain files or in an object store.

What is written is the caller's ciphertext (sealed in frames by engine.envelope.frames); a blob store neither
seals nor looks inside. An id is made here, never out of a client's key, and stands in the metadata.

**Order of things.** A blob is put first, and its id committed in the metadata after; when it is replaced or
removed, the metadata goes first and the blob after. So a crash leaves at most blobs that nothing refers to,
which ``sweep_orphans`` removes, and never metadata without its blob.

**Blocking.** All of this blocks, because large bodies are served by blocking threads (docs: architecture);
never call it in an event loop's thread. A store may be used by many threads; a reader by one.

``open_blobs`` makes a store: blobs_files.py (files) or blobs_objectstore.py (S3, GCS, Azure, by obstore).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple, Protocol, runtime_checkable

from casemate.store.errors import StoreError

PIECE_BYTES = 1024 * 1024
"""How much is read at once from a source that is a file."""

Piece = bytes | bytearray | memoryview

_ID = re.compile(r"[0-9a-f]{32}")
_SWEEP_BATCH = 500


class BlobNotFound(StoreError):
    """There is no blob of this id."""


@runtime_checkable
class Readable(Protocol):
    """A source that is read until it gives nothing more."""

    def read(self, size: int, /) -> bytes: ...


Source = Piece | Readable | Iterable[Piece]


class Blob(NamedTuple):
    """A blob in a listing. modified: seconds since the epoch by the store's clock (a machine's, not the
    movable one)."""

    id: str
    size: int
    modified: float


class BlobReader(Protocol):
    """A part of a blob being read. Close it, or use it in a ``with``."""

    @property
    def size(self) -> int:
        """Bytes of the whole blob."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """The next ``size`` bytes (-1: all that are left); fewer only at the end of the part. Raises
        Unavailable."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> BlobReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlobStore(Protocol):
    """Both kinds of store keep this contract; one suite of tests holds them to it."""

    def put(self, source: Source) -> str:
        """Store a new blob, durably and as a whole or not at all, and return its id: 32 hexadecimal digits,
        in the order of time. An error of the source is raised as it is. Raises Unavailable."""
        ...

    def open(self, blob_id: str, start: int = 0, length: int | None = None) -> BlobReader:
        """Bytes ``start`` to ``start + length`` (None: to the end), as a slice takes them: less where the
        blob has less. Raises BlobNotFound, Unavailable."""
        ...

    def delete(self, blob_id: str) -> None:
        """Remove a blob; one that is not there is no error. Raises Unavailable."""
        ...

    def list(self) -> Iterator[Blob]:
        """All blobs, in no order; one that comes or goes meanwhile may be listed or not. Raises
        Unavailable."""
        ...

    def discard_unfinished(self, before: float) -> int:
        """Remove what puts left behind that began before this time (seconds since the epoch) and never
        finished. Returns how many. Raises Unavailable."""
        ...


def open_blobs(place: str) -> BlobStore:
    """The store at a directory's path or a URL: ``file:///path``, ``s3://bucket/prefix``, ``gs://...``,
    ``az://...`` (credentials from the environment, as obstore documents), ``memory://`` (forgets all at the
    end, for tests).

    Raises ValueError for another kind of URL, and StoreError when the store cannot be used.
    """
    scheme, separator, rest = place.partition("://")
    if not separator or scheme == "file":
        from pathlib import Path
        from urllib.parse import unquote

        from casemate.store.blobs_files import FileBlobs

        return FileBlobs(Path(unquote(rest) if separator else place))
    if scheme not in ("s3", "gs", "az", "memory"):
        raise ValueError(
            f"blobs are kept at a path, file://, s3://, gs://, az:// or memory://, not at {scheme}://"
        )
    from casemate.store.blobs_objectstore import ObjectBlobs

    return ObjectBlobs.at(place)


def check_id(blob_id: str) -> str:
    """The id, if it is one. Raises ValueError for anything else, before it becomes part of a path."""
    if not _ID.fullmatch(blob_id):
        raise ValueError("a blob's id has 32 lower-case hexadecimal digits")
    return blob_id


def pieces_of(source: Source) -> Iterator[Piece]:
    """A source's bytes, piece by piece."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield memoryview(source)
    elif isinstance(source, Readable):  # before Iterable: files are that too, by lines
        while piece := source.read(PIECE_BYTES):
            yield piece
    else:
        yield from source


def sweep_orphans(
    blobs: BlobStore, referenced: Callable[[list[str]], Iterable[str]], *, before: float
) -> Iterator[str]:
    """Delete the blobs that nothing refers to, and say which; also discards what unfinished puts left behind.

    referenced(ids) returns those of the ids that the metadata refers to. before: seconds since the epoch by
    the machine's clock; younger blobs are left alone, because their metadata may be about to be committed.
    Give it hours. Raises Unavailable.
    """
    blobs.discard_unfinished(before)
    old: list[str] = []
    for blob in blobs.list():
        if blob.modified < before:
            old.append(blob.id)
        if len(old) == _SWEEP_BATCH:
            yield from _delete_unreferenced(blobs, old, referenced)
            old = []
    if old:
        yield from _delete_unreferenced(blobs, old, referenced)


def _delete_unreferenced(
    blobs: BlobStore, ids: list[str], referenced: Callable[[list[str]], Iterable[str]]
) -> Iterator[str]:
    kept = set(referenced(ids))
    for blob_id in ids:
        if blob_id not in kept:
            blobs.delete(blob_id)
            yield blob_id
