"""What Store promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from store_support import names, opened, put, stored

from casemate.store.database import Conflict, Invalid, ReadOnly, Store, StoreError, Tx, open_store


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with opened(database) as store:
        yield store


def test_values_come_back_as_they_were_put(store: Store) -> None:
    rows = [
        ("a", 2**63 - 1, b"\x00\xff" * 500_000, 0.1),
        ("b", 0, b"", -1e300),
        ("é€𝄞%s?'\"", 1, None, None),
    ]
    for row in rows:
        store.write(lambda tx, row=row: tx.run("INSERT INTO item VALUES (?, ?, ?, ?)", row))  # type: ignore[misc]
    assert store.read(lambda tx: tx.all("SELECT * FROM item ORDER BY id")) == rows


def test_a_bool_is_stored_as_a_number(store: Store) -> None:
    store.write(lambda tx: tx.run("INSERT INTO item (id, n) VALUES (?, ?), (?, ?)", ("f", False, "t", True)))
    assert store.read(lambda tx: tx.all("SELECT id, n FROM item ORDER BY id")) == [("f", 0), ("t", 1)]


def test_one_is_the_first_row_or_none(store: Store) -> None:
    def fill(tx: Tx) -> None:
        put(tx, "a")
        put(tx, "b")

    store.write(fill)
    assert store.read(lambda tx: tx.one("SELECT id FROM item ORDER BY id")) == ("a",)
    assert store.read(lambda tx: tx.one("SELECT id FROM item WHERE id = ?", ("c",))) is None
    assert store.write(lambda tx: tx.one("DELETE FROM item WHERE id = 'a'")) is None
    assert store.write(lambda tx: tx.all("DELETE FROM item WHERE id = 'b'")) == []
    assert stored(store) == []


def test_run_tells_how_many_rows_it_changed(store: Store) -> None:
    def change(tx: Tx) -> list[int]:
        return [
            tx.run("INSERT INTO item (id) VALUES (?), (?), (?)", ("a", "b", "c")),
            tx.run("UPDATE item SET n = 1 WHERE id > ?", ("a",)),
            tx.run("UPDATE item SET n = 1 WHERE id = 'b'"),
            tx.run("INSERT INTO item (id) VALUES ('a') ON CONFLICT DO NOTHING"),
            tx.run("INSERT INTO item (id) VALUES ('a') ON CONFLICT (id) DO UPDATE SET n = excluded.n + 7"),
            tx.run("DELETE FROM item WHERE id = 'none'"),
            tx.run("DELETE FROM item"),
        ]

    assert store.write(change) == [3, 2, 1, 0, 1, 0, 3]


def test_returning_gives_rows_and_changes_them_all(store: Store) -> None:
    store.write(lambda tx: tx.run("INSERT INTO item (id) VALUES ('a'), ('b')"))
    assert store.write(lambda tx: tx.one("UPDATE item SET n = n + 1 RETURNING n")) == (1,)
    assert store.write(lambda tx: sorted(tx.all("UPDATE item SET n = n + 1 RETURNING id, n"))) == [
        ("a", 2),
        ("b", 2),
    ]


def test_text_is_sorted_and_compared_by_its_bytes(store: Store) -> None:
    some = ["Z", "a", "B", "-", "_", "ä", "z", "€", "aA", "a-"]
    store.write(lambda tx: [put(tx, name) for name in some])
    assert stored(store) == sorted(some, key=str.encode)
    after = store.read(lambda tx: tx.all("SELECT id FROM item WHERE id > ? ORDER BY id LIMIT ?", ("Z", 2)))
    assert after == [("_",), ("a",)]


def test_a_unique_violation_is_a_conflict(store: Store) -> None:
    store.write(lambda tx: put(tx, "a"))
    with pytest.raises(Conflict):
        store.write(lambda tx: put(tx, "a"))


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("INSERT INTO item (id, n) VALUES ('secret', -1)", ()),
        ("INSERT INTO item (id) VALUES (NULL)", ()),
        ("INSERT INTO part (id, item) VALUES ('p', 'secret')", ()),
        ("INSERT INTO item (id, n) VALUES ('a', ?)", ("secret",)),
        ("INSERT INTO item (id, body) VALUES ('a', ?)", ("secret",)),
        ("INSERT INTO item (id, n) VALUES ('a', ?)", (2**63,)),
        ("INSERT INTO item (id) VALUES (?)", (object(),)),
        ("INSERT INTO item (id) VALUES (?)", ("\ud800secret",)),
        ("INSERT INTO item (id) VALUES (?)", ()),
        ("INSERT INTO item (id) VALUES (?)", ("secret", "secret")),
        ("INSERT INTO nowhere (id) VALUES ('a')", ()),
        ("INSRT", ()),
    ],
)
def test_what_the_database_refuses_is_invalid_and_named_without_values(
    store: Store, sql: str, params: tuple[Any, ...]
) -> None:
    with pytest.raises(Invalid) as caught:
        store.write(lambda tx: tx.run(sql, params))
    assert "secret" not in str(caught.value), "values of a statement must not reach error texts"
    assert caught.value.__suppress_context__ or "secret" not in str(caught.value.__cause__)
    assert stored(store) == []


@pytest.mark.parametrize(
    "sql", ["INSERT INTO item (id) VALUES ('a')", "DELETE FROM item", "CREATE TABLE other (id TEXT)"]
)
def test_a_read_cannot_change_anything(store: Store, sql: str) -> None:
    store.write(lambda tx: put(tx, "kept"))
    with pytest.raises(ReadOnly):
        store.read(lambda tx: tx.run(sql))
    assert stored(store) == ["kept"], "the next read works, and nothing was changed"


def test_a_read_cannot_bump(store: Store) -> None:
    with pytest.raises(ReadOnly):
        store.read(lambda tx: tx.bump("d"))


def test_an_exception_undoes_its_write_alone(store: Store) -> None:
    store.write(lambda tx: put(tx, "before"))

    def fail(tx: Tx) -> None:
        put(tx, "a")
        raise KeyError("of the caller's")

    with pytest.raises(KeyError, match="of the caller's"):
        store.write(fail)
    store.write(lambda tx: put(tx, "after"))
    assert stored(store) == ["after", "before"]


def test_a_failed_statement_ends_the_transaction_even_if_caught(store: Store) -> None:
    store.write(lambda tx: put(tx, "a"))
    later: list[BaseException] = []

    def stubborn(tx: Tx) -> str:
        put(tx, "b")
        try:
            put(tx, "a")
        except Conflict:
            try:
                tx.one("SELECT 1")
            except StoreError as error:
                later.append(error)
        return "all is well"

    with pytest.raises(Conflict):
        store.write(stubborn)
    assert isinstance(later[0], Conflict), "statements after the failed one are refused with its error"
    assert stored(store) == ["a"]


def test_a_savepoint_undoes_its_part_alone(store: Store) -> None:
    store.write(lambda tx: put(tx, "a"))

    def careful(tx: Tx) -> str:
        put(tx, "b")
        with pytest.raises(Conflict), tx.savepoint():  # noqa: PT012
            put(tx, "c")
            put(tx, "a")
        with pytest.raises(KeyError), tx.savepoint():  # noqa: PT012
            put(tx, "d")
            raise KeyError
        with tx.savepoint():
            put(tx, "e")
            with pytest.raises(Invalid), tx.savepoint():
                tx.run("nonsense")
        return "ok"

    assert store.write(careful) == "ok"
    assert stored(store) == ["a", "b", "e"]


def test_a_savepoint_does_not_hide_a_failure_that_was_caught_inside(store: Store) -> None:
    def hiding(tx: Tx) -> None:
        with pytest.raises(Conflict), tx.savepoint():  # noqa: PT012
            put(tx, "a")
            with pytest.raises(Conflict):
                put(tx, "a")

    store.write(hiding)
    assert stored(store) == []


def test_a_read_sees_one_snapshot(store: Store) -> None:
    store.write(lambda tx: put(tx, "a"))

    def look(tx: Tx) -> tuple[list[str], list[str]]:
        before = names(tx)
        store.write(lambda tx: put(tx, "b"))
        return before, names(tx)

    # The write inside runs in another thread with its own transaction: only a test may do this.
    assert store.read(look) == (["a"], ["a"])
    assert stored(store) == ["a", "b"]


def test_concurrent_increments_are_all_counted(store: Store) -> None:
    store.write(lambda tx: put(tx, "a"))

    def increment(tx: Tx) -> None:
        row = tx.one("SELECT n FROM item WHERE id = 'a'")
        assert row is not None
        tx.run("UPDATE item SET n = ? WHERE id = 'a'", (row[0] + 1,))

    def work() -> None:
        for _ in range(10):
            store.write(increment)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read(lambda tx: tx.one("SELECT n FROM item")) == (80,)


def test_write_skew_is_prevented(store: Store) -> None:
    """Two writes that each see a room for one more: serializable, so only one finds it."""

    def add_if_empty(name: str) -> Any:
        def fn(tx: Tx) -> bool:
            if names(tx):
                return False
            put(tx, name)
            return True

        return fn

    def work(name: str, results: list[bool]) -> None:
        results.append(store.write(add_if_empty(name)))

    for _ in range(10):
        store.write(lambda tx: tx.run("DELETE FROM item"))
        results: list[bool] = []
        threads = [threading.Thread(target=work, args=(name, results)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [False, False, False, True]
        assert len(stored(store)) == 1


def test_submit_calls_back_with_the_result_or_the_error(store: Store) -> None:
    outcomes: dict[str, tuple[Any, BaseException | None]] = {}
    ready = threading.Semaphore(0)

    def done(name: str) -> Any:
        def call(result: Any, error: BaseException | None) -> None:
            outcomes[name] = result, error
            ready.release()
            raise RuntimeError("a callback's own failure stops nobody")

        return call

    def bad(tx: Tx) -> int:
        put(tx, "x")
        raise LookupError("no")

    for name in ("a", "b", "c"):
        store.submit(lambda tx, name=name: put(tx, name), done(name))  # type: ignore[misc]
    store.submit(bad, done("bad"))
    for _ in range(4):
        assert ready.acquire(timeout=30)
    assert {name: outcomes[name] for name in "abc"} == dict.fromkeys("abc", (1, None))
    assert isinstance(outcomes["bad"][1], LookupError)
    assert stored(store) == ["a", "b", "c"]


def test_a_callback_comes_when_the_change_is_visible_to_others(store: Store) -> None:
    for i in range(20):
        seen: list[bool] = []
        ready = threading.Event()

        def done(result: Any, error: BaseException | None, i: int = i) -> None:
            seen.append(f"{i:03}" in stored(store))  # noqa: B023
            ready.set()  # noqa: B023

        store.submit(lambda tx, i=i: put(tx, f"{i:03}"), done)  # type: ignore[misc]
        assert ready.wait(30)
        assert seen == [True]


def test_a_write_inside_a_write_and_a_read_inside_a_read_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="inside a write"):
        store.write(lambda tx: store.write(lambda tx: put(tx, "a")))
    with pytest.raises(StoreError, match="inside a read"):
        store.read(lambda tx: store.read(names))
    assert stored(store) == []


def test_a_transaction_kept_for_later_is_refused(store: Store) -> None:
    kept: list[Tx] = [store.write(lambda tx: tx), store.read(lambda tx: tx)]
    for tx in kept:
        with pytest.raises(StoreError, match="the transaction is over"):
            put(tx, "a")
        with pytest.raises(StoreError, match="the transaction is over"):
            tx.one("SELECT 1")
    assert stored(store) == []


def test_a_closed_store_refuses(database: str) -> None:
    with opened(database) as store:
        store.write(lambda tx: put(tx, "a"))
        stored(store)
    for use in (
        lambda: stored(store),
        lambda: store.write(names),
        lambda: store.submit(names, lambda result, error: None),
    ):
        with pytest.raises(StoreError, match="closed"):
            use()
    store.close()


def test_closing_waits_for_what_was_submitted(database: str) -> None:
    acked: list[int] = []
    with opened(database) as store:
        for i in range(50):
            store.submit(lambda tx, i=i: put(tx, f"{i:03}"), lambda result, error: acked.append(1))  # type: ignore[misc]
    assert len(acked) == 50
    with opened(database) as store:
        assert len(stored(store)) == 50


def test_two_stores_on_one_database_see_each_other(database: str) -> None:
    with opened(database) as one, opened(database) as two:
        one.write(lambda tx: put(tx, "a"))
        assert stored(two) == ["a"]
        two.write(lambda tx: put(tx, "b"))
        assert stored(one) == ["a", "b"]


def test_a_forked_child_cannot_use_its_parents_store(store: Store) -> None:
    stored(store)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            stored(store)
        except StoreError:
            try:
                store.write(names)
            except StoreError:
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the child could use the store"
    assert stored(store) == []


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@host/db",
        "sqlite://relative/path.db",
        "sqlite:///",
        "sqlite:///data/x.db?mode=ro",
        "",
        "postgresql://u:hunter2@host:port:/x?nonsense=1",
    ],
)
def test_a_malformed_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url, migrations=[], patience=0.1)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


# Generations.


def test_a_bump_is_seen_when_the_write_returns(store: Store) -> None:
    slot, other = store.generations.slot("one"), store.generations.slot("other")
    assert slot != other
    assert store.generations.slot("one") == slot
    current = store.generations.current
    before, other_before = current(slot), current(other)

    def change(tx: Tx) -> None:
        tx.bump("one")

    store.write(change)
    assert current(slot) > before
    assert current(other) == other_before


def test_a_write_that_fails_may_bump_but_changes_nothing(store: Store) -> None:
    slot = store.generations.slot("one")
    before = store.generations.current(slot)

    def change(tx: Tx) -> None:
        tx.bump("one")
        raise KeyError

    with pytest.raises(KeyError):
        store.write(change)
    assert store.generations.current(slot) == before


def test_bump_all_reaches_every_domain(store: Store) -> None:
    slots = [store.generations.slot(name) for name in ("one", "two")]
    before = [store.generations.current(slot) for slot in slots]
    store.bump_all()
    assert all(store.generations.current(slot) > old for slot, old in zip(slots, before, strict=True))


def test_a_read_is_current_until_somebody_bumps(store: Store) -> None:
    def look(tx: Tx) -> list[bool]:
        names(tx)
        found = [tx.is_current()]
        store.write(lambda tx: put(tx, "unbumped"))
        found.append(tx.is_current())

        def change(tx: Tx) -> None:
            tx.bump("d")

        store.write(change)
        found.append(tx.is_current())
        return found

    # PostgreSQL's first news may arrive in between, which makes the first answer False once.
    answers = [store.read(look)]
    while answers[-1] != [True, True, False] and len(answers) < 50:
        store.write(lambda tx: tx.run("DELETE FROM item"))
        answers.append(store.read(look))
    assert answers[-1] == [True, True, False]


def test_a_write_that_changed_something_is_not_current(store: Store) -> None:
    def change(tx: Tx) -> bool:
        put(tx, "a")
        return tx.is_current()

    assert store.write(change) is False


def test_nothing_read_while_a_commit_is_under_way_is_current(store: Store) -> None:
    mark = store.generations.before_commit(["d"])
    assert store.read(lambda tx: (names(tx), tx.is_current())) == ([], False)
    store.generations.after_commit(["d"], mark)

    def straddle(tx: Tx) -> bool:
        return tx.is_current()

    # A write of this process settles it again in any case.
    def bump(tx: Tx) -> None:
        tx.bump("d")

    store.write(bump)
    assert any(store.read(straddle) for _ in range(50))
