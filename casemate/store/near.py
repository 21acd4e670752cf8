"""Writes of a few rows, whose functions run in an event loop while the store's writer thread waits.

A thread that runs Python beside a busy event loop hands the interpreter to and fro at every statement: that cost a
third of what a small write does. So the writer thread takes the database's lock and commits, which both may take
long, and has the loop run the functions in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock, get_ident
from typing import Generic, TypeVar

W = TypeVar("W")

_AT_ONCE = 64
"""So many functions in one turn of the loop at most; others are served before the next ones."""


class NearWrites(Generic[W]):
    """What waits for its turn in the loop, of one store."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._in_loop: Callable[..., object] | None = None
        self._loop = 0
        self._waiting: list[W] = []
        self._posted: deque[Callable[[], object]] = deque()

    def join(self, in_loop: Callable[..., object]) -> None:
        """From now on functions run in the loop of this thread. in_loop: runs one there, called from any thread."""
        self._loop = get_ident()
        self._in_loop = in_loop

    def leave(self) -> None:
        """The loop has ended: called in its thread, before anything in it waits for the store."""
        with self._lock:
            self._in_loop = None
            self._loop = 0
        self._work()

    @property
    def joined(self) -> bool:
        """Whether there is a loop."""
        return self._in_loop is not None

    @property
    def here(self) -> bool:
        """Whether this is the loop's thread, for which the writer may be waiting."""
        return self._loop == get_ident()

    def add(self, item: W) -> bool:
        """Let it wait; whether the writer must be told."""
        with self._lock:
            self._waiting.append(item)
            return len(self._waiting) == 1

    def take(self) -> tuple[list[W], bool]:
        """Those whose turn it is, and whether others still wait, of which the writer must be told."""
        with self._lock:
            items = self._waiting[:_AT_ONCE]
            del self._waiting[: len(items)]
            return items, bool(self._waiting)

    def run(self, work: Callable[[], None]) -> None:
        """Have the loop do it, and wait; where there is none, do it here. Raises what it raises."""
        ended = Lock()
        ended.acquire()
        failed: list[BaseException] = []

        def turn() -> None:
            try:
                work()
            except BaseException as error:
                failed.append(error)
            finally:
                ended.release()

        self.post(turn)
        ended.acquire()
        if failed:
            raise failed[0]

    def post(self, work: Callable[[], object]) -> None:
        """Have the loop do it; where there is none, do it here."""
        with self._lock:
            self._posted.append(work)
            in_loop = self._in_loop
            if in_loop is not None:
                try:
                    in_loop(self._work)
                except RuntimeError:
                    # The loop is closed.
                    in_loop = None
        if in_loop is None:
            self._work()

    def _work(self) -> None:
        while True:
            try:
                work = self._posted.popleft()
            except IndexError:
                # At the loop's end two threads may look here.
                return
            work()
