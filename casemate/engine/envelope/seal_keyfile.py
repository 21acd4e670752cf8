"""The seal by a key file, the default: one line of text, readable by its owner alone."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from casemate.engine.envelope.derivation import KEY_BYTES, Deriver, KeyHolder
from casemate.engine.envelope.errors import SealError, Tampered, WrongSeal
from casemate.engine.envelope.hierarchy import WrappingKey
from casemate.engine.envelope.seals import read_secret_file

_PREFIX = b"casemate-seal-key-1:"


class KeyFileSeal(KeyHolder):
    """Wraps under the file's 256-bit key. Its id is a fingerprint of the key, made by the same one-way
    derivation as all keys here, so that it gives nothing away."""

    __slots__ = ("_wrapping", "id")

    def __init__(self, key: bytes) -> None:
        fingerprint = Deriver(key, b"casemate key file fingerprint 1").derive(b"")
        self.id = f"keyfile:{fingerprint[:8].hex()}"
        self._wrapping = WrappingKey(key, b"casemate key file wrap 1")

    def __repr__(self) -> str:
        return f"<KeyFileSeal {self.id}>"

    @classmethod
    def read(cls, path: Path) -> KeyFileSeal:
        """Raises SealError for a file that is missing, that others may read, or that holds no key."""
        line = read_secret_file(path, "key file").strip()
        try:
            key = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not line.startswith(_PREFIX) or len(key) != KEY_BYTES:
            raise SealError(f"the key file {path} does not hold a key made by Casemate")
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> KeyFileSeal:
        """Write a new random key to ``path`` (mode 0600, durable), which must not exist yet; it is there whole or not
        at all, whatever crashes. Raises SealError."""
        key = os.urandom(KEY_BYTES)
        part = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with open(descriptor, "wb") as file:
                    file.write(_PREFIX + base64.b64encode(key) + b"\n")
                    file.flush()
                    os.fsync(descriptor)
                # Not rename, which would replace what is there.
                os.link(part, path)
            finally:
                os.unlink(part)
        except OSError as error:
            raise SealError(f"the key file {path} cannot be made: {error.strerror}") from None
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return cls(key)

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        return self._wrapping.wrap(key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        try:
            return self._wrapping.unwrap(wrapped, aad)
        except Tampered:
            raise WrongSeal(
                f"the seal {self.id} does not open this: another key file sealed it, or it was altered"
            ) from None
