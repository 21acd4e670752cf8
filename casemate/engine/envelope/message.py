"""The KMS symmetric ciphertext blob: opaque to clients, self-describing to us.

::

    magic and version "CMK\\x01" | salt 16 | nonce 12 | length of ARN 2 | length of id 2 | key ARN |
    backing-key id | ciphertext | tag 16

All before the ciphertext is the header; header and encryption context (canonically encoded) are authenticated
together with the ciphertext. A message is sealed under a key derived from the backing key and a random salt,
never under the backing key itself: each process draws a salt of its own for each backing key, numbers the
messages under it by the nonce, and draws another after 2^20 (see the package's bounds). A blob is 52 bytes
longer than its plaintext, plus the ARN and the backing-key id: 191 bytes for an ordinary key's ARN and an id
of 64 digits.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from casemate.engine.envelope.derivation import SALT_BYTES, TAG_BYTES, Deriver, KeyHolder
from casemate.engine.envelope.encoding import pairs
from casemate.engine.envelope.errors import BadCiphertext

HERE, BY_HSM, BY_EXTERNAL_KEY = b"CMK\x01", b"CMK\x02", b"CMK\x03"
"""Magic and version of a blob that is sealed here, and of those that custom key stores seal (keystore/blobs.py)."""
_MAGIC = HERE
_MAGICS = (HERE, BY_HSM, BY_EXTERNAL_KEY)
_HEAD = struct.Struct(">4s16s12sHH")
_LENGTHS = struct.Struct(">HH")
_LABEL = b"casemate kms message 1"
_LONGEST_NAME = 0xFFFF

MESSAGES_PER_SALT = 2**20
_OPENERS = 4096
"""So many derived keys are kept for opening, of all backing keys together: who opens a message soon opens its
neighbours. Each takes 2.6 KiB."""
_kept: deque[tuple[dict[bytes, AESGCM], bytes]] = deque()
"""Where they are, the oldest first."""


class Header(NamedTuple):
    """What a blob says of itself. Not to be trusted before ``open_message`` has opened the blob."""

    key_arn: str
    backing_id: str
    salt: bytes
    nonce: bytes
    length: int
    """Bytes of the header itself."""


class BackingKey(KeyHolder):
    """One version of a KMS key's material. id: what finds it again; key: its 32 bytes."""

    __slots__ = ("_deriver", "_openers", "_sealer", "id")

    def __init__(self, id: str, key: bytes) -> None:  # noqa: A002
        self.id = id
        self._deriver = Deriver(key, _LABEL)
        self._sealer: _Sealer | None = None
        self._openers: dict[bytes, AESGCM] = {}

    def __repr__(self) -> str:
        return f"<BackingKey {self.id}>"

    def _sealer_for(self, key_arn: str) -> _Sealer:
        """A new salt, and all that is the same for the messages under it."""
        arn, backing = key_arn.encode(), self.id.encode()
        if not arn or not backing or len(arn) > _LONGEST_NAME or len(backing) > _LONGEST_NAME:
            raise ValueError("a key's ARN and id have 1 to 65535 bytes")
        salt = os.urandom(SALT_BYTES)
        names = _LENGTHS.pack(len(arn), len(backing)) + arn + backing
        self._sealer = sealer = _Sealer(self._deriver.cipher(salt), key_arn, _MAGIC + salt, names)
        return sealer

    def _keep(self, salt: bytes, cipher: AESGCM) -> None:
        """Keep the key of a message that was opened; any other salt may be a client's invention."""
        self._openers[salt] = cipher
        _kept.append((self._openers, salt))
        if len(_kept) > _OPENERS:
            openers, oldest = _kept.popleft()
            openers.pop(oldest, None)


class _Sealer:
    """One derived key for sealing, with the number of the next message under it."""

    __slots__ = ("before", "cipher", "key_arn", "names", "number", "process")

    def __init__(self, cipher: AESGCM, key_arn: str, before: bytes, names: bytes) -> None:
        self.cipher = cipher
        self.key_arn = key_arn
        self.before = before
        self.names = names
        # itertools.count gives each number to one thread only.
        self.number = count()
        self.process = _process


_process = object()
"""Another object in each process: a forked child must not go on with the numbers of its parent's salts."""


def _forked() -> None:
    global _process
    _process = object()


os.register_at_fork(after_in_child=_forked)


def seal_message(key: BackingKey, key_arn: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """The ciphertext blob of ``plaintext`` under ``key``, which belongs to the KMS key ``key_arn``;
    ``context`` is the encryption context, whose order does not matter."""
    sealer = key._sealer
    if sealer is None or sealer.process is not _process or sealer.key_arn != key_arn:
        sealer = key._sealer_for(key_arn)
    number = next(sealer.number)
    if number >= MESSAGES_PER_SALT:
        sealer = key._sealer_for(key_arn)
        number = next(sealer.number)
    nonce = number.to_bytes(12, "big")
    header = b"%b%b%b" % (sealer.before, nonce, sealer.names)
    return header + sealer.cipher.encrypt(nonce, plaintext, header + pairs(context) if context else header)


def read_header(blob: bytes) -> Header:
    """The header alone, which says which key to fetch. Raises BadCiphertext."""
    try:
        magic, salt, nonce, arn_length, id_length = _HEAD.unpack_from(blob)
    except struct.error:
        raise BadCiphertext from None
    middle = _HEAD.size + arn_length
    length = middle + id_length
    if magic not in _MAGICS or not arn_length or not id_length or len(blob) < length + TAG_BYTES:
        raise BadCiphertext
    try:
        return Header(blob[_HEAD.size : middle].decode(), blob[middle:length].decode(), salt, nonce, length)
    except UnicodeDecodeError:
        raise BadCiphertext from None


def open_message(key: BackingKey, blob: bytes, context: Mapping[str, str]) -> bytes:
    """The plaintext. Raises BadCiphertext for whatever is wrong: another key's or backing key's blob, another
    encryption context, altered or cut bytes."""
    try:
        magic, salt, nonce, arn_length, id_length = _HEAD.unpack_from(blob)
    except struct.error:
        raise BadCiphertext from None
    length = _HEAD.size + arn_length + id_length
    if magic != _MAGIC:
        raise BadCiphertext
    kept = key._openers.get(salt)
    cipher = kept or key._deriver.cipher(salt)
    try:
        plaintext = cipher.decrypt(nonce, blob[length:], blob[:length] + pairs(context))
    except InvalidTag:
        raise BadCiphertext from None
    if kept is None:
        key._keep(salt, cipher)
    return plaintext
