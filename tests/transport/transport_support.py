"""A small application, a server in a thread to carry it, and a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import uvloop

from casemate.gate.http import STREAM, Exchange
from casemate.server.listeners import bind, serve
from casemate.server.transport_limits import Counters, Limits

HOST = b"Host: test\r\n"
BOUND = 100_000
"""The body that the application holds at most."""
SECRET = "hunter2"


class SampleApplication:
    """Answers by path; remembers what it was asked, and which exchanges it left open."""

    unasked = -1

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, bytes, bytes]] = []
        self.open: list[Exchange] = []
        self.read_bytes = 0
        self.stream_ended: list[str] = []
        self.release = asyncio.Event()
        self.headers: list[dict[bytes, bytes]] = []
        self.last: Exchange | None = None

    def accept(self, exchange: Exchange) -> int:
        self.headers.append(exchange.headers)
        self.last = exchange
        if exchange.path == b"/refuse":
            exchange.reply(403, b"X-Why: refused\r\n", b"no")
            return 0
        if exchange.path == b"/accept-fails":
            raise KeyError(SECRET)
        return STREAM if exchange.path.startswith(b"/stream/") else BOUND

    def handle(self, exchange: Exchange) -> None:
        self.asked.append((exchange.method, exchange.path, exchange.query, exchange.body))
        path = exchange.path
        loop = asyncio.get_running_loop()
        if path == b"/fails":
            raise KeyError(SECRET)
        if path == b"/soon":
            loop.call_soon(exchange.reply, 200, b"", b"soon")
        elif path == b"/later":
            loop.call_later(0.05, exchange.reply, 200, b"", b"later")
        elif path == b"/held":
            self.open.append(exchange)
        elif path == b"/empty":
            exchange.reply(204, b"", b"")
        elif path == b"/unchanged":
            exchange.reply(304, b"ETag: x\r\n", b"")
        elif path == b"/large":
            exchange.reply(200, b"", bytes(int(exchange.query)))
        elif path == b"/tls":
            exchange.reply(200, b"", repr(exchange.tls).encode())
        elif path == b"/peer":
            exchange.reply(200, b"", exchange.peer.encode())
        else:
            exchange.reply(
                200, b"Content-Type: text/plain\r\n", path + b"?" + exchange.query + b"\n" + exchange.body
            )

    async def stream(self, exchange: Exchange) -> None:
        what = exchange.path.removeprefix(b"/stream/").decode()
        try:
            await self._stream(what, exchange)
        except ConnectionError:
            self.stream_ended.append("lost")
            raise
        except asyncio.CancelledError:
            self.stream_ended.append("cancelled")
            raise
        else:
            self.stream_ended.append("done")

    async def _stream(self, what: str, exchange: Exchange) -> None:
        query = {key: int(values[0]) for key, values in parse_qs(exchange.query.decode()).items()}
        if what == "count":
            async for piece in exchange.read():
                self.read_bytes += len(piece)
                if "pause" in query:
                    await self.release.wait()
            exchange.reply(200, b"", b"%d" % self.read_bytes)
        elif what == "echo":
            await exchange.start(200, b"", None)
            async for piece in exchange.read():
                await exchange.write(piece)
            await exchange.finish()
        elif what == "source":
            await exchange.start(200, b"", query["size"] if "chunked" not in query else None)
            block = memoryview(bytes(range(256)) * 1024)
            left = query["size"]
            while left:
                take = min(left, len(block))
                await exchange.write(block[:take])
                left -= take
                self.read_bytes += take
            await exchange.finish()
        elif what == "early":
            exchange.reply(409, b"", b"early")
        elif what == "short":
            await exchange.start(200, b"", 10)
            await exchange.write(b"12345")
            await exchange.finish()
        elif what == "long":
            await exchange.start(200, b"", 3)
            await exchange.write(b"12345")
        elif what == "fails":
            raise KeyError(SECRET)
        elif what == "fails-later":
            await exchange.start(200, b"", None)
            await exchange.write(b"part")
            raise KeyError(SECRET)
        elif what == "silent":
            pass
        elif what == "head":
            await exchange.start(200, b"ETag: x\r\n", 12345)
            await exchange.write(b"dropped")
            await exchange.finish()


@dataclass
class Running:
    port: int
    app: SampleApplication
    counters: Counters
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    drained: list[bool] = field(default_factory=list)

    def on_loop(self, call: Callable[[], object]) -> None:
        """Run ``call`` in the server's loop and wait for it."""
        done = threading.Event()

        def run() -> None:
            try:
                call()
            finally:
                done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(5), "the server's loop is stuck"

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)


@contextlib.contextmanager
def serving(
    limits: Limits | None = None, tls: ssl.SSLContext | None = None, grace: float = 5.0
) -> Iterator[Running]:
    """A server in a thread of its own, on a free port."""
    limits = limits or Limits()
    started: list[Running] = []
    ready = threading.Event()
    drained: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        app, counters = SampleApplication(), Counters()

        def end() -> None:
            loop.call_soon_threadsafe(stop.set)

        started.append(Running(port, app, counters, loop, end, drained))
        drained.append(
            await serve(
                app,
                [] if tls else [listener],
                [listener] if tls else [],
                stop=stop,
                tls=tls,
                limits=limits,
                counters=counters,
                grace=grace,
                ready=ready.set,
            )
        )

    def run() -> None:
        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10), "the server did not start"
    running = started[0]
    try:
        yield running
    finally:
        with contextlib.suppress(RuntimeError):  # the test may have stopped it
            running.stop()
        thread.join(15)
        assert not thread.is_alive(), "the server did not stop"


def reset(connection: socket.socket) -> None:
    """Go away for good: a plain close could be a half-close, after which replies are still sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def until_closed(connection: socket.socket) -> bytes:
    """Everything until the server closes. Fails after the socket's timeout."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


def read_answer(connection: socket.socket, *, head_only: bool = False) -> Answer:
    """One answer with Content-Length (or without a body), nothing beyond it."""
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"closed in the middle of a head: {raw!r}"
        raw += byte
    lines = raw[:-4].split(b"\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(b": ")
        assert name.lower() not in headers, f"{name!r} twice"
        headers[name.lower()] = value
    status = int(lines[0].split(b" ")[1])
    length = 0 if head_only else int(headers.get(b"content-length", 0))
    body = b""
    while len(body) < length:
        piece = connection.recv(length - len(body))
        assert piece, "closed in the middle of a body"
        body += piece
    return Answer(status, headers, body)


def ask(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send the pieces on a connection of their own and return everything until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            if pause:
                time.sleep(pause)
        return until_closed(connection)


def statuses(answers: bytes) -> list[int]:
    """The statuses of a run of answers whose bodies do not hold the text 'HTTP/1.1 '."""
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def eventually(condition: Callable[[], object], what: str, patience: float = 8.0) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"it did not happen: {what}"
        time.sleep(0.01)
