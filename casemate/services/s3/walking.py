"""Keys in their order, those below a delimiter rolled up, at a cost that does not grow with what is rolled up.

What has been rolled up is never read but for its first key: the walk goes on behind the common prefix, by the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

_FIRST_BATCH = 64
_LARGEST_BATCH = 1_000


class Keyed(Protocol):
    """A row with the key that it is of, and what orders the rows of a key."""

    @property
    def key(self) -> str: ...
    @property
    def version(self) -> str: ...


R = TypeVar("R", bound=Keyed)


class Place(NamedTuple):
    """Where a walk goes on: with the rows from a key on or, with a version, with those behind that version of it."""

    key: str
    version: str = ""


Fetch = Callable[[Place, int], Sequence[R]]
"""Rows in the order of their keys and versions from a place on, at most so many."""


class Entry(NamedTuple, Generic[R]):
    """One entry of a listing: a row, or a common prefix (row: None)."""

    name: str
    row: R | None


def after_all_with(prefix: str) -> str | None:
    """The first text behind all that begin with the prefix, in the order of code points, which is UTF-8's; None where
    there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Surrogates are no characters.
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None


def behind(key: str) -> Place:
    """Where the rows of other keys than that begin."""
    return Place(key + "\0")


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What a key is rolled up into; None for one that is listed itself."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def walk(
    fetch: Fetch[R], *, start: Place, prefix: str = "", delimiter: str = "", passed: str = ""
) -> Iterator[Entry[R]]:
    """The entries from a place on, for as long as somebody wants them. passed: a common prefix that was listed
    before, behind which the walk begins."""
    if passed:
        skipped = after_all_with(passed)
        if skipped is None:
            return
        start = max(start, Place(skipped))
    at, size = max(start, Place(prefix)), _FIRST_BATCH
    while True:
        rows = fetch(at, size)
        seek: str | None = None
        for row in rows:
            key = row.key
            if seek is not None and key < seek:
                continue
            if not key.startswith(prefix):
                return
            rolled = common_prefix(key, prefix, delimiter)
            if rolled is None:
                yield Entry(key, row)
                continue
            yield Entry(rolled, None)
            seek = after_all_with(rolled)
            if seek is None:
                return
        if len(rows) < size:
            return
        last = rows[-1]
        if seek is not None and last.key < seek:
            # What came at the end is rolled up already: look behind it, with little to be read in vain.
            at, size = Place(seek), 2
        else:
            at, size = Place(last.key, last.version), min(size * 2, _LARGEST_BATCH)
