"""What is SQLite's own: files, locks, the shared generations, backup, and kill -9."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest
from store_support import hear, killed_in_the_middle, opened, put, running, say, stored

from casemate.store.cache import Cache
from casemate.store.database import Conflict, Invalid, StoreError, Tx, Unavailable
from casemate.store.sqlite import SqliteStore, SqliteTx


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/data/casemate.db"


def test_files_are_for_the_owner_only(url: str, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with opened(url) as store:
            store.write(lambda tx: put(tx, "a"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
            assert {"casemate.db", "casemate.db-wal", "casemate.db-shm", "generations"} <= modes.keys()
            assert set(modes.values()) == {0o600}
            assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    finally:
        os.umask(old)


def test_a_path_with_spaces_and_percents_is_itself(tmp_path: Path) -> None:
    with opened(f"sqlite://{tmp_path}/a%20b%25/c%3f.db"):
        assert (tmp_path / "a b%" / "c?.db").exists()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError), opened(f"sqlite://{tmp_path}/file/casemate.db"):
        pass


def test_what_is_no_database_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "casemate.db").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match="not a database"), opened(url):
        pass
    assert (tmp_path / "data" / "casemate.db").read_bytes() == b"something else" * 1000


def test_commits_are_durable_and_keys_are_enforced(url: str) -> None:
    with opened(url) as store:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        found = store.write(lambda tx: [tx.one(f"PRAGMA {name}") for name in pragmas])
        assert found == [("wal",), (2,), (1,), (0,)]


def test_a_write_waits_for_another_process_but_not_forever(url: str, tmp_path: Path) -> None:
    with opened(url, patience=0.3) as store:
        other = apsw.Connection(str(tmp_path / "data" / "casemate.db"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            store.write(lambda tx: put(tx, "a"))
        timer = threading.Timer(0.05, lambda: other.execute("COMMIT"))
        timer.start()
        store.write(lambda tx: put(tx, "b"))
        timer.join()
        assert stored(store) == ["b"]
        other.close()


def test_when_the_commit_fails_everybody_in_its_group_hears(url: str) -> None:
    with opened(url) as store:
        assert isinstance(store, SqliteStore)
        slot = store.generations.slot("d")
        before = store.generations.current(slot)
        started, go = threading.Event(), threading.Event()
        outcomes: list[tuple[Any, BaseException | None]] = []
        ready = threading.Semaphore(0)

        def done(result: Any, error: BaseException | None) -> None:
            outcomes.append((result, error))
            ready.release()

        def first(tx: Tx) -> None:
            started.set()
            assert go.wait(30)

        def bumping(tx: Tx) -> None:
            put(tx, "b")
            tx.bump("d")

        store.submit(first, done)
        assert started.wait(30)
        # These come into one group, since the writer is busy.
        store.submit(lambda tx: put(tx, "a"), done)
        store.submit(bumping, done)
        refused = threading.Event()

        def refuse() -> bool:
            refused.set()
            return True

        store._writer.set_commit_hook(lambda: refuse() if len(outcomes) else False)
        go.set()
        for _ in range(3):
            assert ready.acquire(timeout=30)
        store._writer.set_commit_hook(None)
        assert refused.is_set()
        assert outcomes[0] == (None, None)
        errors = [error for _, error in outcomes[1:]]
        assert [type(error) for error in errors] == [Invalid, Invalid]
        assert errors[0] is not errors[1]
        assert store.generations.current(slot) > before, "who saw the change coming must look again"
        assert stored(store) == []
        store.write(lambda tx: put(tx, "after"))
        assert stored(store) == ["after"]
        assert store.read(lambda tx: tx.is_current())


def test_a_rollback_that_fails_leaves_nobody_waiting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(url) as store:
        command = SqliteTx.command

        def broken(tx: SqliteTx, sql: str) -> None:
            if sql in ("COMMIT", "ROLLBACK"):
                raise apsw.IOError("the disk is gone")
            command(tx, sql)

        with monkeypatch.context() as patched:
            patched.setattr(SqliteTx, "command", broken)
            for name in ("a", "b"):
                with pytest.raises(StoreError):
                    store.write(lambda tx, name=name: put(tx, name))  # type: ignore[misc]
        with pytest.raises(StoreError):
            store.write(lambda tx: put(tx, "the one that finds it so"))
        store.write(lambda tx: put(tx, "c"))
        assert stored(store) == ["c"]


def test_one_failure_in_a_group_leaves_the_others(url: str) -> None:
    with opened(url) as store:
        store.write(lambda tx: put(tx, "taken"))
        outcomes: list[BaseException | None] = []
        ready = threading.Semaphore(0)

        def done(result: Any, error: BaseException | None) -> None:
            outcomes.append(error)
            ready.release()

        for i in range(1000):
            name = "taken" if i % 10 == 0 else f"{i:04}"
            store.submit(lambda tx, name=name: put(tx, name), done)  # type: ignore[misc]
        for _ in range(1000):
            assert ready.acquire(timeout=30)
        assert [i for i, error in enumerate(outcomes) if isinstance(error, Conflict)] == list(
            range(0, 1000, 10)
        )
        assert len(stored(store)) == 901


def test_readers_of_many_threads_work_side_by_side(url: str) -> None:
    with opened(url) as store:
        store.write(lambda tx: put(tx, "a"))
        results: list[list[str]] = []

        def work() -> None:
            for _ in range(50):
                results.append(stored(store))  # noqa: PERF401 - reads of one thread interleave with others

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [["a"]] * 400


def test_a_reader_does_not_hold_up_a_checkpoint(url: str, tmp_path: Path) -> None:
    """A cursor left open would keep its snapshot, and the log would grow for ever."""
    with opened(url) as store:
        store.write(lambda tx: [put(tx, f"{i:03}") for i in range(100)])
        store.read(lambda tx: tx.one("SELECT id FROM item"))

        def fail(tx: Tx) -> None:
            tx.one("SELECT id FROM item")
            raise KeyError

        with pytest.raises(KeyError):
            store.read(fail)
        other = apsw.Connection(str(tmp_path / "data" / "casemate.db"))
        other.execute("SELECT COUNT(*) FROM item").fetchall()
        assert other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
        other.close()


def test_closing_leaves_one_file(url: str, tmp_path: Path) -> None:
    with opened(url) as store:
        store.write(lambda tx: put(tx, "a"))
        stored(store)
    left = {path.name for path in (tmp_path / "data").iterdir()}
    assert left == {"casemate.db", "casemate.db-start", "generations"}, "the log went into the database"


# Backup.


def test_a_backup_is_a_consistent_copy_while_writes_go_on(url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy" / "casemate.db"
    target.parent.mkdir()
    with opened(url) as store:
        store.write(lambda tx: tx.run("INSERT INTO item (id, n) VALUES ('left', 0), ('right', 0)"))
        stop = threading.Event()

        def keep_writing() -> None:
            while not stop.is_set():
                store.write(lambda tx: tx.run("UPDATE item SET n = n + 1, body = ?", (os.urandom(3000),)))

        thread = threading.Thread(target=keep_writing)
        thread.start()
        try:
            store.backup(target)
        finally:
            stop.set()
            thread.join()
    assert [path.name for path in target.parent.iterdir()] == ["casemate.db"], "one file, no leftovers"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with opened(f"sqlite://{target}") as copy:
        rows = copy.read(lambda tx: tx.all("SELECT n FROM item"))
        assert len(rows) == 2
        assert rows[0] == rows[1], "both rows are of one snapshot"


def test_a_backup_replaces_nothing(url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with opened(url) as store:
        with pytest.raises(StoreError, match="exists already"):
            store.backup(target)
        with pytest.raises(StoreError):
            store.backup(tmp_path / "missing" / "copy.db")
    assert target.read_text() == "precious"


# Generations, shared by processes.

OTHER = """
import os
with opened(sys.argv[1]) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        what, _, domain = line.strip().partition(" ")
        if what == "current":
            print(store.generations.current(store.generations.slot(domain)), flush=True)
        elif what == "bump":
            store.write(lambda tx: tx.bump(domain))
            print("done", flush=True)
        elif what == "current?":
            print(store.read(lambda tx: tx.is_current()), flush=True)
        elif what == "die":
            store.generations.after_commit = lambda domains, mark: os._exit(9)
            store.write(lambda tx: (put(tx, "committed"), tx.bump(domain)))
