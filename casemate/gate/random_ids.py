"""Request and event ids: UUIDs of version 4, unique rather than unpredictable.

A process draws 58 random bits, which all of its ids begin with, and numbers them. To draw and format 122 bits for
each would cost more than the rest of an audit record.
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
    digits = os.urandom(9).hex()
    _prefix = f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{'89ab'[int(digits[15], 16) & 3]}{digits[16:18]}"
    _numbers = count(int.from_bytes(os.urandom(6), "big"))


_draw()
os.register_at_fork(after_in_child=_draw)


def new_uuid() -> str:
    """A UUID as AWS shows request ids: 8-4-4-4-12 lower-case hexadecimal digits."""
    # 52 bits: what is left of the fourth group, and the fifth.
    digits = f"{next(_numbers):013x}"
    return f"{_prefix}{digits[0]}-{digits[1:]}"
