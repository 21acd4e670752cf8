"""Deployment packages: what Lambda checks of a zip archive, and how it is kept.

A package is kept in the database, in frames sealed under a data key of its own, so that it is there exactly when the
version that needs it is, for every worker and machine, and in every backup.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.frames import FrameReader, FrameWriter
from casemate.errors import AwsError
from casemate.services.lambda_.refusals import invalid
from casemate.services.lambda_.rows import Code
from casemate.store.database import Tx
from casemate.store.ids import new_id

MOST_ZIPPED = 50 * 1024 * 1024
"""Bytes of a package that comes in a request."""
MOST_UNZIPPED = 262_144_000

_FRAME = 1024 * 1024
_MOST_NAME, _MOST_PATH = 255, 1024
"""Bytes of a file's name, and of its path in the package."""
_BAD = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error)
"""What ZipFile raises for archives that it cannot read."""


class Package(NamedTuple):
    """A package that may be stored."""

    zipped: bytes
    sha256: str

    def __repr__(self) -> str:
        return f"<Package of {len(self.zipped)} bytes>"


def checked(zipped: bytes) -> Package:
    """The package, if it is a zip archive that can be unpacked. Raises InvalidParameterValueException."""
    if not zipped:
        raise invalid("Uploaded file must be a non-empty zip")
    if len(zipped) > MOST_ZIPPED:
        raise invalid(f"Zipped size must be smaller than {MOST_ZIPPED} bytes")
    try:
        archive = zipfile.ZipFile(io.BytesIO(zipped))
    except _BAD:
        raise _no_zip() from None
    with archive:
        entries = archive.infolist()
        if not any(not entry.is_dir() for entry in entries):
            raise invalid("Uploaded file must be a non-empty zip")
        if sum(entry.file_size for entry in entries) > MOST_UNZIPPED:
            raise invalid(f"Unzipped size must be smaller than {MOST_UNZIPPED} bytes")
        if not _can_be_files(entries):
            raise _no_zip()
        try:
            # Reads it all, which is as much as the entries say at most.
            bad = archive.testzip()
        except _BAD:
            bad = ""
        if bad is not None:
            raise _no_zip()
    return Package(zipped, b64encode(sha256(zipped).digest()).decode())


def _no_zip() -> AwsError:
    return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")


def _can_be_files(entries: list[zipfile.ZipInfo]) -> bool:
    """Whether nothing is there that ZipFile.extract cannot read, or would silently put somewhere else."""
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return False
        name = entry.filename
        if name.startswith("/") or ".." in name.replace("\\", "/").split("/"):
            return False
        parts = [part for part in name.split("/") if part not in ("", ".")]
        path = "/".join(parts)
        if len(path.encode()) > _MOST_PATH or any(len(part.encode()) > _MOST_NAME for part in parts):
            return False
        if not parts and not entry.is_dir():
            return False
        (folders if entry.is_dir() else files).add(f"{path}/")
    if files & folders:
        return False
    # What is in a "folder" that is a file comes right behind it.
    return not any(one in files and other.startswith(one) for one, other in pairwise(sorted(files | folders)))


def store(tx: Tx, package: Package) -> Code:
    """Keep a package, for the version that is stored in the same transaction."""
    code, key = new_id(), os.urandom(32)
    writer = FrameWriter(key, code.encode())
    data = memoryview(package.zipped)
    count = -(-len(data) // _FRAME)
    for number in range(count):
        piece = data[number * _FRAME : (number + 1) * _FRAME]
        tx.run(
            "INSERT INTO lambda_code (code, frame, sealed) VALUES (?, ?, ?)",
            (code, number, writer.seal_frame(number, piece, number == count - 1)),
        )
    return Code(code, b64encode(key).decode(), package.sha256, len(data))


def load(tx: Tx, code: Code) -> bytes:
    """The package's bytes. Raises Tampered."""
    reader = FrameReader(b64decode(code.key), code.id.encode())
    rows = tx.all("SELECT frame, sealed FROM lambda_code WHERE code = ? ORDER BY frame", (code.id,))
    zipped = b"".join([reader.open_frame(number, sealed, number == len(rows) - 1) for number, sealed in rows])
    if b64encode(sha256(zipped).digest()).decode() != code.sha256:
        raise Tampered("the stored deployment package is another one")
    return zipped


def drop_unused(tx: Tx, *codes: str) -> None:
    """Remove those packages that no version needs any more."""
    for code in codes:
        if tx.one("SELECT 1 FROM lambda_versions WHERE code = ? LIMIT 1", (code,)) is None:
            tx.run("DELETE FROM lambda_code WHERE code = ?", (code,))
