"""A fresh key for every message: SP 800-108 in counter mode with HMAC-SHA-256, and the random bytes for it.

The derived key is one HMAC, because 256 bits are one block of SHA-256:
``HMAC(key, [1]_32 || label || 0x00 || context || [256]_32)`` (NIST SP 800-108r1, 4.1). The HMAC's keyed
state is computed once per long-lived key and copied per message: 0.9 µs instead of 2.5.
"""

from __future__ import annotations

import os
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
FRESH_BYTES = SALT_BYTES + NONCE_BYTES

_DRAW = 144
"""How many messages' randomness one system call fetches (about 4 KiB)."""

_pool: list[bytes] = []


def fresh() -> bytes:
    """28 random bytes, a salt and a nonce, never given out twice.

    They come from blocks drawn ahead, because a system call per message costs more than the rest of drawing.
    ``list.pop`` is atomic, so threads share the pool without a lock. Salts and nonces are public, so it
    does no harm that they lie in memory beforehand; keys are drawn with ``os.urandom`` instead.
    """
    try:
        return _pool.pop()
    except IndexError:
        block = os.urandom(FRESH_BYTES * _DRAW)
        last = len(block) - FRESH_BYTES
        _pool.extend([block[at : at + FRESH_BYTES] for at in range(0, last, FRESH_BYTES)])
        return block[last:]


# A forked child must not give out the bytes that its parent gives out too.
os.register_at_fork(after_in_child=_pool.clear)


class KeyHolder:
    """A base for whatever holds a key: its repr shows no key, and it can be neither pickled nor copied."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} holds a key and cannot be pickled or copied")


class Deriver(KeyHolder):
    """Derives keys from one long-lived 256-bit key. label: what the derived keys are for."""

    __slots__ = ("_after", "_before", "_mac")

    def __init__(self, key: bytes, label: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
        if b"\0" in label:
            raise ValueError("a label has no zero byte, since one ends it")
        self._mac = HMAC(key, SHA256())
        self._before = b"\0\0\0\1" + label + b"\0"
        self._after = (KEY_BYTES * 8).to_bytes(4, "big")

    def derive(self, context: bytes) -> bytes:
        """The 32-byte key for this context."""
        mac = self._mac.copy()
        mac.update(self._before + context + self._after)
        return mac.finalize()

    def cipher(self, salt: bytes) -> AESGCM:
        """AES-256-GCM under the key for this salt."""
        mac = self._mac.copy()
        mac.update(self._before + salt + self._after)
        return AESGCM(mac.finalize())
