"""Arbitrary bytes in arbitrary pieces: never an exception, never a hang, and the pieces do not matter."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.gate.http import STREAM, Exchange
from casemate.server.transport import Connection
from casemate.server.transport_limits import Counters, Limits
from casemate.server.transport_worker import Worker

LIMITS = Limits(
    target_bytes=60, header_bytes=80, head_bytes=300, header_count=6, chunk_overhead_bytes=40, pipelined=3
)
BOUND = 50


class MemoryTransport(asyncio.Transport):
    """A client that takes everything."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.sent = bytearray()
        self.closing = False
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        assert not self.closing, "written after close"
        self.sent += data

    def writelines(self, parts: Any) -> None:
        for part in parts:
            self.write(part)

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closing = True

    abort = close


class Recorder:
    """Answers each request with what it got; some later, some as streams."""

    unasked = 20

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.asked: list[tuple[str, bytes, bytes, tuple[tuple[bytes, bytes], ...], bytes]] = []

    def accept(self, exchange: Exchange) -> int:
        if 0 < int(exchange.headers.get(b"content-length", b"0")) <= self.unasked:
            # Asked because it has not come with its head: that makes no difference.
            return BOUND
        if exchange.path.startswith(b"/r"):
            exchange.reply(403, b"", b"refused")
        return STREAM if exchange.path.startswith(b"/s") else BOUND

    def handle(self, exchange: Exchange) -> None:
        self.record(exchange, exchange.body)
        if exchange.path.startswith(b"/l"):
            self.loop.call_soon(exchange.reply, 200, b"", b"later")
        else:
            exchange.reply(200, b"", b"at once")

    def record(self, exchange: Exchange, body: bytes) -> None:
        headers = tuple(exchange.headers.items())
        self.asked.append((exchange.method, exchange.path, exchange.query, headers, body))

    async def stream(self, exchange: Exchange) -> None:
        body = b"".join([piece async for piece in exchange.read()])
        self.record(exchange, body)
        await exchange.start(200, b"", None)
        await exchange.write(body)
        await exchange.finish()


def run(data: bytes, cuts: list[int]) -> tuple[Recorder, MemoryTransport, Connection]:
    """Serve the data in these pieces."""
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})

    async def main() -> tuple[Recorder, MemoryTransport, Connection]:
        loop = asyncio.get_running_loop()
        errors: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: errors.append(context))
        app = Recorder(loop)
        worker = Worker(app, LIMITS, Counters(), loop)
        connection, transport = worker.connect(), MemoryTransport()
        connection.connection_made(transport)

        async def settle() -> None:
            for _ in range(4 * len(data) + 20):
                await asyncio.sleep(0)
                if not worker.tasks and not transport.paused:
                    return
            if not worker.tasks:
                return
            await asyncio.sleep(0)

        for start, stop in itertools.pairwise(bounds):
            connection.data_received(data[start:stop])
            await asyncio.sleep(0)
            if transport.paused:
                await settle()
        for _ in range(10):
            await asyncio.sleep(0)
        if not transport.closing:
            connection.eof_received()
        connection.connection_lost(None)
        await worker.drain(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not errors, errors
        assert not worker.tasks
        return app, transport, connection

    return asyncio.run(main())


def check(data: bytes, cuts: list[int]) -> None:
    app, transport, _ = run(data, [])
    again, other, _ = run(data, cuts)
    assert again.asked == app.asked, "the same requests, whatever the pieces"
    answers, others = bytes(transport.sent), bytes(other.sent)
    errors, other_errors = count_errors(answers), count_errors(others)
    assert errors == other_errors, "a refusal in both or in none"
    assert errors <= 1, "nothing is answered after a refusal"
    assert count(answers) == count(others)
    if errors:
        assert transport.closing
        assert other.closing
    # 100 Continue is left out when the body has come along.
    assert count(answers) >= len(app.asked) + errors


def count(answers: bytes) -> int:
    return answers.count(b"HTTP/1.1 ") - answers.count(b"HTTP/1.1 100")


def count_errors(answers: bytes) -> int:
    return sum(
        answers.count(b"HTTP/1.1 %d" % status) for status in (400, 408, 413, 414, 417, 431, 500, 503, 505)
    )


PATHS = st.sampled_from([b"/", b"/l", b"/s", b"/r", b"/s/%2F//../x?y=z", b"/\xc3\xa4", b"http://a/x", b"*"])
HEADERS = st.sampled_from(
    [
        b"X: 1\r\n",
        b"x:  2 \r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b"Connection: upgrade\r\n",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is mostly good."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"FOO"]))
    version = draw(st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0"]))
    head = (
        method
        + b" "
        + draw(PATHS)
        + b" "
        + version
        + b"\r\nHost: a\r\n"
        + b"".join(draw(st.lists(HEADERS, max_size=3)))
    )
    body = draw(st.binary(max_size=60))
    framing = draw(st.sampled_from(["none", "length", "chunks"]))
    if framing == "none":
        return head + b"\r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    size = draw(st.integers(1, 20))
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + encoded
        + b"0\r\n"
        + draw(st.sampled_from([b"", b"T: 1\r\n"]))
        + b"\r\n"
    )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A few requests in a row, damaged in places."""
    data = bytearray(b"".join(draw(st.lists(requests(), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            del data[place : place + draw(st.integers(1, 5))]
        elif kind == 1:
            data[place:place] = draw(
                st.one_of(
                    st.binary(min_size=1, max_size=3),
                    st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"0", b":"]),
                )
            )
        else:
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(data)


CUTS = st.lists(st.integers(0, 2000), max_size=10)


@settings(max_examples=100, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=5), CUTS)
def test_good_requests_in_any_pieces(parts: list[bytes], cuts: list[int]) -> None:
    check(b"".join(parts), cuts)


@settings(max_examples=200, deadline=None)
@given(mutated(), CUTS)
def test_damaged_requests_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    check(data, cuts)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), CUTS)
def test_any_bytes_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    check(data, cuts)
