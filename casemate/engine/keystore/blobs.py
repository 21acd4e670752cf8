"""Ciphertext blobs of keys whose material is elsewhere. They begin as all blobs do (envelope/message.py), but for the
version, so that ``read_header`` finds their key.

::

    "CMK\\x02" | ... header ... | ciphertext | tag 16                        sealed in an HSM
    "CMK\\x03" | ... header ... | outer layer                               sealed here, then by an external key
    outer layer: length of nonce 1 | length of metadata 1 | nonce | metadata | tag 16 | ciphertext

**In an HSM.** Header and encryption context are the additional authenticated data. The salt is not used. Nonces are
64 random bits of the process and a 32-bit count of its messages, and are new to each key for as long as no two
processes draw the same 64 bits: for n processes n^2 / 2^65.

**By an external key.** The inner message is an ordinary one, under the key's own material; the proxy is given its
ciphertext and tag, never the plaintext. The additional authenticated data there is a hash of header and encryption
context: 32 bytes, whatever the context's size (proxies need to take 8,192 bytes, and the two together may be longer).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import count

from casemate.engine.envelope.derivation import NONCE_BYTES, SALT_BYTES, TAG_BYTES
from casemate.engine.envelope.encoding import pairs
from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import (
    BY_EXTERNAL_KEY,
    BY_HSM,
    HERE,
    BackingKey,
    open_message,
    read_header,
    seal_message,
)
from casemate.engine.keystore.xks_messages import Layer

_HEAD = struct.Struct(">4s16s12sHH")
_LAYER = struct.Struct(">BB")
_COUNT_BYTES = 4
_MESSAGES = 2**32
"""So many with one prefix."""


class _Nonces:
    """Numbers behind a random prefix; another prefix before they run out, and in a forked child."""

    def __init__(self) -> None:
        self._prefix = os.urandom(NONCE_BYTES - _COUNT_BYTES)
        # itertools.count gives each number to one thread only.
        self._next = count()

    def next(self) -> bytes | None:
        """None when there are no more."""
        number = next(self._next)
        return self._prefix + number.to_bytes(_COUNT_BYTES, "big") if number < _MESSAGES else None


_nonces = _Nonces()


def _renew() -> None:
    global _nonces
    _nonces = _Nonces()


os.register_at_fork(after_in_child=_renew)


def _nonce() -> bytes:
    nonce = _nonces.next()
    while nonce is None:
        _renew()
        nonce = _nonces.next()
    return nonce


def seal_in_hsm(
    key_arn: str,
    material_id: str,
    plaintext: bytes,
    context: Mapping[str, str],
    seal: Callable[[bytes, bytes, bytes], bytes],
) -> bytes:
    """The blob. seal: from nonce, plaintext and additional data to ciphertext and tag, in the HSM."""
    nonce = _nonce()
    arn, material = key_arn.encode(), material_id.encode()
    header = _HEAD.pack(BY_HSM, bytes(SALT_BYTES), nonce, len(arn), len(material)) + arn + material
    return header + seal(nonce, plaintext, header + pairs(context))


def open_in_hsm(
    blob: bytes, context: Mapping[str, str], unseal: Callable[[bytes, bytes, bytes], bytes]
) -> bytes:
    """The plaintext. unseal: from nonce, ciphertext with tag and additional data to the plaintext. Raises
    BadCiphertext."""
    header = read_header(blob)
    if blob[:4] != BY_HSM:
        raise BadCiphertext
    return unseal(header.nonce, blob[header.length :], blob[: header.length] + pairs(context))


def seal_twice(
    key: BackingKey,
    key_arn: str,
    plaintext: bytes,
    context: Mapping[str, str],
    encrypt: Callable[[bytes, bytes], Layer],
) -> bytes:
    """The blob. encrypt: from plaintext and additional data to the outer layer, by the external key."""
    inner = seal_message(key, key_arn, plaintext, context)
    length = read_header(inner).length
    header = BY_EXTERNAL_KEY + inner[4:length]
    outer = encrypt(inner[length:], _digest(header, context))
    lengths = _LAYER.pack(len(outer.nonce), len(outer.metadata))
    return header + lengths + outer.nonce + outer.metadata + outer.tag + outer.ciphertext


def open_twice(
    key: BackingKey, blob: bytes, context: Mapping[str, str], decrypt: Callable[[Layer, bytes], bytes]
) -> bytes:
    """The plaintext. decrypt: from the outer layer and additional data to what is under it. Raises BadCiphertext for
    what is no such blob, and for what the external key opened but this one does not."""
    length = read_header(blob).length
    header, outer = blob[:length], blob[length:]
    if header[:4] != BY_EXTERNAL_KEY or len(outer) < _LAYER.size:
        raise BadCiphertext
    of_nonce, of_metadata = _LAYER.unpack_from(outer)
    tag = _LAYER.size + of_nonce + of_metadata
    layer = Layer(
        outer[tag + TAG_BYTES :],
        outer[_LAYER.size : _LAYER.size + of_nonce],
        outer[tag : tag + TAG_BYTES],
        outer[_LAYER.size + of_nonce : tag],
    )
    if of_nonce not in (12, 16) or len(layer.ciphertext) < TAG_BYTES:
        raise BadCiphertext
    inner = decrypt(layer, _digest(header, context))
    return open_message(key, HERE + header[4:] + inner, context)


def _digest(header: bytes, context: Mapping[str, str]) -> bytes:
    return sha256(header + pairs(context)).digest()
