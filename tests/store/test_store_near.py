"""Writes whose functions run in an event loop, while the writer thread waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casemate.store.database import Store, StoreError, Tx, open_store
from casemate.store.errors import Conflict
from casemate.store.migrate import Migration, Migrations

_TABLE = Migrations(
    "toys", (Migration(1, "toys", "CREATE TABLE toys (name TEXT NOT NULL PRIMARY KEY) STRICT;"),)
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite://{tmp_path}/a.db", migrations=[_TABLE], patience=1.0)
    yield opened
    opened.close()


def names(store: Store) -> list[str]:
    return [row[0] for row in store.read(lambda tx: tx.all("SELECT name FROM toys ORDER BY name"))]


def insert(name: str, threads: list[int] | None = None) -> Any:
    def fn(tx: Tx) -> str:
        if threads is not None:
            threads.append(threading.get_ident())
        tx.run("INSERT INTO toys (name) VALUES (?)", (name,))
        return name

    return fn


async def submitted(store: Store, *functions: Any) -> list[Any]:
    """What became of them, as they are handed back in the loop's thread."""
    loop = asyncio.get_running_loop()
    home = threading.get_ident()
    futures = []
    for fn in functions:
        future: asyncio.Future[Any] = loop.create_future()

        def done(result: Any, error: BaseException | None, future: asyncio.Future[Any] = future) -> None:
            assert threading.get_ident() == home
            future.set_result(result if error is None else error)

        store.submit(fn, done, near=True)
        futures.append(future)
    return await asyncio.gather(*futures)


def test_functions_run_in_the_loop_and_are_durable(store: Store) -> None:
    threads: list[int] = []

    async def run() -> None:
        store.join(asyncio.get_running_loop().call_soon_threadsafe)
        # More than one turn's.
        wanted = [f"{number:03d}" for number in range(150)]
        assert await submitted(store, *(insert(name, threads) for name in wanted)) == wanted
        # Between them, another thread's.
        assert await asyncio.to_thread(store.write, insert("thread")) == "thread"
        store.leave()

    asyncio.run(run())
    assert set(threads) == {threading.get_ident()}
    assert len(names(store)) == 151


def test_one_that_fails_undoes_itself_alone(store: Store) -> None:
    async def run() -> list[Any]:
        store.join(asyncio.get_running_loop().call_soon_threadsafe)
        try:
            return await submitted(store, insert("a"), insert("a"), insert("b"))
        finally:
            store.leave()

    first, second, third = asyncio.run(run())
    assert (first, third) == ("a", "b")
    assert isinstance(second, Conflict)
    assert names(store) == ["a", "b"]


def test_nothing_in_the_loop_waits_for_a_write(store: Store) -> None:
    async def run() -> None:
        store.join(asyncio.get_running_loop().call_soon_threadsafe)
        with pytest.raises(StoreError, match="would wait for itself"):
            store.write(insert("a"))
        store.leave()
        store.write(insert("b"))

    asyncio.run(run())
    assert names(store) == ["b"]


def test_what_waits_when_the_loop_ends_is_done_all_the_same(store: Store) -> None:
    heard: list[Any] = []

    async def run() -> None:
        store.join(asyncio.get_running_loop().call_soon_threadsafe)
        for name in ("a", "b"):
            store.submit(insert(name), lambda result, error: heard.append((result, error)), near=True)

    asyncio.run(run())
    store.leave()
    store.close()
    assert heard == [("a", None), ("b", None)]


def test_a_database_that_cannot_be_locked_is_heard_of(store: Store, tmp_path: Path) -> None:
    import apsw

    other = apsw.Connection(str(tmp_path / "a.db"))
    other.execute("BEGIN IMMEDIATE")

    async def run() -> list[Any]:
        store.join(asyncio.get_running_loop().call_soon_threadsafe)
        try:
            return await submitted(store, insert("a"), insert("b"))
        finally:
            store.leave()

    for failure in asyncio.run(run()):
        assert isinstance(failure, StoreError)
    other.execute("ROLLBACK")
    assert names(store) == []
