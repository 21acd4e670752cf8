"""Generation numbers: how a cache notices, at the price of one memory read, that what it holds has changed.

One number per domain ("kms", "iam"). A cache remembers the number under which it loaded; any other number
means: start afresh. A write that changes what a domain's caches hold bumps the number twice, before its
commit and again between the commit and its acknowledgement. So whoever asks after the acknowledgement sees a
new number, and nothing loaded in between stays.

Between the two bumps a loaded value may be of either state. ``stamp`` tells: it is negative while a commit is
under way. A process killed in between leaves it so until the next write, and caches that heed it
(``Tx.is_current``) go without keeping; the others are made afresh by ``Store.bump_all`` and by opening a
store.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

from casemate.store.errors import StoreError

_SLOTS = 256
_HEADER = 8  # words
_NAME = 64  # bytes
_NAMES_AT = 8 * (_HEADER + _SLOTS)
_SIZE = _NAMES_AT + _NAME * _SLOTS
_MAGIC = int.from_bytes(b"CMGENS01", "little")
# The header's words.
_W_MAGIC, _W_BEFORE, _W_AFTER, _W_COUNT = range(4)


class Generations:
    """The numbers in memory, and how they are bumped. One per store.

    current(slot): the number now. It is the memory's own item access, 0.04 µs, and raises IndexError for what
    ``slot`` did not give out.
    """

    current: Callable[[int], int]

    def __init__(self, words: memoryview | array[int]) -> None:
        self._words = words
        self._slots: dict[str, int] = {}
        self._lock = threading.Lock()
        self.current = words.__getitem__

    def slot(self, domain: str) -> int:
        """The domain's slot, the same for as long as the store is open. Raises StoreError when there are more
        than 256 domains or the name is longer than 64 bytes."""
        slot = self._slots.get(domain)
        if slot is None:
            with self._lock:
                slot = self._slots[domain] = self._register(domain)
        return slot

    def _register(self, domain: str) -> int:
        slot = self._slots.get(domain)
        if slot is None:
            slot = _HEADER + len(self._slots)
        if slot >= _HEADER + _SLOTS:
            raise StoreError(f"more than {_SLOTS} domains of generations")
        return slot

    def touch(self, slot: int) -> None:
        """Change a number that tells of no commit, so that whoever compares it looks: of no use to caches. Not to be
        counted, and needs no lock."""
        self._words[slot] = time.monotonic_ns()

    def stamp(self) -> int:
        """A number for the state of the database as far as bumps tell; negative while a commit that bumps is
        under way. The same stamp, not negative, at two times: no such commit began or ended in between."""
        raise NotImplementedError

    def before_commit(self, domains: Iterable[str]) -> int:
        """Bump, and mark a commit as under way. The answer is for after_commit."""
        raise NotImplementedError

    def after_commit(self, domains: Iterable[str], mark: int) -> None:
        """Bump again; the commit is over, whether it was done or failed."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what the operating system lent."""


class LocalGenerations(Generations):
    """In this process's memory; a thread brings the news from others (casemate/store/postgresql.py)."""

    def __init__(self) -> None:
        super().__init__(array("Q", bytes(8 * (_HEADER + _SLOTS))))
        self._begun = 0
        self._under_way = 0

    def stamp(self) -> int:
        return -1 if self._under_way else self._begun

    def before_commit(self, domains: Iterable[str]) -> int:
        slots = [self.slot(domain) for domain in domains]
        with self._lock:
            # In this order: whoever sees no commit under way and the old number read them before both.
            self._under_way += 1
            self._begun += 1
            for slot in slots:
                self._words[slot] += 1
        return 0

    def after_commit(self, domains: Iterable[str], mark: int) -> None:  # noqa: ARG002
        slots = [self.slot(domain) for domain in domains]
        with self._lock:
            for slot in slots:
                self._words[slot] += 1
            self._begun += 1
            self._under_way -= 1

    def bump_all(self) -> None:
        """Bump every domain, known or yet to be asked for."""
        with self._lock:
            self._begun += 1
            for slot in range(_HEADER, _HEADER + _SLOTS):
                self._words[slot] += 1


class SharedGenerations(Generations):
    """In a small file that all processes on this machine map.

    Words of 64 bits in the machine's order: a header, then a number per slot; behind them the domains' names,
    64 bytes each, in slot order. Changed only under an exclusive flock of the file. Holds nothing worth
    keeping: deleted while no process uses it, it is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            size = os.fstat(self._fd).st_size
            if size not in (0, _SIZE):
                raise StoreError(f"{path} is not a file of generations: stop all workers and delete it")
            os.ftruncate(self._fd, _SIZE)
            self._map = mmap.mmap(self._fd, _SIZE)
            words = memoryview(self._map).cast("Q")
            # A process killed between ftruncate and here leaves zeros.
            if words[_W_MAGIC] not in (0, _MAGIC):
                raise StoreError(f"{path} is not a file of generations: stop all workers and delete it")
            words[_W_MAGIC] = _MAGIC
        except BaseException:
            os.close(self._fd)
            raise
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        super().__init__(words[: _HEADER + _SLOTS])

    def _register(self, domain: str) -> int:
        name = domain.encode()
        if not 0 < len(name) <= _NAME or b"\0" in name:
            raise StoreError(f"a domain's name has 1 to {_NAME} bytes: {domain!r}")
        name = name.ljust(_NAME, b"\0")
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            count = self._words[_W_COUNT]
            for index in range(count):
                at = _NAMES_AT + _NAME * index
                if self._map[at : at + _NAME] == name:
                    return _HEADER + index
            if count >= _SLOTS:
                raise StoreError(f"more than {_SLOTS} domains of generations")
            at = _NAMES_AT + _NAME * count
            self._map[at : at + _NAME] = name
            self._words[_W_COUNT] = count + 1
            return _HEADER + count
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def stamp(self) -> int:
        # "After" first: were it read last, a commit that began and ended in between would go unseen.
        after = self._words[_W_AFTER]
        before = self._words[_W_BEFORE]
        return before if before == after else -1

    def before_commit(self, domains: Iterable[str]) -> int:
        """Call it under the database's write lock: so commits end in the order of their marks."""
        slots = [self.slot(domain) for domain in domains]
        with self._lock:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                mark = self._words[_W_BEFORE] = self._words[_W_BEFORE] + 1
                for slot in slots:
                    self._words[slot] += 1
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        return mark

    def after_commit(self, domains: Iterable[str], mark: int) -> None:
        slots = [self.slot(domain) for domain in domains]
        with self._lock:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                for slot in slots:
                    self._words[slot] += 1
                # A later mark means that another process committed since, hence after this commit.
                if self._words[_W_AFTER] < mark:
                    self._words[_W_AFTER] = mark
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def bump_all(self) -> None:
        """Bump every slot and settle what a killed process left. Call it under the database's write lock."""
        with self._lock:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                for slot in range(_HEADER, _HEADER + _SLOTS):
                    self._words[slot] += 1
                self._words[_W_BEFORE] = self._words[_W_AFTER] = self._words[_W_BEFORE] + 1
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. The memory stays mapped for as long as somebody may still ask ``current``."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1
