"""From the seal down: the root key, keys for purposes, account keys, and the material that they wrap.

A row that holds wrapped bytes also holds, in the clear, what they are bound to (account, key id, version,
...). The reader passes those to ``unwrap``: a row that was altered or swapped with another raises Tampered.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from casemate.engine.envelope.derivation import (
    FRESH_BYTES,
    KEY_BYTES,
    SALT_BYTES,
    TAG_BYTES,
    Deriver,
    KeyHolder,
    fresh,
)
from casemate.engine.envelope.encoding import fields
from casemate.engine.envelope.errors import Tampered, WrongSeal
from casemate.engine.envelope.seals import Seal

_WRAP_VERSION = b"\x01"
_RECORD = struct.Struct(">8sHH")
_RECORD_MAGIC = b"CMROOT\x00\x01"
_VERSIONED = struct.Struct(">I")


class WrappingKey(KeyHolder):
    """Wraps secrets under one long-lived key, each with a fresh derived key of its own.

    Wrapped: version 1 | salt 16 | nonce 12 | ciphertext | tag 16, 45 bytes longer than the material.
    """

    __slots__ = ("_deriver",)

    def __init__(self, key: bytes, label: bytes = b"casemate wrap 1") -> None:
        self._deriver = Deriver(key, label)

    def wrap(self, material: bytes, *names: bytes | str | int) -> bytes:
        """``material``, sealed and bound to ``names``, the first of which says what it is."""
        random = fresh()
        cipher = self._deriver.cipher(random[:SALT_BYTES])
        return _WRAP_VERSION + random + cipher.encrypt(random[SALT_BYTES:], material, fields(*names))

    def unwrap(self, wrapped: bytes, *names: bytes | str | int) -> bytes:
        """The material. Raises Tampered unless ``wrapped`` was made under this key with just these names."""
        if wrapped[:1] == _WRAP_VERSION and len(wrapped) >= 1 + FRESH_BYTES + TAG_BYTES:
            salt, nonce = wrapped[1 : 1 + SALT_BYTES], wrapped[1 + SALT_BYTES : 1 + FRESH_BYTES]
            try:
                return self._deriver.cipher(salt).decrypt(nonce, wrapped[1 + FRESH_BYTES :], fields(*names))
            except InvalidTag:
                pass
        raise Tampered(f"the stored {_named(names)} was altered or belongs elsewhere")


def _named(names: tuple[bytes | str | int, ...]) -> str:
    return " ".join(str(name) for name in names if not isinstance(name, bytes)) or "value"


class AccountKey(KeyHolder):
    """One version of an account's key, which wraps what belongs to the account."""

    __slots__ = ("_key", "_wrapping", "account", "version")

    def __init__(self, account: str, version: int, key: bytes) -> None:
        self.account = account
        self.version = version
        self._key = key
        self._wrapping = WrappingKey(key, b"casemate account wrap 1")

    @classmethod
    def generate(cls, account: str, version: int) -> AccountKey:
        return cls(account, version, os.urandom(KEY_BYTES))

    def __repr__(self) -> str:
        return f"<AccountKey {self.account} version {self.version}>"

    def wrap(self, material: bytes, purpose: str, *names: str | int) -> bytes:
        """``material`` wrapped, bound to the account, this key's version, the purpose ("kms backing key")
        and the names (region, key id, version, ...). Begins with this key's version, which
        ``account_key_version`` tells."""
        version = _VERSIONED.pack(self.version)
        return version + self._wrapping.wrap(material, purpose, self.account, self.version, *names)

    def unwrap(self, wrapped: bytes, purpose: str, *names: str | int) -> bytes:
        """The material. Raises Tampered for another account's, purpose's, version's or name's bytes."""
        if account_key_version(wrapped) != self.version:
            raise Tampered(f"the stored {purpose} is not wrapped under {self!r}")
        return self._wrapping.unwrap(wrapped[_VERSIONED.size :], purpose, self.account, self.version, *names)


def account_key_version(wrapped: bytes) -> int:
    """Which version of the account's key wrapped this (not to be trusted before it is unwrapped)."""
    if len(wrapped) < _VERSIONED.size:
        raise Tampered("the stored bytes are too short to be wrapped")
    return int(_VERSIONED.unpack_from(wrapped)[0])


class RootKey(KeyHolder):
    """The key that the seal protects. It derives keys for purposes and wraps the account keys."""

    __slots__ = ("_accounts", "_key", "_purposes")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._purposes = Deriver(key, b"casemate root purpose 1")
        self._accounts = WrappingKey(key, b"casemate root wrap 1")

    @classmethod
    def generate(cls) -> RootKey:
        return cls(os.urandom(KEY_BYTES))

    def same_as(self, other: RootKey) -> bool:
        """Whether both are the same key (after a seal's rotation, say)."""
        return hmac.compare_digest(self._key, other._key)

    def derive(self, purpose: str) -> bytes:
        """The 32-byte key for a purpose: the same for the same root and purpose, unrelated to all others."""
        return self._purposes.derive(fields(purpose))

    def wrapping_key(self, purpose: str) -> WrappingKey:
        """A key for wrapping what belongs to no account (journal segments' data keys, say)."""
        return WrappingKey(self.derive(purpose))

    def wrap_account_key(self, key: AccountKey) -> bytes:
        return self._accounts.wrap(key._key, "account key", key.account, key.version)

    def unwrap_account_key(self, account: str, version: int, wrapped: bytes) -> AccountKey:
        """Raises Tampered for another account's or version's key, and for altered bytes."""
        return AccountKey(account, version, self._accounts.unwrap(wrapped, "account key", account, version))

    def sealed_by(self, seal: Seal) -> bytes:
        """The root key's record: magic and version 8 | length of seal id 2 | length of wrapped 2 | seal id |
        wrapped. Safe to store anywhere."""
        name = seal.id.encode()
        wrapped = seal.wrap(self._key, _record_aad(seal.id))
        return _RECORD.pack(_RECORD_MAGIC, len(name), len(wrapped)) + name + wrapped

    @classmethod
    def unsealed(cls, record: bytes, seals: Iterable[Seal]) -> RootKey:
        """The root key out of its record, by whichever of the seals (current, previous) wrapped it.

        Raises WrongSeal, whose text names the seal that wrapped it and those that were given, and Tampered
        for a record that is none.
        """
        sealed = read_record(record)
        given: list[str] = []
        refusals: list[WrongSeal] = []
        for seal in seals:
            given.append(seal.id)
            if seal.id != sealed.seal_id:
                continue
            try:
                return cls(seal.unwrap(sealed.wrapped, _record_aad(sealed.seal_id)))
            except WrongSeal as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]
        raise WrongSeal(
            f"the root key was sealed by {sealed.seal_id}, "
            f"but the seal given is {' and '.join(given) or 'none'}"
        )


def _record_aad(seal_id: str) -> bytes:
    return fields("casemate root key", _RECORD_MAGIC, seal_id)


class SealedRoot(NamedTuple):
    """A root key's record, read but not opened."""

    seal_id: str
    wrapped: bytes


def read_record(record: bytes) -> SealedRoot:
    """Which seal a root key's record asks for. Raises Tampered for bytes that are no such record."""
    if len(record) >= _RECORD.size:
        magic, name_length, wrapped_length = _RECORD.unpack_from(record)
        middle = _RECORD.size + name_length
        if magic == _RECORD_MAGIC and len(record) == middle + wrapped_length:
            try:
                return SealedRoot(record[_RECORD.size : middle].decode(), record[middle:])
            except UnicodeDecodeError:
                pass
    raise Tampered("this is not a sealed root key's record, or it was altered")
