"""Deployment packages: what Lambda checks of a zip archive, and how it is kept.

A package is kept in the database, in frames sealed under a data key of its own, so that it is there exactly when the
version that needs it is, for every worker and machine, and in every backup.
"""

from __future__ import annotations

import io
import os
import zipfile
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.frames import FrameReader, FrameWriter
from casemate.services.lambda_.refusals import invalid
from casemate.services.lambda_.rows import Code
from casemate.store.database import Tx
from casemate.store.ids import new_id

MOST_ZIPPED = 50 * 1024 * 1024
"""Bytes of a package that comes in a request."""
MOST_UNZIPPED = 262_144_000

_FRAME = 1024 * 1024


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
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise invalid(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from None
    if not any(not entry.is_dir() for entry in entries):
        raise invalid("Uploaded file must be a non-empty zip")
    if sum(entry.file_size for entry in entries) > MOST_UNZIPPED:
        raise invalid(f"Unzipped size must be smaller than {MOST_UNZIPPED} bytes")
    for entry in entries:
        # What ZipFile.extract would silently put somewhere else, and what it cannot read.
        parts = entry.filename.replace("\\", "/").split("/")
        if entry.flag_bits & 1 or entry.filename.startswith("/") or ".." in parts:
            raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
    return Package(zipped, b64encode(sha256(zipped).digest()).decode())


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
