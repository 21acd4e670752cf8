"""The seal by a passphrase: Argon2id (RFC 9106), its parameters and salt stored beside the wrapped key."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from casemate.engine.envelope.derivation import KEY_BYTES, KeyHolder
from casemate.engine.envelope.errors import SealError, Tampered, WrongSeal
from casemate.engine.envelope.hierarchy import WrappingKey

MIN_PASSPHRASE_BYTES = 12

_PARAMETERS = struct.Struct(">BIII16s")
_VERSION = 1
_MOST_MEMORY_KIB = 4 * 1024 * 1024
_MOST_ITERATIONS = 1000
_MOST_LANES = 64


class Cost(NamedTuple):
    """What one guess costs. The default is RFC 9106's second recommendation (section 4): 64 MiB, 3 passes, 4
    lanes; about 0.2 s. It is paid once, at start."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4

    def check(self) -> None:
        """Raises SealError for a cost that Argon2 does not have, or that would bring the machine down."""
        if not (
            1 <= self.lanes <= _MOST_LANES
            and 1 <= self.iterations <= _MOST_ITERATIONS
            and 8 * self.lanes <= self.memory_kib <= _MOST_MEMORY_KIB
        ):
            raise SealError(
                f"a passphrase's cost is 1 to {_MOST_LANES} lanes, 1 to {_MOST_ITERATIONS} iterations "
                f"and 8 KiB a lane to {_MOST_MEMORY_KIB} KiB of memory"
            )


class PassphraseSeal(KeyHolder):
    """Wraps under a key stretched from the passphrase. Its id does not tell two passphrases apart: anything
    that did would help guessing. cost: for ``wrap``; ``unwrap`` takes the cost that was stored."""

    __slots__ = ("_cost", "_passphrase")

    id = "passphrase"

    def __init__(self, passphrase: bytes, cost: Cost | None = None) -> None:
        if len(passphrase) < MIN_PASSPHRASE_BYTES:
            raise SealError(f"a passphrase has at least {MIN_PASSPHRASE_BYTES} characters")
        self._passphrase = passphrase
        self._cost = cost or Cost()
        self._cost.check()

    def _wrapping(self, cost: Cost, salt: bytes) -> WrappingKey:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        stretched = Argon2id(
            salt=salt,
            length=KEY_BYTES,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        ).derive(self._passphrase)
        return WrappingKey(stretched, b"casemate passphrase wrap 1")

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        salt = os.urandom(16)
        parameters = _PARAMETERS.pack(_VERSION, *self._cost, salt)
        return parameters + self._wrapping(self._cost, salt).wrap(key, aad, parameters)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        if len(wrapped) < _PARAMETERS.size or wrapped[0] != _VERSION:
            raise WrongSeal("this was not sealed by a passphrase, or it was altered")
        _, memory_kib, iterations, lanes, salt = _PARAMETERS.unpack_from(wrapped)
        cost = Cost(memory_kib, iterations, lanes)
        cost.check()
        try:
            return self._wrapping(cost, salt).unwrap(
                wrapped[_PARAMETERS.size :], aad, wrapped[: _PARAMETERS.size]
            )
        except Tampered:
            raise WrongSeal(
                "this passphrase does not open this: another one sealed it, or it was altered"
            ) from None
