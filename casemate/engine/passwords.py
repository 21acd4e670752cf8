"""Passwords as they are kept: Argon2id (RFC 9106), with a salt of its own each."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

_MEMORY_KIB = 19 * 1024
_PASSES = 2


def verifier(password: str) -> str:
    """What a password is checked against, in the PHC form. Takes tens of milliseconds."""
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=_PASSES, lanes=1, memory_cost=_MEMORY_KIB)
    return kdf.derive_phc_encoded(password.encode())


def fits(password: str, verifier: str) -> bool:
    """Whether it is the password. Takes as long."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), verifier)
    except InvalidKey:
        return False
    return True
