"""Bodies that are not held in memory: those that arrive, for threads that wait, and those that are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from casemate.errors import AwsError
from casemate.gate.http import Exchange

LARGEST_DOCUMENT = 8 * 1024 * 1024
"""Bytes of a body that is held after all, because its operation takes a document: CompleteMultipartUpload with 10,000
parts and their checksums has some 3 MiB."""


_AHEAD = 1024 * 1024
"""Bytes that may wait for the thread before no more are taken from the transport, which waits for the client then."""

_PATIENCE = 120.0
"""Seconds. The transport cuts clients that send nothing much earlier: only a loop that has ended answers so late."""


class Arriving:
    """A body that arrives while it is read. ``pieces`` and ``hold`` wait, hence are called in threads."""

    __slots__ = ("_exchange", "_loop", "_over", "held")

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self._over: asyncio.Future[None] = loop.create_future()
        self.held = False
        """The whole body is in ``exchange.body`` by now."""

    def pieces(self) -> Iterator[bytes]:
        """The body, once. What comes while a piece is worked on waits here. Raises AwsError when the client goes
        away."""
        pump = _Pump(self._loop)
        running = asyncio.run_coroutine_threadsafe(pump.run(self._exchange.read()), self._loop)
        try:
            while True:
                piece = pump.take()
                if piece is None:
                    raise AwsError("IncompleteBody", "The request body terminated unexpectedly", 400)
                if not piece:
                    return
                yield piece
        finally:
            # Also of a body that nobody wants the rest of.
            running.cancel()

    def hold(self) -> None:
        """Read all of it into ``exchange.body``. Raises AwsError for more than a document may have."""
        gathered = bytearray()
        for piece in self.pieces():
            gathered += piece
            if len(gathered) > LARGEST_DOCUMENT:
                raise AwsError("MaxMessageLengthExceeded", "Your request was too big.", 400)
        self._exchange.body = bytes(gathered)
        self.held = True

    async def over(self) -> None:
        """Wait until the request has its answer."""
        await self._over

    def end(self) -> None:
        """It has its answer, or never will."""
        if not self._over.done():
            self._over.set_result(None)


class _Pump:
    """Takes pieces from the loop to a thread, without a turn of the loop for each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        """b"" at the end, None where the client has gone."""
        self._came = self._taken = 0
        self._full: asyncio.Future[None] | None = None

    async def run(self, reader: AsyncIterator[bytes]) -> None:
        """In the loop: until the body ends, or nobody wants it."""
        last: bytes | None = None
        try:
            async for piece in reader:
                self._came += len(piece)
                self._pieces.put(piece)
                if self._came - self._taken > _AHEAD:
                    await self._room()
            last = b""
        except ConnectionError:
            pass
        finally:
            self._pieces.put(last)

    async def _room(self) -> None:
        full = self._full = self._loop.create_future()
        # The thread may have looked for it just before it was there.
        if self._came - self._taken > _AHEAD // 2:
            await full
        self._full = None

    def take(self) -> bytes | None:
        """In the thread: the next piece, as soon as it is there."""
        try:
            piece = self._pieces.get(timeout=_PATIENCE)
        except Empty:
            return None
        if piece:
            self._taken += len(piece)
            full = self._full
            if full is not None and self._came - self._taken <= _AHEAD // 2:
                self._full = None
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(_set, full)
        return piece


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Outgoing(NamedTuple):
    """An answer's body that is not held. length: its bytes; pieces: they, by a thread
    that may wait; None of an answer to HEAD; close: called once when it is over, however it ends; status: HTTP's, 0
    for the reply's own; events: in place of pieces, a stream of events that waits in the event loop, and comes after
    what the reply itself holds."""

    length: int
    pieces: Iterator[bytes | memoryview] | None = None
    close: Callable[[], object] | None = None
    status: int = 0
    events: AsyncGenerator[bytes, None] | None = None

    def held(self) -> bytes:
        """All of it, in memory after all, for a service that asked for it, which sees to it that it is not too
        much."""
        try:
            return b"".join(self.pieces or ())
        finally:
            if self.close is not None:
                self.close()


async def send(
    exchange: Exchange, status: int, head: bytes, outgoing: Outgoing, in_thread: Callable[..., Any]
) -> None:
    """Send a streamed answer, the next piece being made while this one leaves. A body that breaks off cuts the
    connection, so that the client can tell; raises what broke it off, but for a client that has gone."""
    following: asyncio.Future[bytes | memoryview] | None = None
    try:
        await exchange.start(outgoing.status or status, head, outgoing.length)
        pieces = outgoing.pieces
        try:
            if pieces is not None:
                following = asyncio.wrap_future(in_thread(next, pieces, b""))
                while piece := await following:
                    following = asyncio.wrap_future(in_thread(next, pieces, b""))
                    await exchange.write(piece)
        finally:
            await exchange.finish()
    except ConnectionError:
        return
    finally:
        if following is not None and not following.done():
            # What is being made for a client that has gone: nothing is closed under it.
            await asyncio.wait((following,))
        if following is not None and not following.cancelled():
            # Told of already where it matters.
            following.exception()
        if outgoing.close is not None:
            in_thread(outgoing.close)


async def send_events(
    exchange: Exchange, status: int, head: bytes, body: bytes, events: AsyncGenerator[bytes, None]
) -> None:
    """Send a reply and the events that follow it, until there are no more or the client goes."""
    try:
        await exchange.start(status, head, None)
        try:
            await exchange.write(body)
            async for event in events:
                await exchange.write(event)
        finally:
            await exchange.finish()
    except ConnectionError:
        return
    finally:
        await events.aclose()
