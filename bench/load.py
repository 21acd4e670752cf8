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
from typing import NamedTuple

import uvloop


class Result(NamedTuple):
    """One run against one target. seconds: how long it ran; failures: answers other than 200; p50, p99: ms."""

    requests: int
    failures: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class _Client(asyncio.Protocol):
    """One connection: one request at a time, the next as soon as the answer is there."""

    def __init__(self, requests: list[bytes], first: int, until: float, done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._next = first
        self._until = until
        self._done = done
        self._held = b""
        self._sent = 0.0
        self.latencies: list[float] = []
        self.failures = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1
        self._sent = time.perf_counter()

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
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def _run(port: int, requests: list[bytes], connections: int, seconds: float) -> Result:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    clients = []
    waits = []
    for number in range(connections):
        done = loop.create_future()
        client = _Client(requests, number * len(requests) // connections, started + seconds, done)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        clients.append(client)
        waits.append(done)
    await asyncio.wait_for(asyncio.gather(*waits), seconds + 30)
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
