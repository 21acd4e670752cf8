"""Request and event ids: random UUIDs (version 4) from randomness drawn in blocks, because a system call for
each costs more than the rest of the id. The block is never shared across a fork."""

from __future__ import annotations

import os

_BLOCK = 4096

_pool: list[str] = []


def _forget() -> None:
    _pool.clear()


os.register_at_fork(after_in_child=_forget)


def new_uuid() -> str:
    """A random UUID as AWS shows request ids: 8-4-4-4-12 lower-case hexadecimal digits."""
    try:
        # pop is atomic, so that two threads never take the same piece
        digits = _pool.pop()
    except IndexError:
        block = os.urandom(_BLOCK).hex()
        _pool.extend(block[i : i + 32] for i in range(0, len(block), 32))
        return new_uuid()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
