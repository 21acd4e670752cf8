"""What the connections of one process share: the application, the limits, the clock, the counters."""

from __future__ import annotations

import asyncio
import logging
import traceback
from email.utils import formatdate

from casemate.gate.http import Application
from casemate.server.http_exchange import HttpExchange, status_line
from casemate.server.transport import Connection
from casemate.server.transport_limits import Counters, Limits

log = logging.getLogger("casemate.transport")

_DATE_AGE = 1.0
_DRAIN_STEP = 0.05


class Worker:
    """The transport of one process. ``connect`` is what ``loop.create_server`` wants."""

    __slots__ = (
        "_timer",
        "app",
        "connections",
        "counters",
        "draining",
        "limits",
        "loop",
        "now",
        "prefixes",
        "tasks",
        "unasked",
    )

    def __init__(
        self, app: Application, limits: Limits, counters: Counters, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.app = app
        self.unasked = app.unasked
        self.limits = limits
        self.counters = counters
        self.loop = loop
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.now = loop.time()
        """The loop's time at the last sweep: near enough for deadlines, and free."""
        self.prefixes: dict[int, bytes] = {}
        """What ``prefix`` has made, by status."""
        self._sweep()

    def connect(self, peer: str = "") -> Connection:
        """peer: the client's address, of whatever listens elsewhere; the socket's own unless given."""
        return Connection(self, peer)

    def prefix(self, status: int) -> bytes:
        """The status line, Server and Date. Made once a second."""
        prefix = self.prefixes.get(status)
        if prefix is None:
            date = formatdate(usegmt=True).encode("ascii")
            prefix = b"%bServer: Casemate\r\nDate: %b\r\n" % (status_line(status), date)
            self.prefixes[status] = prefix
        return prefix

    # --- the application's calls, guarded ------------------------------------------------------------------

    def accept(self, exchange: HttpExchange) -> int:
        try:
            return self.app.accept(exchange)
        except Exception as error:
            self._failed(exchange, error)
            return 0

    def handle(self, exchange: HttpExchange) -> None:
        try:
            self.app.handle(exchange)
        except Exception as error:
            self._failed(exchange, error)

    def stream(self, exchange: HttpExchange) -> None:
        task = self.loop.create_task(self._stream(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _stream(self, exchange: HttpExchange) -> None:
        try:
            await self.app.stream(exchange)
        except ConnectionError as error:
            if not exchange.lost:
                self._failed(exchange, error)
        except asyncio.CancelledError:
            exchange.cut()
            raise
        except Exception as error:
            self._failed(exchange, error)
        else:
            if not exchange.finished and not exchange.lost:
                self._failed(exchange, None)

    def _failed(self, exchange: HttpExchange, error: Exception | None) -> None:
        """Log without the error's text, which may quote a secret, and leave the client no half-truth."""
        if error is None:
            log.error("The application did not finish its answer to a streamed request.")
        else:
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("The application failed with %s:\n%s", type(error).__name__, where)
        if not exchange.replied:
            exchange.keep_alive = False
            exchange.reply(500, b"", b"")
        elif not exchange.finished:
            exchange.cut()

    # --- time ----------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        self._check()
        self.prefixes.clear()
        self._timer = self.loop.call_later(min(self.limits.sweep, _DATE_AGE), self._sweep)

    def _check(self) -> None:
        self.now = now = self.loop.time()
        for connection in tuple(self.connections):
            connection.check(now)

    async def drain(self, grace: float) -> bool:
        """Finish what has begun, close what is idle; after ``grace`` seconds cut the rest. True when nothing
        had to be cut. The caller has stopped accepting."""
        self.draining = True
        end = self.loop.time() + grace
        for connection in tuple(self.connections):
            connection.drain()
        while self.connections and self.loop.time() < end:
            await asyncio.sleep(_DRAIN_STEP)
            self._check()
        clean = not self.connections
        for connection in tuple(self.connections):
            connection.cut()
        for task in tuple(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(tuple(self.tasks), timeout=1.0)
        self._timer.cancel()
        return clean
