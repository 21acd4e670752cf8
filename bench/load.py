"""A load generator that costs little: requests are made and signed beforehand, and sent over kept-alive connections.

A signature stays valid for 15 minutes, so each connection goes round a list of whole, signed requests as bytes.
Answers are read only as far as their status and their Content-Length. It runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple, cast

import uvloop


class Result(NamedTuple):
    """One run against one target. seconds: how long it ran; failures: answers other than 200; p50, p99: ms."""

    requests: int
    failures: int
    seconds: float
    p50: float
    p99: float


class _Client(asyncio.Protocol):
    """One request at a time, the next as soon as the answer is there; over one connection for as long as the
    server keeps it."""

    def __init__(self, port: int, requests: list[bytes], first: int, until: float) -> None:
        self._port = port
        self._requests = requests
        self._next = first
        self._until = until
        self._held = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.failures = 0

    async def connect(self) -> None:
        self._sent = time.perf_counter()
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        held = self._held = self._held + data if self._held else data
        end = held.find(b"\r\n\r\n")
        if end < 0:
            return
        at = held.lower().find(b"content-length:", 0, end)
        if at < 0:
            raise ValueError("an answer without Content-Length")
        stop = held.find(b"\r\n", at)
        if len(held) < end + 4 + int(held[at + 15 : stop]):
            return
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        if held[9:12] != b"200":
            self.failures += 1
        self._held = b""
        if now >= self._until:
            self.done.set_result(None)
            self._transport.close()
        elif held.find(b"onnection: close", 0, end) < 0:
            self._sent = now
            self._send()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.done.done():
            # moto's server ends the connection after each answer
            self._task = asyncio.ensure_future(self.connect())


async def _run(port: int, requests: list[bytes], connections: int, seconds: float) -> Result:
    started = time.perf_counter()
    clients = []
    for number in range(connections):
        client = _Client(port, requests, number * len(requests) // connections, started + seconds)
        await client.connect()
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), seconds + 30)
    took = time.perf_counter() - started
    latencies = sorted(value for client in clients for value in client.latencies)
    if not latencies:
        raise RuntimeError("no answer came")
    return Result(
        len(latencies),
        sum(client.failures for client in clients),
        took,
        latencies[len(latencies) // 2] * 1e3,
        latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)] * 1e3,
    )


def main() -> None:
    """``load.py PORT FILE CONNECTIONS SECONDS``: FILE holds the requests as JSON texts; prints the result as JSON."""
    port, path, connections, seconds = sys.argv[1:]
    requests = [text.encode("latin-1") for text in json.loads(Path(path).read_text())]
    result = uvloop.run(_run(int(port), requests, int(connections), float(seconds)))
    print(json.dumps(result._asdict()))


if __name__ == "__main__":
    main()
