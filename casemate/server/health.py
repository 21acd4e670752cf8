"""``GET /_casemate/health``: whether this server can do its work, for load balancers and container runtimes.

It is answered before the gate, because it is unsigned: it tells nothing but that and the version, and whoever may
connect may ask. The database is asked in a thread, one question at a time, so that neither a hanging database nor
many questions hold up the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Protocol

from casemate import __version__
from casemate.gate.http import Application, Exchange
from casemate.store.database import Store

PATH = b"/_casemate/health"

_FRESH = 0.5
"""Seconds for which an answer of the database is good."""
_PATIENCE = 2.0
"""Seconds after which a database that does not answer counts as failing."""

_HEAD = b"Content-Type: application/json\r\nCache-Control: no-store\r\n"

log = logging.getLogger("casemate.health")


class HasHealth(Protocol):
    """The audit journal, as far as this is concerned."""

    @property
    def healthy(self) -> bool: ...


class Health:
    """Answers the question. All but the look at the database happens in the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store, journal: HasHealth) -> None:
        self._loop = loop
        self._store = store
        self._journal = journal
        self._waiting: list[Exchange] = []
        self._asking = False
        self._readable = True
        self._known_until = -1.0

    def answer(self, exchange: Exchange) -> None:
        """Reply, now or when the database has answered."""
        if exchange.method not in ("GET", "HEAD"):
            exchange.reply(405, b"Allow: GET, HEAD\r\n", b"")
        elif self._loop.time() < self._known_until:
            self._reply(exchange)
        else:
            self._waiting.append(exchange)
            self._loop.call_later(_PATIENCE, self._give_up, exchange)
            if not self._asking:
                self._asking = True
                threading.Thread(target=self._ask, name="health", daemon=True).start()

    def _ask(self) -> None:
        try:
            readable = self._store.read(lambda tx: tx.one("SELECT 1 FROM root_key")) is not None
        except Exception as error:
            log.error("the store cannot be read: %s", error)
            readable = False
        try:
            self._loop.call_soon_threadsafe(self._asked, readable)
        except RuntimeError:
            # The loop has ended meanwhile, and nobody waits any more.
            return

    def _asked(self, readable: bool) -> None:
        self._asking = False
        self._readable = readable
        self._known_until = self._loop.time() + _FRESH
        waiting, self._waiting = self._waiting, []
        for exchange in waiting:
            self._reply(exchange)

    def _give_up(self, exchange: Exchange) -> None:
        if exchange in self._waiting:
            self._waiting.remove(exchange)
            self._readable = False
            self._reply(exchange)

    def _reply(self, exchange: Exchange) -> None:
        problems = []
        if not self._readable:
            problems.append("the store cannot be read")
        if not self._journal.healthy:
            problems.append("the audit journal cannot be written")
        if problems:
            exchange.reply(503, _HEAD, json.dumps({"status": "failing", "problems": problems}).encode())
        else:
            exchange.reply(200, _HEAD, json.dumps({"status": "ok", "version": __version__}).encode())


class Front:
    """The server's ``Application``: the gate, with the health's path in front of it."""

    __slots__ = ("_handle", "_health", "accept", "stream", "unasked")

    def __init__(self, gate: Application, health: Health) -> None:
        # Bound methods, so that the gate is called without a detour.
        self.unasked = gate.unasked
        self.accept = gate.accept
        self.stream = gate.stream
        self._handle = gate.handle
        self._health = health

    def handle(self, exchange: Exchange) -> None:
        """See Application."""
        if exchange.path == PATH:
            self._health.answer(exchange)
        else:
            self._handle(exchange)
