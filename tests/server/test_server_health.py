"""Health: 200 when the server can work, 503 with what is wrong, and never a wait for a database that hangs."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from server_support import Server

from casemate import __version__
from casemate.gate.http import Exchange
from casemate.server import health
from casemate.server.health import Front, Health
from casemate.store.database import Store, Unavailable


class Asked(Exchange):
    """An exchange that keeps its reply."""

    def __init__(self, method: str = "GET", path: bytes = health.PATH) -> None:
        self.method = method
        self.path = path
        self.answered = asyncio.Event()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.status, self.content = status, body
        self.answered.set()

    def read(self) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def start(self, status: int, head: bytes, length: int | None) -> None:
        raise NotImplementedError

    async def write(self, data: bytes | memoryview) -> None:
        raise NotImplementedError

    async def finish(self) -> None:
        raise NotImplementedError


class SampleStore:
    """read: what the database does when it is asked."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.asked = 0
        self._read = read

    def read(self, fn: Callable[[Any], Any]) -> Any:
        self.asked += 1
        return self._read()


class SampleJournal:
    healthy = True


async def answers(store: SampleStore, journal: SampleJournal, count: int = 1) -> list[tuple[int, Any]]:
    checked = Health(asyncio.get_running_loop(), cast(Store, store), journal)
    asked = [Asked() for _ in range(count)]
    for exchange in asked:
        checked.answer(exchange)
    await asyncio.wait_for(asyncio.gather(*(exchange.answered.wait() for exchange in asked)), 10)
    return [(exchange.status, json.loads(exchange.content)) for exchange in asked]


def test_a_server_is_healthy(server: Server) -> None:
    with urllib.request.urlopen(f"{server.endpoint}/_casemate/health") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json"
        assert json.load(response) == {"status": "ok", "version": __version__}


def test_only_get_and_head_are_taken(server: Server) -> None:
    request = urllib.request.Request(f"{server.endpoint}/_casemate/health", method="HEAD")
    with urllib.request.urlopen(request) as response:
        assert response.read() == b""
    request = urllib.request.Request(f"{server.endpoint}/_casemate/health", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405") as refused:
        urllib.request.urlopen(request)
    refused.value.close()


def test_a_database_that_cannot_be_read_is_told() -> None:
    def fail() -> None:
        raise Unavailable("secret words of a driver")

    [(status, body)] = asyncio.run(answers(SampleStore(fail), SampleJournal()))
    assert status == 503
    assert body == {"status": "failing", "problems": ["the store cannot be read"]}


def test_a_journal_that_cannot_be_written_is_told() -> None:
    journal = SampleJournal()
    journal.healthy = False
    [(status, body)] = asyncio.run(answers(SampleStore(lambda: (1,)), journal))
    assert status == 503
    assert body["problems"] == ["the audit journal cannot be written"]


def test_a_database_that_hangs_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", 0.05)
    release = threading.Event()
    try:
        [(status, body)] = asyncio.run(answers(SampleStore(release.wait), SampleJournal()))
    finally:
        release.set()
    assert status == 503
    assert body["problems"] == ["the store cannot be read"]


def test_many_questions_are_one_for_the_database() -> None:
    store = SampleStore(lambda: (1,))
    told = asyncio.run(answers(store, SampleJournal(), 50))
    assert [status for status, _ in told] == [200] * 50
    assert store.asked == 1


def test_everything_else_goes_to_the_gate() -> None:
    handled: list[Exchange] = []

    class SampleGate:
        unasked = 5

        def accept(self, exchange: Exchange) -> int:
            return 7

        def handle(self, exchange: Exchange) -> None:
            handled.append(exchange)

        async def stream(self, exchange: Exchange) -> None:
            handled.append(exchange)

    async def run() -> None:
        gate = SampleGate()
        store = cast(Store, SampleStore(lambda: (1,)))
        front = Front(gate, Health(asyncio.get_running_loop(), store, SampleJournal()))
        for path in (b"/", b"/_casemate/health/", b"/_casemate/clock", b"//_casemate/health"):
            exchange = Asked(path=path)
            assert front.accept(exchange) == 7
            front.handle(exchange)
        assert [exchange.path for exchange in handled] == [
            b"/",
            b"/_casemate/health/",
            b"/_casemate/clock",
            b"//_casemate/health",
        ]

    asyncio.run(run())
