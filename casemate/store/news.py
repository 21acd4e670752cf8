"""How a PostgreSQL store learns of generations bumped by others: a polled table, hurried by NOTIFY.

Every writing connection has a row of its own (no two transactions change the same one) with the times it
bumped each domain. A thread reads them every 100 ms, or when notified; a second one watches the first, which
may hang with its connection, and makes all caches start afresh while there is no news. So a cache is at most
250 ms behind another node's commit.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from casemate.store.errors import Unavailable
from casemate.store.generations import LocalGenerations

EVERYTHING = "*"
"""A domain that stands for all."""

_POLL = 0.1
_STALE = 0.2  # without news for as long, plus a step of the watch, makes 250 ms
_STEP = 0.05
_TIDY = 3600  # seconds


class News:
    """connect: makes a session or raises Unavailable at once; tidy: called with it every hour; hang_up: called
    when there is no answer for patience seconds."""

    def __init__(
        self,
        generations: LocalGenerations,
        connect: Callable[[], psycopg.Connection[Any]],
        tidy: Callable[[psycopg.Connection[Any]], None],
        patience: float,
        hang_up: Callable[[], None],
    ) -> None:
        self._generations = generations
        self._connect = connect
        self._tidy = tidy
        self._patience = patience
        self._hang_up = hang_up
        self._stop = threading.Event()
        self._heard = time.monotonic()
        self._known: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._listen, name="store-news", daemon=True),
            threading.Thread(target=self._watch, name="store-watch", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def own(self, writer: str, domains: str) -> None:
        """A commit of this process, whose bumps are done already, left this in its writer's row."""
        self._known[writer] = domains

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        conn: psycopg.Connection[Any] | None = None
        tidied = time.monotonic()
        while not self._stop.is_set():
            try:
                if conn is None:
                    conn = self._connect()
                    conn.execute("LISTEN casemate_generations")
                asked = time.monotonic()
                self._take(conn.execute("SELECT writer, domains FROM store_generations").fetchall())
                self._heard = asked
                if asked - tidied > _TIDY:
                    tidied = asked
                    self._tidy(conn)
                for _ in conn.notifies(timeout=_POLL, stop_after=1):
                    # Many commits, one poll: those of the next milliseconds come along.
                    self._stop.wait(0.005)
            except (psycopg.Error, Unavailable):
                # The watch makes caches start afresh for as long as this lasts.
                if conn is not None:
                    conn.close()
                    conn = None
                self._stop.wait(_POLL)
        if conn is not None:
            conn.close()

    def _take(self, rows: Iterable[tuple[str, str]]) -> None:
        changed: set[str] = set()
        for writer, domains in rows:
            known = self._known.get(writer)
            if known != domains:
                before = json.loads(known) if known else {}
                now = json.loads(domains)
                changed.update(domain for domain in now if now[domain] != before.get(domain))
                self._known[writer] = domains
        if EVERYTHING in changed:
            self._generations.bump_all()
        elif changed:
            self._generations.after_commit(changed, self._generations.before_commit(changed))

    def _watch(self) -> None:
        hang_up_at = self._patience
        while not self._stop.wait(_STEP):
            silence = time.monotonic() - self._heard
            if silence > _STALE:
                self._generations.bump_all()
            if silence > hang_up_at:
                hang_up_at = silence + self._patience
                self._hang_up()
            elif silence < self._patience:
                hang_up_at = self._patience
