"""Ids for internal rows, in the order of time: B-trees and WALs like appends (3 times the rate of uuid4)."""

from __future__ import annotations

import os
import struct
import threading
import time

_lock = threading.Lock()
_last = 0
_DRAW = 128
"""So many ids' random bits are fetched by one system call."""
_NUMBERS = struct.Struct(f">{_DRAW}Q")
_drawn: list[int] = []


def new_id() -> str:
    """A UUID version 7 (RFC 9562) as 32 lowercase hexadecimal digits.

    Later ones sort after earlier ones within a process, to the millisecond between processes: the 12 bits
    after the version count within a millisecond (method 1 of section 6.2) and may run ahead of the clock. Not
    a secret: 62 bits are random, the rest is the time.
    """
    global _last
    ticks = (time.time_ns() // 1_000_000) << 12
    with _lock:
        _last = ticks = ticks if ticks > _last else _last + 1
    try:
        drawn = _drawn.pop()  # atomic
    except IndexError:
        drawn, *more = _NUMBERS.unpack(os.urandom(_NUMBERS.size))
        _drawn.extend(more)
    tail = (drawn & 0x3FFFFFFFFFFFFFFF) | 0x8000000000000000
    return f"{ticks >> 12:012x}7{ticks & 0xFFF:03x}{tail:016x}"


def _fork() -> None:
    # The lock may have been held by another thread of the parent at the fork.
    global _lock
    _lock = threading.Lock()
    # Nor may the child give out what its parent gives out too.
    _drawn.clear()


os.register_at_fork(after_in_child=_fork)
