"""The clock of ``--dev``: the machine's time plus an offset that a test can move, the same for all workers."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_OFFSET = struct.Struct("<d")


class MovableClock:
    """A ``casemate.clock.Clock`` whose offset lives in a small file that all workers map.

    Eight aligned bytes are written at once, so that no worker reads half an offset.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < _OFFSET.size:
                os.ftruncate(descriptor, _OFFSET.size)
            self._memory = mmap.mmap(descriptor, _OFFSET.size)
        finally:
            os.close(descriptor)

    def now(self) -> float:
        """Seconds since the epoch, moved."""
        return time.time() + self.offset

    @property
    def offset(self) -> float:
        """How far the clock is ahead of the machine's, in seconds."""
        value: float = _OFFSET.unpack(self._memory)[0]
        return value

    def move_to(self, offset: float) -> None:
        """Put the clock this far ahead of the machine's (behind it, when negative)."""
        self._memory[:] = _OFFSET.pack(offset)
