"""What is PostgreSQL's own: lost connections, lost answers, other nodes, crashes of either side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_proxy import Proxy, proxied
from postgres_support import PostgresServer, own_server
from store_support import WRITERS, hear, killed_in_the_middle, names, opened, put, running, say, stored

from casemate.store.database import Conflict, OutcomeUnknown, Store, StoreError, Tx, Unavailable, open_store


def kill_sessions(url: str) -> None:
    """End all other sessions of the database, as an administrator or a failover does."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def eventually(what: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_psycopg_is_imported_for_postgresql_only() -> None:
    program = "import sys, casemate.store.database, casemate.store.sqlite; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_reads_and_writes_go_on_after_all_connections_were_lost(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        for i in range(3):
            store.write(lambda tx, i=i: put(tx, f"{i}"))  # type: ignore[misc]
            assert len(stored(store)) == i + 1
            kill_sessions(postgres_url)
        assert len(stored(store)) == 3


def test_a_connection_lost_inside_a_transaction_makes_it_run_again(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        runs: list[int] = []

        def change(tx: Tx) -> str:
            runs.append(1)
            put(tx, f"{len(runs)}")
            if len(runs) == 1:
                kill_sessions(postgres_url)
                try:
                    put(tx, "never")
                except StoreError:
                    # Not even a function that hides it can lose its work this way.
                    return "hidden"
            return f"run {len(runs)}"

        assert store.write(change) == "run 2"
        assert stored(store) == ["2"]

        looks: list[int] = []

        def look(tx: Tx) -> list[str]:
            looks.append(1)
            first = names(tx)
            if len(looks) == 1:
                kill_sessions(postgres_url)
            return first + names(tx)

        assert store.read(look) == ["2", "2"]
        assert len(looks) == 2


def test_a_conflict_makes_it_run_again(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        store.write(lambda tx: put(tx, "a"))
        runs: list[int] = []

        def change(tx: Tx) -> int:
            row = tx.one("SELECT n FROM item WHERE id = 'a'")
            runs.append(1)
            if len(runs) == 1:
                with psycopg.connect(postgres_url, autocommit=True) as conn:
                    conn.execute("UPDATE item SET n = 10")
            assert row is not None
            return tx.run("UPDATE item SET n = ? WHERE id = 'a'", (row[0] + 1,))

        assert store.write(change) == 1
        assert len(runs) == 2
        assert store.read(lambda tx: tx.one("SELECT n FROM item")) == (11,)


def test_conflicts_without_end_are_given_up(postgres_url: str) -> None:
    with opened(postgres_url, patience=0.3) as store:
        store.write(lambda tx: put(tx, "a"))

        def change(tx: Tx) -> None:
            tx.one("SELECT n FROM item WHERE id = 'a'")
            with psycopg.connect(postgres_url, autocommit=True) as conn:
                conn.execute("UPDATE item SET n = n + 1")
            tx.run("UPDATE item SET n = 0")

        with pytest.raises(Unavailable) as caught:
            store.write(change)
        assert not isinstance(caught.value, OutcomeUnknown)


# The answer to COMMIT is lost.


@pytest.fixture
def proxy(postgres_url: str, postgres_server: PostgresServer) -> Iterator[tuple[Proxy, Store]]:
    with proxied(postgres_url, postgres_server.folder) as (proxy, url), opened(url, patience=15) as store:
        store.write(lambda tx: put(tx, "before"))
        yield proxy, store


@pytest.mark.parametrize(
    ("plan", "runs"),
    [
        (["unsent"], 2),
        (["unanswered"], 1),
        (["unsent", "unanswered"], 2),
        (["unsent", "unsent", "unsent"], 4),
    ],
)
def test_a_lost_commit_happens_once_and_returns_its_own_result(
    proxy: tuple[Proxy, Store], plan: list[str], runs: int
) -> None:
    between, store = proxy
    ran: list[int] = []
    slot = store.generations.slot("d")
    before = store.generations.current(slot)

    def change(tx: Tx) -> str:
        ran.append(1)
        tx.bump("d")
        tx.run("UPDATE item SET n = n + 1")
        return f"run {len(ran)}"

    between.plan = list(plan)
    assert store.write(change, request_id="request-1") == f"run {runs}"
    assert between.cut == plan
    assert store.read(lambda tx: tx.one("SELECT n FROM item")) == (1,), "exactly once"
    assert store.generations.current(slot) > before


def test_a_commit_that_the_server_gets_late_happens_once(proxy: tuple[Proxy, Store]) -> None:
    between, store = proxy
    ran: list[int] = []

    def change(tx: Tx) -> str:
        ran.append(1)
        tx.run("UPDATE item SET n = n + 1")
        return f"run {len(ran)}"

    between.plan = ["late"]
    result = store.write(change)
    time.sleep(1.2)
    row = store.read(lambda tx: tx.one("SELECT n FROM item"))
    assert row == (1,), "the first attempt and the second must not both be committed"
    assert result in ("run 1", "run 2")


def test_a_second_attempt_that_meets_the_first_ones_mark_returns_the_firsts_result(
    proxy: tuple[Proxy, Store],
) -> None:
    between, store = proxy
    ran: list[int] = []

    def change(tx: Tx) -> str:
        ran.append(1)
        put(tx, f"run {len(ran)}")
        if len(ran) == 2:
            # The first attempt, which was not committed when this one began, is by now.
            time.sleep(1)
        return f"run {len(ran)}"

    between.plan = ["late"]
    assert store.write(change) == "run 1"
    assert len(ran) == 2
    assert stored(store) == ["before", "run 1"]


def test_when_nobody_can_tell_the_outcome_is_unknown(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    with (
        proxied(postgres_url, postgres_server.folder) as (between, url),
        opened(url, patience=0.5) as store,
    ):

        def change(tx: Tx) -> None:
            put(tx, "a")
            between.refusing = True

        between.plan = ["unanswered"]
        with pytest.raises(OutcomeUnknown):
            store.write(change)
        between.refusing = False
        eventually(lambda: stored(store) == ["a"])


def test_marks_of_commits_are_tidied_away(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        store.write(lambda tx: put(tx, "a"), request_id="r")
        store.write(
            lambda tx: tx.run(
                "INSERT INTO store_requests (request_id, attempt) VALUES ('0123456789ab old', 1)"
            )
        )
    with opened(postgres_url) as store:
        marks = [row[0] for row in store.read(lambda tx: tx.all("SELECT request_id FROM store_requests"))]
    assert len(marks) == 2
    assert "0123456789ab old" not in marks
    assert sum(mark.endswith(" r") for mark in marks) == 1


# A server that is away.


def test_a_server_that_is_not_there_is_unavailable_without_naming_the_password(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="PostgreSQL at") as caught:
        open_store(f"postgresql://u:hunter2@/db?host={tmp_path}", migrations=[], patience=0.2)
    assert "hunter2" not in str(caught.value)


def test_a_restart_is_waited_for_and_a_stop_is_unavailable() -> None:
    with own_server() as server:
        url = server.new_database()
        with opened(url, patience=20) as store, opened(url, patience=0.5) as hasty:
            slot = hasty.generations.slot("d")
            store.write(lambda tx: put(tx, "a"))
            server.stop("immediate")
            with pytest.raises(Unavailable):
                stored(hasty)
            with pytest.raises(Unavailable):
                hasty.write(lambda tx: put(tx, "never"))
            # Without news, no cache is trusted: the generation moves by itself.
            before = hasty.generations.current(slot)
            eventually(lambda: hasty.generations.current(slot) > before)
            timer = threading.Timer(0.3, server.start)
            timer.start()
            store.write(lambda tx: put(tx, "b"))
            timer.join()
            assert stored(store) == ["a", "b"], "what was acknowledged before the crash is there"
            assert stored(hasty) == ["a", "b"]


def test_a_server_that_hangs_is_unavailable_when_patience_is_over() -> None:
    with own_server() as server, opened(server.new_database(), patience=1.0) as store:
        store.write(lambda tx: put(tx, "a"))
        stored(store)
        outcomes: list[BaseException] = []

        def work(use: Callable[[], object]) -> None:
            try:
                use()
            except StoreError as error:
                outcomes.append(error)

        uses = (lambda: store.write(lambda tx: put(tx, "b")), lambda: stored(store))
        threads = [threading.Thread(target=work, args=(use,)) for use in uses]
        server.pause()
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            server.resume()
        assert [isinstance(each, Unavailable) for each in outcomes] == [True, True]
        eventually(lambda: _answers(store))


def _answers(store: Store) -> bool:
    try:
        return "a" in stored(store)
    except Unavailable:
        return False


def test_an_immediate_stop_loses_no_acknowledged_write() -> None:
    acked: list[str] = []
    with own_server() as server:
        url = server.new_database()
        with running(WRITERS, url) as process:
            say(process, "000")
            pid = int(hear(process))
            for _ in range(3):
                acked += [hear(process) for _ in range(100)]
                server.stop("immediate")
                server.start()
            # The writer itself finds the server again each time, and goes on where it was.
            acked += [hear(process) for _ in range(100)]
            os.kill(pid, signal.SIGKILL)
        with opened(url) as store:
            assert set(acked) <= set(stored(store))


def test_kill_9_of_the_client_loses_no_acknowledged_write(postgres_url: str) -> None:
    acked = killed_in_the_middle(postgres_url, 20, lambda i: 3 + 2 * i)
    assert len(acked) > 400
    with opened(postgres_url) as store:
        assert acked <= set(stored(store))


# Other nodes.


def test_another_nodes_bump_is_seen_soon(postgres_url: str) -> None:
    with opened(postgres_url) as one, opened(postgres_url) as two:
        slot, other = two.generations.slot("d"), two.generations.slot("e")
        for _ in range(5):
            before, other_before = two.generations.current(slot), two.generations.current(other)
            one.write(lambda tx: tx.bump("d"))
            eventually(lambda before=before: two.generations.current(slot) > before)
        # On a busy machine the news may come so late that all caches start afresh, "e" included.
        assert two.generations.current(other) >= other_before


def test_bump_all_reaches_other_nodes(postgres_url: str) -> None:
    with opened(postgres_url) as one, opened(postgres_url) as two:
        slot = two.generations.slot("whatever")
        before = two.generations.current(slot)
        one.bump_all()
        eventually(lambda: two.generations.current(slot) > before)


def test_a_node_that_never_notifies_is_heard_by_polling(postgres_url: str) -> None:
    with opened(postgres_url) as store:
        slot = store.generations.slot("d")
        before = store.generations.current(slot)
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            conn.execute("INSERT INTO store_generations VALUES ('other', 0, '{\"d\": 1}')")
        eventually(lambda: store.generations.current(slot) > before)


def test_writes_are_durable_even_where_the_servers_default_is_not(postgres_url: str) -> None:
    name = postgres_url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    with opened(postgres_url) as store:
        assert store.write(lambda tx: tx.one("SHOW synchronous_commit")) == ("on",)
        assert store.write(lambda tx: tx.one("SHOW transaction_isolation")) == ("serializable",)


def test_a_backup_names_the_tool(postgres_url: str, tmp_path: Path) -> None:
    with opened(postgres_url) as store, pytest.raises(StoreError, match="pg_dump"):
        store.backup(tmp_path / "copy")


def test_a_conflict_with_other_writers_is_a_conflict(postgres_url: str) -> None:
    """Many at once insert the same key: one wins, the others hear Conflict, not of retries."""
    with opened(postgres_url) as store:
        outcomes: list[str] = []

        def work() -> None:
            try:
                store.write(lambda tx: put(tx, "same"))
                outcomes.append("won")
            except Conflict:
                outcomes.append("conflict")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["conflict"] * 7 + ["won"]
