"""Rows in memory, kept coherent by generation numbers.

A cache belongs to one domain; a write that changes what it holds says ``tx.bump(domain)``, and the next ``get``
in any worker sees the new number and starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from casemate.store.database import Store, Tx

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Miss(Exception):
    """The value is not in memory and the caller (the event loop) may not wait for the database: run the request
    again where it may."""


class Cache(Generic[K, V]):
    """What ``load`` makes of the database, by key, for one domain.

    load: runs in a transaction; what it raises is not cached. bound: entries held at most; past that the
    cache starts afresh, which is cheap and needs no bookkeeping on the hot path.
    """

    __slots__ = ("_bound", "_current", "_domain", "_load", "_slot", "_state")

    def __init__(self, store: Store, domain: str, load: Callable[[Tx, K], V], bound: int = 50_000) -> None:
        self._domain = domain
        self._current = store.generations.current
        self._slot = store.generations.slot(domain)
        # One tuple, so that a thread never pairs one generation's number with another's rows.
        self._state: tuple[int, dict[K, V]] = (-1, {})
        self._load = load
        self._bound = bound

    def get(self, key: K, tx: Tx | None) -> V:
        """The value for key, from memory or, where there is a transaction to read by, from the database.
        Raises Miss without one."""
        generation = self._current(self._slot)
        state = self._state
        if generation != state[0]:
            # A new dict, never a cleared one: a thread that still loads under the old generation writes into
            # a dict that nobody reads any more.
            self._state = state = (generation, {})
        rows = state[1]
        value = rows.get(key)
        if value is not None:
            return value
        if tx is None:
            raise Miss
        value = self._load(tx, key)
        # A snapshot that began before the latest bump may hold the state before it: good enough for this
        # request, which began then too, but not to be kept under the new number.
        if value is not None and tx.is_current():
            if len(rows) >= self._bound:
                rows.clear()
            rows[key] = value
        return value

    def fresh(self, key: K, tx: Tx) -> V:
        """The value as this transaction sees it, its own changes included; not cached."""
        return self._load(tx, key)

    def settled(self, key: K, tx: Tx) -> V:
        """The value as this write's transaction sees it, from memory where nothing of the domain has changed in
        it. For what a write needs to look at and does not change itself."""
        if not tx.settled(self._domain):
            return self._load(tx, key)
        generation = self._current(self._slot)
        state = self._state
        if generation != state[0]:
            self._state = state = (generation, {})
        rows = state[1]
        value = rows.get(key)
        if value is None:
            value = self._load(tx, key)
            if value is not None:
                if len(rows) >= self._bound:
                    rows.clear()
                rows[key] = value
        return value
