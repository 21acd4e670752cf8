"""Backups: one sealed file that holds everything but the seal's key, made while the server runs.

::

    "CMBKUP\\x00\\x01" | length 4 | header (JSON) | length 4 | wrapped data key | frames

The header says when it was made and holds the root key's record, as its seal wrapped it: so a restore needs the
same seal as the server had then. The root key's own key for backups wraps the data key, bound to the header. The
frames (engine/envelope/frames.py) hold a tar archive: the database's copy, the blobs, the journal's segments, the
settings, the administrator's credentials and the TLS files.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import struct
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from casemate import __version__
from casemate.engine.envelope.derivation import KEY_BYTES, TAG_BYTES
from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.frames import FrameReader, FrameWriter
from casemate.engine.envelope.hierarchy import RootKey, read_record
from casemate.engine.envelope.seals import Seal
from casemate.server.composition import Opened
from casemate.server.config_file import FILE_NAME as SETTINGS
from casemate.server.credentials_file import FILE_NAME as CREDENTIALS
from casemate.server.durable_file import sync_folder
from casemate.store.blobs_files import INCOMING
from casemate.store.journal_format import SegmentName, parse_segment_name

_MAGIC = b"CMBKUP\x00\x01"
_LENGTH = struct.Struct(">I")
_PURPOSE = "backup"
_FRAME = 1 << 20
_MOST_HEADER = 1 << 20
_BLOBS = "blobs"
_ARCHIVE = "archive"
_DATABASE = "casemate.db"
_JOURNAL = "journal"
_TLS = "tls"


class BackupError(Exception):
    """A backup that cannot be made, or cannot be restored as asked. Nothing was changed."""


class Header(NamedTuple):
    """What stands in the clear. seal_id: the seal that a restore needs."""

    version: str
    created: float
    seal_id: str
    record: bytes


# --- making


def make_backup(opened: Opened, file: Path) -> int:
    """Write a backup of the data directory to file, which must not exist; its size in bytes.

    Consistent: the database as of one moment, and at least the audit records of every call that was answered by
    then. Raises BackupError, StoreError (as for PostgreSQL, which has tools of its own), OSError.
    """
    if file.exists():
        raise BackupError(f"{file} exists already")
    data = opened.config.data
    partial = file.with_name(file.name + ".partial")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=data) as folder:
        opened.store.backup(Path(folder) / _DATABASE)
        # Of the copy: the seal may be rotated at this moment.
        record = _record_in(Path(folder) / _DATABASE)
        # Each blob that this copy refers to is there for a while yet, and once linked for as long as it takes.
        if not opened.config.blobs:
            _link_blobs(opened.config.own_blobs, Path(folder) / _BLOBS)
            _link_blobs(Path(opened.config.archive_place), Path(folder) / _ARCHIVE)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as out:
                frames = _sealed_stream(out, opened.root, record)
                # Files as such, whatever links lead to them: a restore takes nothing else.
                with tarfile.open(
                    fileobj=frames, mode="w|", format=tarfile.PAX_FORMAT, dereference=True
                ) as archive:
                    archive.add(Path(folder) / _DATABASE, _DATABASE)
                    for name in (_BLOBS, _ARCHIVE):
                        if (Path(folder) / name).is_dir():
                            archive.add(Path(folder) / name, name)
                    _add_journal(archive, opened.config.journal, Path(folder))
                    for name in (SETTINGS, CREDENTIALS):
                        if (data / name).exists():
                            archive.add(data / name, name)
                    if (data / _TLS).is_dir():
                        archive.add(data / _TLS, _TLS)
                frames.finish()
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            # Not rename, which would replace what came to be there meanwhile.
            os.link(partial, file)
        finally:
            partial.unlink(missing_ok=True)
    sync_folder(file.parent)
    return size


def _link_blobs(blobs: Path, folder: Path) -> None:
    """All blobs, under second names in the folder, which is on the same file system."""
    if not blobs.is_dir():
        return
    for entry in os.scandir(blobs):
        if entry.name == INCOMING or not entry.is_dir(follow_symlinks=False):
            continue
        (folder / entry.name).mkdir(mode=0o700, parents=True)
        for blob in os.scandir(entry):
            with contextlib.suppress(FileNotFoundError):
                os.link(blob.path, folder / entry.name / blob.name, follow_symlinks=False)


def _sealed_stream(out: IO[bytes], root: RootKey, record: bytes) -> _FramesOut:
    header = json.dumps(
        {
            "version": __version__,
            "created": time.time(),
            "seal": read_record(record).seal_id,
            "root_key": base64.b64encode(record).decode(),
        }
    ).encode()
    key = os.urandom(KEY_BYTES)
    wrapped = root.wrapping_key(_PURPOSE).wrap(key, _PURPOSE, header)
    out.write(_MAGIC + _LENGTH.pack(len(header)) + header + _LENGTH.pack(len(wrapped)) + wrapped)
    return _FramesOut(out, FrameWriter(key, _PURPOSE.encode()))


class _FramesOut(io.RawIOBase):
    """What is written, in sealed frames of 1 MiB; ``finish`` seals the last."""

    def __init__(self, out: IO[bytes], frames: FrameWriter) -> None:
        self._out = out
        self._frames = frames
        self._index = 0
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._held += view
        while len(self._held) > _FRAME:
            self._seal(bytes(self._held[:_FRAME]), last=False)
            del self._held[:_FRAME]
        return len(view)

    def finish(self) -> None:
        self._seal(bytes(self._held), last=True)

    def _seal(self, data: bytes, *, last: bool) -> None:
        self._out.write(self._frames.seal_frame(self._index, data, last))
        self._index += 1


def _add_journal(archive: tarfile.TarFile, directory: Path, folder: Path) -> None:
    """Segments, as they can be read back: a run's next segment says how much of the one before it was durable, and
    the one before says that there is a next. So the last segment of a run is copied, and counts only if no next
    one has come to be meanwhile."""
    if not directory.is_dir():
        return
    copy = folder / "segment"
    for run, sequences in _runs(directory).items():
        # Those that came first may have been removed meanwhile, once they were in the database.
        sequence = next((each for each in sequences if (directory / SegmentName(run, each).file).exists()), 0)
        while (path := directory / SegmentName(run, sequence).file).exists():
            following = directory / SegmentName(run, sequence + 1).file
            if not following.exists():
                shutil.copyfile(path, copy)
                if not following.exists():
                    archive.add(copy, f"{_JOURNAL}/{path.name}")
                    break
            # It is complete, or abandoned: nothing is added to it any more but the mark of its end.
            shutil.copyfile(path, copy)
            archive.add(copy, f"{_JOURNAL}/{path.name}")
            sequence += 1


def _runs(directory: Path) -> dict[str, list[int]]:
    runs: dict[str, list[int]] = {}
    for name in sorted(path.name for path in directory.iterdir()):
        segment = parse_segment_name(name)
        if segment is not None:
            runs.setdefault(segment.run, []).append(segment.sequence)
    return runs


# --- restoring


def read_header(file: Path) -> Header:
    """What a backup says of itself; not to be trusted before it was opened. Raises BackupError, OSError."""
    with file.open("rb") as source:
        return _parse_header(_header(source))


def restore_backup(file: Path, data: Path, seals: Iterable[Seal], key_file: Path | None = None) -> Header:
    """Make the data directory from a backup. data must not exist, or be empty; it is there with all its content or
    not at all.

    seals: one of them must be the one that the server had; key_file: put into the new directory as its key file.
    Raises BackupError, WrongSeal, Tampered, OSError.
    """
    if data.exists() and any(data.iterdir()):
        raise BackupError(f"{data} is not empty; restore into a new directory, and move it when all is well")
    data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        file.open("rb") as source,
        tempfile.TemporaryDirectory(prefix=f".{data.name}-restore-", dir=data.parent) as folder,
    ):
        header_bytes = _header(source)
        header = _parse_header(header_bytes)
        root = RootKey.unsealed(header.record, seals)
        key = root.wrapping_key(_PURPOSE).unwrap(_block(source), _PURPOSE, header_bytes)
        made = Path(folder) / "data"
        made.mkdir(mode=0o700)
        _extract(_FramesIn(source, FrameReader(key, _PURPOSE.encode())), made)
        if _record_in(made / _DATABASE) != header.record:
            raise Tampered("the backup's database is not the one that it was made of")
        if key_file is not None:
            shutil.copyfile(key_file, made / "seal.key")
            (made / "seal.key").chmod(0o600)
        for path in [*made.rglob("*"), made]:
            _sync(path)
        if data.exists():
            data.rmdir()
        made.rename(data)
        sync_folder(data.parent)
    return header


def _header(source: IO[bytes]) -> bytes:
    if source.read(len(_MAGIC)) != _MAGIC:
        raise BackupError(f"{source.name} is not a backup made by this version of Casemate")
    return _block(source)


def _block(source: IO[bytes]) -> bytes:
    prefix = source.read(_LENGTH.size)
    length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else _MOST_HEADER + 1
    block = source.read(length) if length <= _MOST_HEADER else b""
    if len(block) != length:
        raise BackupError(f"{source.name} is cut short, or was altered")
    return block


def _parse_header(header: bytes) -> Header:
    try:
        found = json.loads(header)
        record = base64.b64decode(found["root_key"], validate=True)
        return Header(str(found["version"]), float(found["created"]), read_record(record).seal_id, record)
    except (ValueError, KeyError, TypeError):
        raise BackupError("the backup's header was altered") from None


class _FramesIn(io.RawIOBase):
    """The frames' data as a stream. Raises Tampered for what is not as it was written, its end included."""

    def __init__(self, source: IO[bytes], frames: FrameReader) -> None:
        self._frames = self._opened(source, frames)
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        while not self._held:
            frame = next(self._frames, None)
            if frame is None:
                return 0
            self._held = memoryview(frame)
        size = min(len(view), len(self._held))
        view[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

    def drain(self) -> None:
        """Open what is left."""
        for _ in self._frames:
            pass

    @staticmethod
    def _opened(source: IO[bytes], frames: FrameReader) -> Iterator[bytes]:
        sealed = source.read(_FRAME + TAG_BYTES)
        index = 0
        while True:
            following = source.read(_FRAME + TAG_BYTES)
            yield frames.open_frame(index, sealed, last=not following)
            if not following:
                return
            sealed = following
            index += 1


def _extract(frames: _FramesIn, folder: Path) -> None:
    """Unpack files and directories, nothing else, and nowhere else."""
    with tarfile.open(fileobj=io.BufferedReader(frames, _FRAME), mode="r|") as archive:
        for member in archive:
            path = folder / member.name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise Tampered("the backup names a file outside of the data directory")
            if member.isdir():
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif member.isfile():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with open(descriptor, "wb") as out:
                    shutil.copyfileobj(content, out, _FRAME)
            else:
                raise Tampered("the backup holds something else than files")
    frames.drain()


def _record_in(database: Path) -> bytes:
    """The root key's record in a copy of the database, which is checked on the way. Raises BackupError."""
    import apsw

    try:
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            problems = connection.execute("PRAGMA integrity_check(1)").fetchall()
            record: Any = connection.execute("SELECT record FROM root_key WHERE id = 1").fetchall()
        finally:
            connection.close()
    except apsw.Error as error:
        raise BackupError(f"the database's copy cannot be read: {type(error).__name__}") from None
    if problems != [("ok",)] or not record:
        raise BackupError("the database's copy is damaged")
    return bytes(record[0][0])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
