"""How far a large file is, on the terminal; nothing where there is none."""

from __future__ import annotations

import sys
import time
from types import TracebackType

_EVERY = 0.2
_FIRST_AFTER = 1.0
_MIB = 1024 * 1024


class Progress:
    """A line that is written over, from the second second on. size: bytes of the whole, None where that is not
    known."""

    def __init__(self, name: str, size: int | None, *, quiet: bool) -> None:
        self._name = name
        self._size = size
        self._done = 0
        self._shown = False
        self._began = time.monotonic()
        self._next = self._began + _FIRST_AFTER if sys.stderr.isatty() and not quiet else float("inf")

    def __enter__(self) -> Progress:
        return self

    def add(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self._show(self._done / _MIB / (now - self._began))

    def _show(self, rate: float) -> None:
        share = f"{min(100, 100 * self._done // self._size)} % of " if self._size else ""
        whole = self._size if self._size else self._done
        line = f"{self._name}: {share}{whole / _MIB:.0f} MiB, {rate:.0f} MiB/s"
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
        self._shown = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
