"""Request and event ids: UUIDs of version 4, unique rather than unpredictable.

A process draws 74 random bits, which all of its ids begin with, and numbers them from a random number on. To draw and
format 122 bits for each would cost more than the rest of an audit record.
"""

from __future__ import annotations

import os
from itertools import count

_prefix = ""
# Each number goes to one thread only.
_numbers = count()


def _draw() -> None:
    """A new prefix; in a forked child too, which must not go on with its parent's ids."""
    global _prefix, _numbers
    digits = os.urandom(10).hex()
    variant = "89ab"[int(digits[19], 16) & 3]
    _prefix = f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{variant}{digits[15:18]}-"
    # The last group has 48 bits: so many are left that no process comes to their end.
    _numbers = count(int.from_bytes(os.urandom(6), "big") >> 1)


_draw()
os.register_at_fork(after_in_child=_draw)


def new_uuid() -> str:
    """A UUID as AWS shows request ids: 8-4-4-4-12 lower-case hexadecimal digits."""
    return f"{_prefix}{next(_numbers):012x}"
