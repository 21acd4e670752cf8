"""Migrations: discovered, run once whoever starts, and never against what they do not know."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path

import pytest
from store_support import hear, running

from casemate.store.database import Incompatible, Store, StoreError, open_store
from casemate.store.migrate import Migration, Migrations, discover

ONE = Migration(
    1, "one", "CREATE TABLE one (id TEXT NOT NULL PRIMARY KEY) STRICT; CREATE INDEX x ON one (id);"
)
TWO = Migration(2, "two", "ALTER TABLE one ADD COLUMN n INTEGER; INSERT INTO one (id, n) VALUES ('50%?', 1);")
BROKEN = Migration(2, "two", "INSERT INTO one (id) VALUES ('half'); INSERT INTO nowhere VALUES (1);")


def start(database: str, *files: Migration, owner: str = "test") -> Store:
    return open_store(database, migrations=[Migrations(owner, files)])


def test_outstanding_files_run_once_and_in_order(database: str) -> None:
    start(database, ONE).close()
    for _ in range(2):
        store = start(database, ONE, TWO)
        assert store.read(lambda tx: tx.all("SELECT id, n FROM one")) == [("50%?", 1)]
        store.close()


def test_a_failing_file_leaves_nothing_behind(database: str) -> None:
    start(database, ONE).close()
    with pytest.raises(StoreError):
        start(database, ONE, BROKEN)
    store = start(database, ONE, TWO)
    assert store.read(lambda tx: tx.all("SELECT id FROM one")) == [("50%?",)]
    store.close()


def test_a_newer_versions_database_is_refused(database: str) -> None:
    start(database, ONE, TWO).close()
    with pytest.raises(Incompatible, match=r"newer version.*0002 \(two\) of test"):
        start(database, ONE)


def test_a_database_with_an_unknown_owner_is_refused(database: str) -> None:
    start(database, ONE, owner="later").close()
    with pytest.raises(Incompatible, match="newer version"):
        open_store(database, migrations=[])


def test_a_file_changed_after_it_ran_is_refused(database: str) -> None:
    start(database, ONE).close()
    with pytest.raises(Incompatible, match=r"0001 \(one\) of test was changed"):
        start(database, ONE._replace(sql=ONE.sql + " "))


def test_an_owner_named_twice_is_refused(database: str) -> None:
    with pytest.raises(StoreError, match="twice"):
        open_store(database, migrations=[Migrations("a", ()), Migrations("a", ())])
    with pytest.raises(StoreError, match="twice"):
        open_store(database, migrations=[Migrations("store", ())])


def test_starters_at_the_same_time_run_each_file_once(database: str) -> None:
    errors: list[BaseException] = []
    stores: list[Store] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        try:
            stores.append(start(database, ONE, TWO))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [store.read(lambda tx: tx.one("SELECT COUNT(*) FROM one")) for store in stores] == [(1,)] * 4
    for store in stores:
        store.close()


def test_processes_that_start_at_the_same_time_all_open(database: str) -> None:
    program = """
with opened(sys.argv[1]) as store:
    print("open", flush=True)
    sys.stdin.readline()
"""
    with running(program, database) as one, running(program, database) as two:
        assert [hear(one), hear(two)] == ["open", "open"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "services_for_test" / "vault"
    (folder / "migrations").mkdir(parents=True)
    for each in (folder, folder.parent):
        (each / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "services_for_test", raising=False)
    importlib.invalidate_caches()
    return folder / "migrations"


def test_files_are_discovered_beside_their_owner(package: Path) -> None:
    (package / "0002_more_of_it.sql").write_text("B")
    (package / "0001_it.sql").write_text("A")
    (package / "README").write_text("not a migration")
    assert discover("services_for_test.vault") == Migrations(
        "vault", (Migration(1, "it", "A"), Migration(2, "more_of_it", "B"))
    )
    assert discover("services_for_test.vault", "other").owner == "other"


def test_an_owner_without_files_has_none(package: Path) -> None:
    assert discover("services_for_test.vault") == Migrations("vault", ())


@pytest.mark.parametrize(
    "names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"]]
)
def test_numbers_must_be_consecutive(package: Path, names: list[str]) -> None:
    for name in names:
        (package / name).touch()
    with pytest.raises(StoreError, match="consecutively"):
        discover("services_for_test.vault")


@pytest.mark.parametrize("name", ["1_a.sql", "0001-a.sql", "0001_A.sql", "a.sql"])
def test_other_names_are_refused(package: Path, name: str) -> None:
    (package / name).touch()
    with pytest.raises(StoreError, match="not named as"):
        discover("services_for_test.vault")


def test_what_is_no_package_is_refused() -> None:
    with pytest.raises(StoreError, match="not a package"):
        discover("casemate.errors")
