"""Request and event ids: random UUIDs (version 4) from randomness drawn in blocks, because a system call for
each costs more than the rest of the id. The block is never shared across a fork."""

from __future__ import annotations

import os

_DRAWN = 256

_pool: list[str] = []
# A forked child must not give out the ids that its parent gives out too.
os.register_at_fork(after_in_child=_pool.clear)


def new_uuid() -> str:
    """A random UUID as AWS shows request ids: 8-4-4-4-12 lower-case hexadecimal digits."""
    try:
        # pop is atomic, so that two threads never take the same one
        return _pool.pop()
    except IndexError:
        digits = os.urandom(16 * _DRAWN).hex()
        fresh = [_format(digits[at : at + 32]) for at in range(0, len(digits), 32)]
        _pool.extend(fresh[1:])
        return fresh[0]


def _format(digits: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
