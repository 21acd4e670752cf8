"""The KMS symmetric ciphertext blob: opaque to clients, self-describing to us.

::

    magic and version "CMK\\x01" | salt 16 | nonce 12 | length of ARN 2 | length of id 2 | key ARN |
    backing-key id | ciphertext | tag 16

All before the ciphertext is the header; header and encryption context (canonically encoded) are authenticated
together with the ciphertext. Each message has a key of its own, derived from the backing key and the salt
(see the package's bounds). A blob is 52 bytes longer than its plaintext, plus the ARN and the backing-key
id: 159 bytes for an ordinary key's ARN and an id of 32 letters.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from casemate.engine.envelope.derivation import SALT_BYTES, TAG_BYTES, Deriver, KeyHolder, fresh
from casemate.engine.envelope.encoding import pairs
from casemate.engine.envelope.errors import BadCiphertext

_MAGIC = b"CMK\x01"
_HEAD = struct.Struct(">4s16s12sHH")
_LENGTHS = struct.Struct(">HH")
_LABEL = b"casemate kms message 1"
_LONGEST_NAME = 0xFFFF


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

    __slots__ = ("_deriver", "_named", "id")

    def __init__(self, id: str, key: bytes) -> None:  # noqa: A002
        self.id = id
        self._deriver = Deriver(key, _LABEL)
        self._named: tuple[str | None, bytes] = (None, b"")

    def __repr__(self) -> str:
        return f"<BackingKey {self.id}>"

    def _names(self, key_arn: str) -> bytes:
        """The part of the header that is the same for all messages under this key."""
        named = self._named
        if named[0] != key_arn:
            arn, backing = key_arn.encode(), self.id.encode()
            if not arn or not backing or len(arn) > _LONGEST_NAME or len(backing) > _LONGEST_NAME:
                raise ValueError("a key's ARN and id have 1 to 65535 bytes")
            named = self._named = (key_arn, _LENGTHS.pack(len(arn), len(backing)) + arn + backing)
        return named[1]


def seal_message(key: BackingKey, key_arn: str, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """The ciphertext blob of ``plaintext`` under ``key``, which belongs to the KMS key ``key_arn``;
    ``context`` is the encryption context, whose order does not matter."""
    random = fresh()
    header = _MAGIC + random + key._names(key_arn)
    cipher = key._deriver.cipher(random[:SALT_BYTES])
    return header + cipher.encrypt(random[SALT_BYTES:], plaintext, header + pairs(context))


def read_header(blob: bytes) -> Header:
    """The header alone, which says which key to fetch. Raises BadCiphertext."""
    try:
        magic, salt, nonce, arn_length, id_length = _HEAD.unpack_from(blob)
    except struct.error:
        raise BadCiphertext from None
    middle = _HEAD.size + arn_length
    length = middle + id_length
    if magic != _MAGIC or not arn_length or not id_length or len(blob) < length + TAG_BYTES:
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
    try:
        return key._deriver.cipher(salt).decrypt(nonce, blob[length:], blob[:length] + pairs(context))
    except InvalidTag:
        raise BadCiphertext from None
