"""Time-based one-time passwords (RFC 6238) as MFA devices show them: six digits, a new one every 30 seconds."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

SECONDS = 30
DIGITS = 6
SEED_BYTES = 40


def step_at(seconds: float) -> int:
    """The number of the 30 seconds that a moment (since the epoch) is in."""
    return int(seconds // SECONDS)


def code_at(seed: bytes, step: int) -> str:
    """What the device shows during a step."""
    # SHA-1 is what authenticator apps know; as HMAC it is sound.
    return HOTP(seed, DIGITS, SHA1(), enforce_key_length=False).generate(step).decode()  # noqa: S303


def matching(seed: bytes, steps: Iterable[int], code: str) -> int | None:
    """The first of the steps at which the device shows the code."""
    return next((step for step in steps if hmac.compare_digest(code_at(seed, step), code)), None)


def consecutive(seed: bytes, steps: Iterable[int], first: str, second: str) -> int | None:
    """The step of the second of two codes that the device shows one after the other."""
    for step in steps:
        if hmac.compare_digest(code_at(seed, step) + code_at(seed, step + 1), first + second):
            return step + 1
    return None
