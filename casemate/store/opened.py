"""What sealed rows were opened to, by all that the rows hold.

A row that is sealed and bound to its place opens to the same for ever, so that what it was opened to needs no
generation: another content of the row is another key. It serves transactions, which read each row anew but need not
open it anew; and what one has just sealed need never be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Opened(Generic[V]):
    """The values, at most ``bound``; past that it starts afresh, as ``Cache`` does."""

    __slots__ = ("_bound", "_values")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._values: dict[Hashable, V] = {}

    def __repr__(self) -> str:
        return f"<Opened {len(self._values)}>"

    def get(self, columns: Hashable, open: Callable[[], V]) -> V:  # noqa: A002 - what it does
        """What these columns, the sealed one among them, open to. What ``open`` raises is not kept."""
        value = self._values.get(columns)
        if value is None:
            value = open()
            self.put(columns, value)
        return value

    def put(self, columns: Hashable, value: V) -> None:
        """Keep what was sealed just now, whether or not its transaction will be committed."""
        if len(self._values) >= self._bound:
            self._values = {}
        self._values[columns] = value
