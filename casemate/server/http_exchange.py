"""One request and the place for its reply, on a connection of casemate/server/transport.py."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from casemate.gate.http import Exchange, Tls

if TYPE_CHECKING:
    from casemate.server.transport import Connection

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_CLOSE = b"Connection: close\r\n\r\n"
_KEEP_ALIVE_1_0 = b"Connection: keep-alive\r\n\r\n"
_END = b"\r\n"
_LAST_CHUNK = b"0\r\n\r\n"

_CHUNKED = -1
_UNTIL_CLOSE = -2


def status_line(status: int) -> bytes:
    """The reason phrase is left out where HTTP has none registered; clients do not read it."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


class HttpExchange(Exchange):
    """See Exchange. What is public here beyond it is for the connection and the worker."""

    __slots__ = (
        "_connection",
        "_ended",
        "_left",
        "_pieces",
        "_reader",
        "_turn",
        "_writer",
        "expects_continue",
        "finished",
        "http_1_0",
        "keep_alive",
        "memo",
        "waiting",
    )

    def __init__(
        self,
        connection: Connection,
        method: str,
        path: bytes,
        query: bytes,
        headers: dict[bytes, bytes],
        peer: str,
        tls: Tls | None,
        memo: dict[bytes, Any] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = b""
        self.peer = peer
        self.tls = tls
        self.memo = memo
        self.replied = False
        self._connection: Connection | None = connection
        self.keep_alive = True
        self.http_1_0 = False
        self.expects_continue = False
        self.finished = False
        """The whole reply was handed to the connection."""
        self.waiting: list[bytes | memoryview] | None = None
        """Parts of the reply that wait for their turn."""

    def __repr__(self) -> str:
        return f"<HttpExchange {self.method} {'replied' if self.replied else 'open'}>"

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        if self.replied:
            raise RuntimeError("This exchange has its reply already.")
        self.replied = True
        connection = self._connection
        if connection is None:
            return
        keep = connection.stays_open(self)
        prefix = connection.worker.prefixes.get(status) or connection.worker.prefix(status)
        if status < 200 or status == 204 or status == 304:
            length = body = b""
        else:
            length = b"Content-Length: %d\r\n" % len(body)
            if self.method == "HEAD":
                body = b""
        end = _END if keep and not self.http_1_0 else self._connection_line(keep)
        connection.send(self, b"".join((prefix, length, head, end, body)), keep)

    def _connection_line(self, keep: bool) -> bytes:
        if not keep:
            return _CLOSE
        return _KEEP_ALIVE_1_0 if self.http_1_0 else _END

    # --- streams -------------------------------------------------------------------------------------------

    def begin_stream(self, *, ended: bool) -> None:
        """Give the exchange what only a streamed body needs. ended: there is no body."""
        self._pieces: deque[bytes] = deque()
        self._ended = ended
        self._reader: asyncio.Future[None] | None = None

    def arrived(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.wake_reader()

    def body_ended(self) -> None:
        self._ended = True
        self.wake_reader()

    def wake_reader(self) -> None:
        _wake(self._reader)

    def wake_writer(self) -> None:
        _wake(getattr(self, "_writer", None))

    def take_turn(self) -> None:
        """The replies before this one have been sent."""
        _wake(getattr(self, "_turn", None))

    def lose(self) -> None:
        """The client has gone, or was refused by the transport: whoever waits here gets a ConnectionError."""
        self._connection = None
        self.waiting = None
        for name in ("_turn", "_reader", "_writer"):
            _wake(getattr(self, name, None))

    def cut(self) -> None:
        """End the connection in the middle of the reply."""
        if self._connection is not None:
            self._connection.cut()

    @property
    def lost(self) -> bool:
        """Nobody waits for the reply any more."""
        return self._connection is None

    def _connected(self) -> Connection:
        if self._connection is None:
            raise ConnectionResetError("The client has gone.")
        return self._connection

    async def read(self) -> AsyncIterator[bytes]:
        pieces = self._pieces
        if self.expects_continue:
            connection = self._connected()
            self.expects_continue = False
            if not pieces and not self._ended:
                connection.emit(self, CONTINUE)
        while True:
            if pieces:
                piece = pieces.popleft()
                if self._connection is not None:
                    self._connection.consumed(self, len(piece))
                yield piece
            elif self._ended:
                return
            elif self.finished:
                raise ConnectionResetError("The body is not read further once its reply is finished.")
            else:
                self._reader = self._connected().worker.loop.create_future()
                try:
                    await self._reader
                finally:
                    self._reader = None

    async def start(self, status: int, head: bytes, length: int | None) -> None:
        if self.replied:
            raise RuntimeError("This exchange has its reply already.")
        self.replied = True
        connection = self._connected()
        self._writer: asyncio.Future[None] | None = None
        if not connection.is_turn_of(self):
            self._turn: asyncio.Future[None] = connection.worker.loop.create_future()
            await self._turn
            connection = self._connected()
        keep = connection.may_stay_open(self)
        framing = b""
        if status < 200 or status == 204 or status == 304:
            self._left = 0
        elif length is not None:
            self._left = length
            framing = b"Content-Length: %d\r\n" % length
        elif self.http_1_0:
            self._left = _UNTIL_CLOSE
            keep = False
        else:
            self._left = _CHUNKED
            framing = b"Transfer-Encoding: chunked\r\n"
        self.keep_alive = keep
        prefix = connection.worker.prefix(status)
        connection.emit(self, b"".join((prefix, framing, head, self._connection_line(keep))))

    async def write(self, data: bytes | memoryview) -> None:
        connection = self._started()
        size = len(data)
        if self.method == "HEAD" or not size:
            return
        if self._left == _CHUNKED:
            connection.emit(self, b"%x\r\n" % size, data, _END)
        else:
            if self._left >= 0:
                if size > self._left:
                    connection.cut()
                    raise RuntimeError("The streamed answer is longer than was announced.")
                self._left -= size
            connection.emit(self, data)
        while connection.stalled:
            self._writer = connection.worker.loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None
            connection = self._connected()

    async def finish(self) -> None:
        connection = self._started()
        if self.method != "HEAD":
            if self._left > 0:
                connection.cut()
                return
            if self._left == _CHUNKED:
                connection.emit(self, _LAST_CHUNK)
        connection.finish(self, connection.stays_open(self))

    def _started(self) -> Connection:
        connection = self._connected()
        if not self.replied or self.finished:
            raise RuntimeError("The streamed answer was not started, or is finished.")
        return connection


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
