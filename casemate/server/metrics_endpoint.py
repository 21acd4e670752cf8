"""``GET /metrics`` on the metrics port, and the workers' publishing of their numbers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from casemate.errors import origin
from casemate.gate.http import Exchange
from casemate.server.composition import DOMAINS, Worker
from casemate.server.metrics import (
    CONTENT_TYPE,
    Published,
    Snapshot,
    count_jobs,
    exposition,
    take_snapshot,
)
from casemate.server.transport_limits import Counters, Limits

LIMITS = Limits(connections=32)
"""Of the metrics port: a few scrapers."""

_EVERY = 1.0

log = logging.getLogger("casemate.metrics")


class Metrics:
    """One worker's ``Application`` on the metrics port. published: None where there is one worker only.

    Files and database are read in a thread, one scrape after the other.
    """

    def __init__(
        self,
        worker: Worker,
        number: int,
        counters: Counters,
        published: Published | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._worker = worker
        self._number = number
        self._counters = counters
        self._published = published
        self._loop = loop
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        if published is not None:
            self._publish()

    unasked = -1

    def accept(self, exchange: Exchange) -> int:  # noqa: ARG002 - the protocol's parameter
        """No request here has a body worth holding."""
        return 0

    def handle(self, exchange: Exchange) -> None:
        """Answer a scrape; later, when the thread has put it together."""
        if exchange.path != b"/metrics":
            exchange.reply(404, b"Content-Type: text/plain\r\n", b"The metrics are at /metrics.\n")
        elif exchange.method not in ("GET", "HEAD"):
            exchange.reply(405, b"Allow: GET, HEAD\r\n", b"")
        else:
            self._thread.submit(self._collect, exchange, self._snapshot())

    async def stream(self, exchange: Exchange) -> None:
        """Never called: ``accept`` names no streams."""
        raise RuntimeError(f"{exchange.method} was not accepted as a stream")

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=True)

    def _snapshot(self) -> Snapshot:
        return take_snapshot(
            self._number,
            self._worker.gate.tallies,
            self._counters,
            journal_healthy=self._worker.journal.healthy,
        )

    def _collect(self, exchange: Exchange, own: Snapshot) -> None:
        try:
            status, body = 200, self._page(own)
        except Exception as error:
            log.error("the metrics could not be put together: %s", origin(error))
            status, body = 500, b""
        self._loop.call_soon_threadsafe(exchange.reply, status, CONTENT_TYPE, body)

    def _page(self, own: Snapshot) -> bytes:
        alive: Sequence[Snapshot] = ()
        gone: Sequence[Snapshot] = ()
        if self._published is not None:
            alive, gone = self._published.others(self._number)
        opened = self._worker.opened
        numbers = opened.store.generations
        generations: Counter[str] = Counter()
        for domain in DOMAINS:
            # A service's domains are one in the metrics.
            generations[domain.partition(".")[0]] += numbers.current(numbers.slot(domain))
        return exposition(
            sorted([own, *alive], key=lambda each: each.worker),
            gone,
            generations,
            count_jobs(opened.store, opened.clock.now()),
        )

    def _publish(self) -> None:
        assert self._published is not None
        self._thread.submit(self._publish_now, self._snapshot())
        self._loop.call_later(_EVERY, self._publish)

    def _publish_now(self, snapshot: Snapshot) -> None:
        assert self._published is not None
        try:
            self._published.publish(snapshot)
        except OSError as error:
            log.warning("this worker's metrics cannot be published: %s", error)
