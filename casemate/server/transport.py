"""HTTP/1.1 for the application: an asyncio protocol with the strictness and the bounds of a front door.

A request that has come whole is accepted, handled and (when its reply is there) answered inside
``data_received``: no task, no thread, one write for all the replies of one read. Replies leave in the order
of their requests. Everything a client can make us hold or wait for has a bound in Limits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import TYPE_CHECKING, cast

from casemate.gate.http import STREAM, Tls
from casemate.server.http_chunks import ChunkDecoder
from casemate.server.http_exchange import CONTINUE, HttpExchange
from casemate.server.http_head import (
    CHUNKED,
    EXPECTS_CONTINUE,
    HTTP_1_0,
    KEEP_ALIVE,
    BadRequest,
    check_partial_head,
    parse_head,
)

if TYPE_CHECKING:
    from ssl import SSLObject

    from casemate.server.transport_worker import Worker

_END_OF_HEAD = b"\r\n\r\n"

# What a connection reads next.
_HEAD, _LENGTH, _CHUNKS, _NOTHING = range(4)

# What a connection's deadline is for.
_ON_IDLE, _ON_HEAD, _ON_BODY, _ON_CLOSE = range(4)

_RECENT = 1.0
"""When draining: a connection that was in use within so many seconds is given as long again for a request that
may be on its way; others are closed at once."""

_CORKED_REPLIES = 32
_CORKED_BYTES = 32 * 1024
"""Replies of one read are written together, up to so many, and up to the first one of this size."""

_SPARE_CONNECTIONS = 64
"""So many beyond the bound are told 503; more are cut without a word."""


class Connection(asyncio.Protocol):
    """One client's connection. The exchanges in ``_queue`` wait for their replies, in order."""

    __slots__ = (
        "_body",
        "_bound",
        "_chunks",
        "_corked",
        "_deadline",
        "_discarding",
        "_expiry",
        "_held",
        "_last",
        "_left",
        "_moved",
        "_out",
        "_paused",
        "_peer",
        "_queue",
        "_reading",
        "_scanned",
        "_state",
        "_streaming",
        "_tls",
        "_transport",
        "_unread",
        "_write_deadline",
        "_write_mark",
        "stalled",
        "worker",
    )

    _transport: asyncio.Transport

    def __init__(self, worker: Worker, peer: str = "") -> None:
        self.worker = worker
        self.stalled = False
        """The client does not take what was written; writers wait."""
        self._queue: deque[HttpExchange] = deque()
        self._state = _HEAD
        self._held = bytearray()
        """Bytes that came and were not consumed: a head's beginning, or requests beyond ``pipelined``."""
        self._scanned = 0
        """How much of ``_held`` has been searched for a head's end."""
        self._out: list[bytes | memoryview] = []
        self._corked = False
        self._paused = False
        self._last = False
        """No request is taken any more: what is queued is answered, then the connection is closed."""
        self._reading: HttpExchange | None = None
        """The exchange whose body has not come wholly."""
        self._streaming: HttpExchange | None = None
        """The exchange with a streamed body, until it is finished. The next request waits for that."""
        self._discarding = False
        self._body = bytearray()
        self._bound = 0
        self._left = 0
        self._unread = 0
        self._chunks: ChunkDecoder | None = None
        self._moved = 0
        self._write_deadline = inf
        self._write_mark = -1
        self._expiry = _ON_HEAD
        self._deadline = worker.now + worker.limits.head_time
        self._tls: Tls | None = None
        self._peer = peer

    # --- what the event loop calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        worker = self.worker
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=worker.limits.write_ahead_bytes)
        address = transport.get_extra_info("peername")
        if not self._peer and isinstance(address, tuple) and address:
            self._peer = str(address[0])
        secured: SSLObject | None = transport.get_extra_info("ssl_object")
        if secured is not None:
            cipher = secured.cipher()
            self._tls = Tls(secured.version() or "", cipher[0] if cipher else "")
        worker.counters.accepted += 1
        worker.counters.connections += 1
        worker.connections.add(self)
        excess = len(worker.connections) - worker.limits.connections
        if excess > 0:
            if excess > _SPARE_CONNECTIONS:
                worker.counters.refused["connections"] += 1
                self._transport.abort()
                self._state = _NOTHING
            else:
                self._refuse(BadRequest("connections", "Too many connections.", 503))
        elif worker.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        self.worker.counters.received_bytes += len(data)
        self._corked = True
        try:
            self._advance(data)
        finally:
            self._corked = False
            if self._out:
                self._flush()

    def eof_received(self) -> bool:
        """A client that half-closes still gets its replies (TLS has no such thing in asyncio)."""
        if self._state == _NOTHING or self._reading is not None or not self._queue or self._tls is not None:
            return False
        self._last = True
        self._held.clear()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        worker = self.worker
        worker.connections.discard(self)
        worker.counters.connections -= 1
        if self._queue:
            worker.counters.lost += 1
        self._forget_exchanges()
        self._state = _NOTHING
        self._held.clear()
        self._deadline = self._write_deadline = inf

    def pause_writing(self) -> None:
        self.stalled = True
        self._write_mark = self._transport.get_write_buffer_size()
        self._write_deadline = self.worker.now + self.worker.limits.progress_time

    def resume_writing(self) -> None:
        self.stalled = False
        self._write_deadline = inf
        self._write_mark = -1
        if self._queue:
            self._queue[0].wake_writer()
        self._resume_soon()

    # --- what the exchanges call ---------------------------------------------------------------------------

    def is_turn_of(self, exchange: HttpExchange) -> bool:
        return self._queue[0] is exchange

    def stays_open(self, exchange: HttpExchange) -> bool:
        """Whether the connection can be used after this exchange's reply, ended now."""
        if self._reading is None and exchange.keep_alive and not self._last and not self.worker.draining:
            return True
        if self._reading is exchange and not self._rest_is_small(exchange):
            return False
        return self.may_stay_open(exchange)

    def may_stay_open(self, exchange: HttpExchange) -> bool:
        """The same for a reply that begins now: the request's body may still be read meanwhile."""
        if not exchange.keep_alive:
            return False
        if self._queue[-1] is not exchange:
            return True
        return not self._last and (bool(self._held) or not self.worker.draining)

    def send(self, exchange: HttpExchange, reply: bytes, keep: bool) -> None:
        """Send an exchange's whole reply."""
        queue = self._queue
        out = self._out
        if keep and self._reading is None and self._streaming is None and len(queue) == 1:
            # Most replies: to the only request. What follows below does the same to it.
            if self._corked:
                # From within ``data_received``, which writes once for all.
                if len(out) < _CORKED_REPLIES and len(reply) < _CORKED_BYTES:
                    exchange.finished = True
                    queue.pop()
                    out.append(reply)
                    return
            elif not out and not self._paused and not self._held and self._state == _HEAD:
                exchange.finished = True
                queue.pop()
                if not self._transport.is_closing():
                    self.worker.counters.sent_bytes += len(reply)
                    self._transport.write(reply)
                    self._idle()
                return
        self.emit(exchange, reply)
        self.finish(exchange, keep)

    def emit(self, exchange: HttpExchange, *parts: bytes | memoryview) -> None:
        """Send parts of an exchange's reply, now or when it is its turn."""
        if self._queue[0] is not exchange:
            if exchange.waiting is None:
                exchange.waiting = list(parts)
            else:
                exchange.waiting += parts
            return
        self._out += parts
        # Beyond these the client's slowness must show (``stalled``) before the next request is handled.
        if not self._corked or len(self._out) >= _CORKED_REPLIES or len(parts[0]) >= _CORKED_BYTES:
            self._flush()

    def finish(self, exchange: HttpExchange, keep: bool) -> None:
        """The exchange's reply has been emitted wholly."""
        exchange.finished = True
        if not keep:
            self._stop_after(exchange)
        if self._reading is exchange:
            self._discard_rest()
        if self._streaming is exchange:
            self._streaming = None
            exchange.wake_reader()
        queue = self._queue
        if queue[0] is not exchange:
            return
        queue.popleft()
        while queue:
            following = queue[0]
            if following.waiting is not None:
                self._out += following.waiting
                following.waiting = None
            if not following.finished:
                following.take_turn()
                break
            queue.popleft()
        if not self._corked and self._out:
            self._flush()
        if not queue:
            if self._last:
                self._close()
            elif not self._corked and self._state == _HEAD and not self._held:
                self._idle()
        self._resume_soon()

    def consumed(self, exchange: HttpExchange, count: int) -> None:
        """The application took so many bytes of a streamed body."""
        if self._reading is exchange:
            self._unread -= count
            if self._paused and self._unread <= self.worker.limits.read_ahead_bytes // 2:
                self._unpause()

    def cut(self) -> None:
        """End the connection so that the client can tell that its answer is not whole."""
        self._state = _NOTHING
        self._transport.abort()
        self._forget_exchanges()

    # --- what the worker calls -----------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Act on a deadline that has passed."""
        if now >= self._write_deadline:
            if self._is_taken():
                self._write_deadline = now + self.worker.limits.progress_time
            else:
                self.worker.counters.refused["slow-reader"] += 1
                self.cut()
        elif now >= self._deadline:
            self._expire(now)

    def drain(self) -> None:
        """The worker stops: answer what has begun, close what is idle."""
        if self._state != _HEAD or self._queue or self._held:
            return
        now = self.worker.now
        limits = self.worker.limits
        began = self._deadline - (limits.idle_time if self._expiry == _ON_IDLE else limits.head_time)
        if now - began > _RECENT:
            self._close()
        else:
            self._deadline = min(self._deadline, now + _RECENT)
            self._expiry = _ON_IDLE

    # --- reading -------------------------------------------------------------------------------------------

    def _advance(self, data: bytes) -> None:
        """Consume what came. Whatever cannot be consumed yet is held."""
        position = 0
        try:
            if self._held:
                joined = self._join(data)
                if joined is None:
                    return
                data = joined
            end = len(data)
            while True:
                if self._state == _HEAD:
                    if position == end:
                        if not self._queue:
                            self._idle()
                        return
                    # Most often nothing waits, which is seen at once.
                    if (self._queue or self._last or self.stalled) and self._is_blocked():
                        self._hold(data, position)
                        return
                    if data[position] == 13 and data[position : position + 2] == b"\r\n":
                        position += 2  # RFC 9112, 2.2: an empty line before the request line is passed over
                        continue
                    stop = data.find(_END_OF_HEAD, position)
                    if stop < 0:
                        self._hold_head(data, position)
                        return
                    position = self._begin(data, position, stop)
                elif self._state == _LENGTH:
                    if position == end:
                        return
                    stop = min(end, position + self._left)
                    piece = data[position:stop]
                    self._left -= stop - position
                    position = stop
                    self._take(piece)
                    if not self._left:
                        self._end_body()
                elif self._state == _CHUNKS:
                    if position == end:
                        return
                    assert self._chunks is not None
                    piece, position = self._chunks.feed(data, position)
                    if piece:
                        self._take(piece)
                    if self._chunks.done:
                        self._end_body()
                else:
                    return
        except BadRequest as refusal:
            self._refuse(refusal)

    def _begin(self, data: bytes, position: int, stop: int) -> int:
        """Take the request whose head stands at data[position:stop]. Returns where the unread begins."""
        worker = self.worker
        method, path, query, headers, length, flags, memo = parse_head(data[position:stop], worker.limits)
        position = stop + 4
        worker.counters.requests += 1
        exchange = HttpExchange(self, method, path, query, headers, self._peer, self._tls, memo)
        if flags != KEEP_ALIVE:
            exchange.keep_alive = bool(flags & KEEP_ALIVE)
            exchange.http_1_0 = bool(flags & HTTP_1_0)
            exchange.expects_continue = bool(flags & EXPECTS_CONTINUE) and length != 0
            if not exchange.keep_alive:
                self._last = True
        self._queue.append(exchange)
        self._deadline = inf
        if 0 < length <= worker.unasked:
            # Most requests: a small body that came together with its head.
            stop = position + length
            if stop <= len(data):
                exchange.body = data[position:stop]
                worker.handle(exchange)
                return stop
        if length:
            self._reading = exchange
            self._discarding = False
            self._left = length
            if length == CHUNKED:
                self._state = _CHUNKS
                self._chunks = ChunkDecoder(worker.limits.chunk_overhead_bytes)
            else:
                self._state = _LENGTH
        bound = worker.accept(exchange)
        if exchange.replied:
            return position
        if bound == STREAM:
            exchange.begin_stream(ended=not length)
            self._streaming = exchange
            self._unread = 0
            if length:
                self._watch_body()
            worker.stream(exchange)
            return position
        if not length:
            worker.handle(exchange)
            return position
        if length > bound:
            raise BadRequest("body-size", "The request's body is too large.", 413)
        stop = position + length
        if length > 0 and stop <= len(data):
            self._reading = None
            self._state = _HEAD
            exchange.body = data[position:stop]
            worker.handle(exchange)
            return stop
        if exchange.expects_continue and position == len(data):
            self.emit(exchange, CONTINUE)
        self._bound = bound
        self._body = bytearray()
        self._watch_body()
        return position

    def _take(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._moved += len(piece)
        exchange = self._reading
        if self._discarding:
            return
        if exchange is self._streaming and exchange is not None:
            self._unread += len(piece)
            exchange.arrived(piece)
            if self._unread > self.worker.limits.read_ahead_bytes:
                self._pause()
        else:
            self._body += piece
            if len(self._body) > self._bound:
                raise BadRequest("body-size", "The request's body is too large.", 413)

    def _end_body(self) -> None:
        exchange = self._reading
        discarding = self._discarding
        self._state = _HEAD
        self._reading = None
        self._chunks = None
        self._discarding = False
        self._deadline = inf
        if exchange is None or discarding:
            return
        if exchange is self._streaming:
            exchange.body_ended()
            return
        exchange.body = bytes(self._body)
        self._body = bytearray()
        self.worker.handle(exchange)

    def _join(self, data: bytes) -> bytes | None:
        """What was held and what came, or None when that is still only a part of a head."""
        held = self._held
        held += data
        if (
            held[0] != 13
            and not self._is_blocked()
            and held.find(_END_OF_HEAD, max(0, self._scanned - 3)) < 0
        ):
            check_partial_head(held, self._scanned, self.worker.limits)
            self._scanned = len(held)
            return None
        joined = bytes(held)
        self._held = bytearray()
        return joined

    def _hold_head(self, data: bytes, position: int) -> None:
        """A head has come in part. Its time is counted from its first byte, whatever comes after."""
        self._held += data[position:]
        self._scanned = len(self._held)
        check_partial_head(self._held, 0, self.worker.limits)
        if self._expiry != _ON_HEAD or self._deadline == inf:
            self._expiry = _ON_HEAD
            self._deadline = self.worker.now + self.worker.limits.head_time

    def _is_blocked(self) -> bool:
        """Whether the next request must wait."""
        return (
            self._streaming is not None
            or self._last
            or self.stalled
            or len(self._queue) >= self.worker.limits.pipelined
        )

    def _hold(self, data: bytes, position: int) -> None:
        if self._last:
            return
        self._held += data[position:]
        self._scanned = 0
        self._pause()

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _resume_soon(self) -> None:
        """Go on with held requests, from the loop: no application is called from within its reply."""
        if self._paused and not self._corked and self._state == _HEAD and not self._is_blocked():
            self.worker.loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self._paused and self._state == _HEAD and not self._is_blocked():
            self._unpause()
            self.data_received(b"")

    def _rest_is_small(self, exchange: HttpExchange) -> bool:
        """Whether the unread rest of a body is short enough to be read and dropped. A client that waits for
        100 Continue may or may not send it, so its connection cannot be used further."""
        return (
            self._state == _LENGTH
            and self._left <= self.worker.limits.drain_bytes
            and not exchange.expects_continue
        )

    def _discard_rest(self) -> None:
        self._discarding = True
        self._moved = 0
        self._unread = 0
        self._watch_body()
        self._unpause()

    # --- writing and closing -------------------------------------------------------------------------------

    def _flush(self) -> None:
        out = self._out
        self._out = []
        transport = self._transport
        if transport.is_closing():
            return
        if len(out) == 1:
            self.worker.counters.sent_bytes += len(out[0])
            transport.write(out[0])
        else:
            self.worker.counters.sent_bytes += sum(map(len, out))
            transport.writelines(out)

    def _idle(self) -> None:
        """Nothing is asked of us."""
        self._expiry = _ON_IDLE
        self._deadline = self.worker.now + self.worker.limits.idle_time

    def _watch_body(self) -> None:
        self._expiry = _ON_BODY
        self._moved = 0
        self._deadline = self.worker.now + self.worker.limits.progress_time

    def _stop_after(self, exchange: HttpExchange) -> None:
        """No reply follows this exchange's. Requests that came behind it stay unanswered; the client is told
        ``Connection: close``, so it knows."""
        self._last = True
        while self._queue[-1] is not exchange:
            self._queue.pop().lose()

    def _refuse(self, refusal: BadRequest) -> None:
        """Answer a request that is not one, after the replies that are due before it, and close."""
        self.worker.counters.refused[refusal.kind] += 1
        broken = self._reading
        self._reading = self._streaming = None
        self._state = _NOTHING
        self._held.clear()
        self._last = True
        if broken is not None:
            if not broken.replied:
                self._queue.pop()
                broken.lose()
            elif not broken.finished:
                self.cut()
                return
            else:
                if not self._queue:
                    self._close()
                return
        exchange = HttpExchange(self, "", b"", b"", {}, self._peer, self._tls)
        exchange.keep_alive = False
        self._queue.append(exchange)
        exchange.reply(
            refusal.status, b"Content-Type: text/plain\r\n", refusal.reason.encode("ascii") + b"\n"
        )

    def _close(self) -> None:
        """Close once everything written is taken. What the client still sends is read and dropped for a while,
        because closing with unread bytes would reset the connection and lose it the answer."""
        if self._out:
            self._flush()
        sending = self._reading is not None or self._state == _NOTHING or bool(self._held) or self._paused
        self._state = _NOTHING
        self._held.clear()
        self._reading = None
        self._last = True
        self._write_deadline = inf
        self._write_mark = -1
        self._expiry = _ON_CLOSE
        self._deadline = self.worker.now + self.worker.limits.linger_time
        transport = self._transport
        if transport.is_closing():
            return
        if not sending:
            transport.close()
            return
        self._unpause()
        if self._tls is None and transport.can_write_eof():
            transport.write_eof()

    def _expire(self, now: float) -> None:
        worker = self.worker
        if self._expiry == _ON_IDLE:
            if self._waits_for_client(now):
                return
            self._close()
        elif self._expiry == _ON_HEAD:
            if self._held:
                self._refuse(BadRequest("timeout", "The request did not come in time.", 408))
            else:
                self._close()
        elif self._expiry == _ON_BODY:
            if self._paused or self._moved >= worker.limits.progress_bytes:
                self._watch_body()
            else:
                self._refuse(BadRequest("timeout", "The request's body did not come in time.", 408))
        elif not self._waits_for_client(now):
            self._transport.abort()

    def _waits_for_client(self, now: float) -> bool:
        """Whether written bytes are still being taken, fast enough. Postpones the deadline."""
        if not self._transport.get_write_buffer_size() or not self._is_taken():
            return False
        self._deadline = now + self.worker.limits.progress_time
        return True

    def _is_taken(self) -> bool:
        """Whether the client took enough of what was written since this was last asked."""
        size = self._transport.get_write_buffer_size()
        mark = self._write_mark
        self._write_mark = size
        return mark < 0 or mark - size >= self.worker.limits.progress_bytes

    def _forget_exchanges(self) -> None:
        queue = self._queue
        self._reading = self._streaming = None
        self._out.clear()
        while queue:
            queue.popleft().lose()
