"""Blobs in plain files: DIRECTORY/<last two digits>/<id>, mode 0600, written aside and renamed when durable.

The last digits are random, so the 256 directories fill evenly, while the ids stay in the order of time.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from casemate.store.blobs import Blob, BlobNotFound, Source, check_id, pieces_of
from casemate.store.errors import Unavailable
from casemate.store.ids import new_id

INCOMING = "incoming"

_BEGIN_BYTES = 8 * 1024 * 1024
"""After so many bytes the disk is set to work."""


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is Unavailable."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the blobs' disk failed: {error.strerror or error}") from error


class FileBlobs:
    """A BlobStore in a directory, which is made if need be. One machine's processes may share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._incoming = directory / INCOMING
        with _disk():
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(directory, 0o700)
            _sync(directory)

    def __repr__(self) -> str:
        return f"<FileBlobs {self._directory}>"

    def _path(self, blob_id: str) -> Path:
        return self._directory / check_id(blob_id)[-2:] / blob_id

    def put(self, source: Source) -> str:
        blob_id = new_id()
        aside = self._incoming / blob_id
        with _disk():
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                written = begun = 0
                for piece in pieces_of(source):
                    rest = memoryview(piece)
                    written += len(rest)
                    while rest:
                        with _disk():
                            rest = rest[os.write(descriptor, rest) :]
                    if written - begun >= _BEGIN_BYTES:
                        _begin_writing(descriptor, begun, written - begun)
                        begun = written
                with _disk():
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with _disk():
                self._rename(aside, self._path(blob_id))
        except BaseException:
            # Where even that fails, discard_unfinished will find it.
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        return blob_id

    def _rename(self, aside: Path, path: Path) -> None:
        try:
            aside.rename(path)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _sync(self._directory)
            aside.rename(path)
        _sync(path.parent)

    def open(self, blob_id: str, start: int = 0, length: int | None = None) -> FilePart:
        path = self._path(blob_id)
        _check_range(start, length)
        with _disk():
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise BlobNotFound(f"there is no blob {blob_id}") from None
            try:
                size = os.fstat(descriptor).st_size
            except OSError:
                os.close(descriptor)
                raise
        end = size if length is None else min(size, start + length)
        return FilePart(descriptor, size, start, end)

    def delete(self, blob_id: str) -> None:
        # Not synced: a blob that comes back with a crash is an orphan, and swept like one.
        with _disk():
            self._path(blob_id).unlink(missing_ok=True)

    def list(self) -> Iterator[Blob]:
        with _disk():
            folders = sorted(entry.name for entry in os.scandir(self._directory) if entry.name != INCOMING)
        for folder in folders:
            with _disk():
                found = _files(self._directory / folder)
            yield from found

    def discard_unfinished(self, before: float) -> int:
        with _disk():
            left = [blob.id for blob in _files(self._incoming) if blob.modified < before]
            for name in left:
                (self._incoming / name).unlink(missing_ok=True)
        return len(left)


def _begin_writing(descriptor: int, start: int, length: int) -> None:
    """Have the system begin to write to the disk what was written, so that little is left to be waited for at the
    end. No more than advice: what is on its way to the disk stays in memory as well."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_DONTNEED)


def _check_range(start: int, length: int | None) -> None:
    if start < 0 or (length is not None and length < 0):
        raise ValueError("a part of a blob begins at 0 or later and has no negative length")


def _files(folder: Path) -> list[Blob]:
    """The blobs in one folder. What is no blob (an operator's note, say) is left alone."""
    found = []
    for entry in os.scandir(folder) if folder.is_dir() else ():
        try:
            check_id(entry.name)
            status = entry.stat(follow_symlinks=False)
        except (ValueError, FileNotFoundError):
            continue
        if stat.S_ISREG(status.st_mode):
            found.append(Blob(entry.name, status.st_size, status.st_mtime))
    return found


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FilePart:
    """A BlobReader of a file. The blob may be deleted while it is read; the part is read to its end all the
    same."""

    def __init__(self, descriptor: int, size: int, start: int, end: int) -> None:
        self._descriptor = descriptor
        self.size = size
        self._at = start
        self._end = end

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._end - self._at)
        wanted = left if size < 0 else min(size, left)
        if not wanted:
            return b""
        pieces = []
        while wanted:
            with _disk():
                piece = os.pread(self._descriptor, wanted, self._at)
            if not piece:
                raise Unavailable("a blob's file is shorter than it was")
            self._at += len(piece)
            wanted -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> FilePart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