"""


def ask(process: Any, line: str) -> str:
    say(process, line)
    return hear(process)


def test_a_bump_is_seen_by_other_processes_at_once(url: str) -> None:
    with opened(url) as store, running(OTHER, url) as other:
        assert hear(other) == "ready"
        # The domains are registered in different orders: the names decide, not the order.
        mine = [store.generations.slot(name) for name in ("x", "y")]
        theirs = [int(ask(other, f"current {name}")) for name in ("y", "x")]
        assert [store.generations.current(slot) for slot in reversed(mine)] == theirs
        for _ in range(20):
            before = store.generations.current(mine[0])
            assert ask(other, "bump x") == "done"
            assert store.generations.current(mine[0]) > before
            before_there = int(ask(other, "current y"))
            store.write(lambda tx: tx.bump("y"))
            assert int(ask(other, "current y")) > before_there


def test_a_process_killed_between_commit_and_bump_leaves_nobody_stale(url: str) -> None:
    with opened(url) as store:
        with running(OTHER, url) as other:
            assert hear(other) == "ready"
            slot = store.generations.slot("d")
            before = store.generations.current(slot)
            assert store.read(lambda tx: tx.is_current())
            assert ask(other, "die d") == "", "it dies without an answer"
        assert stored(store) == ["committed"]
        assert store.generations.current(slot) > before, "what was cached before the commit is dropped"
        assert not store.read(lambda tx: tx.is_current()), "and what is read now is not kept"
        between = store.generations.current(slot)
        with opened(url) as successor:
            assert successor.read(lambda tx: tx.is_current())
        assert store.generations.current(slot) > between, "until a store is opened, as a new worker does"
        assert store.read(lambda tx: tx.is_current())


def test_the_next_write_settles_what_a_killed_process_left(url: str) -> None:
    with opened(url) as store:
        with running(OTHER, url) as other:
            assert hear(other) == "ready"
            ask(other, "die d")
        assert not store.read(lambda tx: tx.is_current())
        store.write(lambda tx: tx.bump("another"))
        assert store.read(lambda tx: tx.is_current())


def test_two_processes_register_domains_without_collision(url: str) -> None:
    with opened(url) as store, running(OTHER, url) as other:
        assert hear(other) == "ready"
        for i in range(0, 60, 2):
            say(other, f"current d{i + 1}")
            store.generations.slot(f"d{i}")
            hear(other)
        slots = {store.generations.slot(f"d{i}") for i in range(60)}
        assert len(slots) == 60


def test_domains_have_bounds(url: str) -> None:
    with opened(url) as store:
        for name in ("", "x" * 65, "a\0b"):
            with pytest.raises(StoreError, match="domain"):
                store.generations.slot(name)
        for i in range(256):
            store.generations.slot(f"d{i}")
        with pytest.raises(StoreError, match="more than 256"):
            store.generations.slot("one too many")
        with pytest.raises(IndexError):
            store.generations.current(100_000)


@pytest.mark.parametrize("content", [b"short", b"x" * 65536, None])
def test_a_file_that_is_not_generations_is_refused(url: str, tmp_path: Path, content: bytes | None) -> None:
    with opened(url):
        pass
    path = tmp_path / "data" / "generations"
    path.write_bytes(b"y" * path.stat().st_size if content is None else content)
    with pytest.raises(StoreError, match="not a file of generations"), opened(url):
        pass
    path.unlink()
    with opened(url):
        assert path.exists()


# Crashes.


def test_kill_9_loses_no_acknowledged_write(url: str) -> None:
    acked = killed_in_the_middle(url, 20, lambda i: 3 + 7 * i)
    assert len(acked) > 1000
    with opened(url) as store:
        found = stored(store)
        assert acked <= set(found)
        assert store.read(lambda tx: tx.all("PRAGMA integrity_check")) == [("ok",)]


def test_a_write_sees_from_memory_what_nobody_of_its_group_has_changed(url: str) -> None:
    with opened(url) as store, opened(url) as other:
        loads: list[str] = []

        def load(tx: Tx, key: str) -> int | None:
            loads.append(key)
            found = tx.one("SELECT n FROM item WHERE id = ?", (key,))
            return None if found is None else int(found[0])

        cache: Cache[str, int | None] = Cache(store, "d", load)

        def change(tx: Tx, number: int) -> None:
            tx.run("DELETE FROM item")
            put(tx, "a", number)
            tx.bump("d")

        def changing(tx: Tx) -> tuple[int | None, int | None]:
            before = cache.settled("a", tx)
            change(tx, 4)
            return before, cache.settled("a", tx)

        store.write(lambda tx: change(tx, 1))
        assert store.write(lambda tx: (cache.settled("a", tx), cache.settled("a", tx))) == (1, 1)
        assert loads == ["a"], "kept by a write that has changed nothing"
        # What another process commits is seen; so is what a function changes itself, or one before it in its group.
        other.write(lambda tx: change(tx, 2))
        assert store.write(lambda tx: cache.settled("a", tx)) == 2
        store.write(lambda tx: change(tx, 3))
        go, ready = threading.Event(), threading.Semaphore(0)
        outcomes: list[object] = []

        def done(result: object, error: BaseException | None) -> None:
            outcomes.append(result if error is None else error)
            ready.release()

        store.submit(lambda _: go.wait(30), done)
        store.submit(changing, done)
        store.submit(lambda tx: cache.settled("a", tx), done)
        store.submit(lambda tx: tx.settled("d"), done)
        go.set()
        for _ in range(4):
            assert ready.acquire(timeout=30)
        assert outcomes == [True, (3, 4), 4, False]
        assert store.write(lambda tx: (tx.settled("d"), cache.settled("a", tx))) == (True, 4)
        assert store.read(lambda tx: tx.settled("d")) is False
