"""One server at a time on a data directory: an exclusive lock on DATA/lock, which its workers share."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

FILE_NAME = "lock"

_PATIENCE = 0.5
"""Seconds for which a busy lock is tried again: whoever only looks whether it is held holds it for a moment."""


class DataInUse(Exception):
    """Another process has the data directory. holder: its process id, 0 when that is not known."""

    def __init__(self, data: Path, holder: int) -> None:
        who = f"another casemate (pid {holder})" if holder else "another casemate"
        super().__init__(f"{who} uses {data}")
        self.holder = holder


class DataLock:
    """A held lock, until ``release`` or the end of this process and of all that were forked from it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go, once. A process that was forked meanwhile goes on holding it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def lock_data(data: Path) -> DataLock:
    """Take the directory for this process. Raises DataInUse, and OSError where it cannot be written."""
    descriptor = os.open(data / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + _PATIENCE
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > end:
                raise DataInUse(data, _holder(descriptor))
            time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return DataLock(descriptor)


def holder(data: Path) -> int | None:
    """The process that holds the directory (0: it is not known which); None when it is free."""
    try:
        descriptor = os.open(data / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_SH) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
