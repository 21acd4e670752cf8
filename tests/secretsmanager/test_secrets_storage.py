"""Secrets at rest and in memory, on both kinds of database: what is bound to what, and who sees a change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from secrets_support import ACCOUNT, OTHER_ACCOUNT, REGION, call_by

from casemate.engine.envelope.hierarchy import RootKey
from casemate.errors import AwsError
from casemate.gate.keyring import Keyring
from casemate.services.secretsmanager import rotating
from casemate.services.secretsmanager.rows import SecretRow, VersionRow, WrappedKey
from casemate.services.secretsmanager.secret import Secret, Version
from casemate.services.secretsmanager.secrets import Secrets, domain
from casemate.store.cache import Miss
from casemate.store.database import Store, Tx, open_store
from casemate.store.migrate import discover

NOW = 1_700_000_000.25
ROW = SecretRow(
    ACCOUNT,
    REGION,
    "app/db",
    "AbCdEf",
    NOW,
    NOW,
    description="of the app",
    tags={"team": "red"},
    labels={"AWSCURRENT": "v" * 32},
)


def version(size: int = 5, value: bytes = b"sealed", name: str = "v" * 32) -> VersionRow:
    return VersionRow(
        ACCOUNT, REGION, "app/db", name, NOW, size, False, (WrappedKey("alias/x", b"data key"),), value
    )


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    migrations = [discover("casemate.gate"), discover("casemate.services.secretsmanager")]
    store = open_store(database, migrations=migrations)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def secrets(store: Store) -> Secrets:
    made = Secrets(store, Keyring(RootKey.generate()))
    assert store.write(lambda tx: made.insert(tx, ROW))
    assert store.write(lambda tx: made.insert(tx, ROW._replace(account=OTHER_ACCOUNT, name="theirs")))
    assert store.write(lambda tx: made.add_version(tx, ROW, version()))
    return made


def find(store: Store, secrets: Secrets, account: str = ACCOUNT) -> Secret | None:
    """As a request in a thread finds it."""

    def read(tx: Tx) -> Secret | None:
        call = call_by(account)
        call.transaction = tx
        return secrets.find(call, account, REGION, "app/db")

    return store.read(read)


def find_version(store: Store, secrets: Secrets, name: str = "v" * 32) -> Version | None:
    def read(tx: Tx) -> Version | None:
        call = call_by()
        call.transaction = tx
        return secrets.find_version(call, ROW, name)

    return store.read(read)


def test_what_is_stored_is_found(store: Store, secrets: Secrets) -> None:
    found, opened = find(store, secrets), find_version(store, secrets)
    assert found is not None
    assert found.row == ROW
    assert opened is not None
    assert opened.row == version()
    assert find(store, secrets, OTHER_ACCOUNT) is None
    assert find_version(store, secrets, "w" * 32) is None
    assert not store.write(lambda tx: secrets.insert(tx, ROW))
    assert not store.write(lambda tx: secrets.add_version(tx, ROW, version()))
    assert store.read(lambda tx: secrets.count(tx, ACCOUNT, REGION)) == 1


def test_nothing_but_names_and_times_is_in_the_clear(store: Store, secrets: Secrets) -> None:
    rows = store.read(lambda tx: (tx.all("SELECT * FROM secrets"), tx.all("SELECT * FROM secret_versions")))
    for hidden in ("of the app", "team", "red", "AWSCURRENT", "alias/x", "data key"):
        assert hidden not in repr(rows)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secrets SET suffix = 'XXXXXX'",
        "UPDATE secrets SET deletion = 1.0",
        "UPDATE secrets SET changed = 1.0",
        "UPDATE secrets SET created = 1.0",
        f"UPDATE secrets SET account = '{OTHER_ACCOUNT}'",
        "UPDATE secret_versions SET size = 6",
        "UPDATE secret_versions SET created = 1.0",
        f"UPDATE secret_versions SET id = '{'w' * 32}'",
    ],
)
def test_altered_rows_are_not_used(
    store: Store, secrets: Secrets, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    def alter(tx: Tx) -> None:
        tx.run(change)
        tx.bump(domain("app/db"))

    store.write(alter)
    look: Callable[[], Any]
    if "secret_versions" in change:
        look = lambda: find_version(store, secrets, ("w" if "'w" in change else "v") * 32)  # noqa: E731
    else:
        look = lambda: find(store, secrets, OTHER_ACCOUNT if OTHER_ACCOUNT in change else ACCOUNT)  # noqa: E731
    with caplog.at_level(logging.ERROR), pytest.raises(AwsError) as refused:
        look()
    assert (refused.value.code, refused.value.status) == ("InternalServiceError", 500)
    assert "cannot be used" in caplog.text


def test_a_change_is_seen_at_once(store: Store, secrets: Secrets) -> None:
    assert find(store, secrets)
    store.write(lambda tx: secrets.save(tx, ROW._replace(description="another", deletion=NOW + 1)))
    found = find(store, secrets)
    assert found is not None
    assert (found.row.description, found.row.deletion) == ("another", NOW + 1)
    store.write(lambda tx: secrets.delete(tx, ROW))
    assert find(store, secrets) is None
    assert find_version(store, secrets) is None
    assert store.read(lambda tx: secrets.count(tx, ACCOUNT, REGION)) == 0


@pytest.mark.parametrize("size", [4096, 4097])
def test_small_and_large_values_are_kept_in_memory(store: Store, secrets: Secrets, size: int) -> None:
    row = version(size, b"x" * size, "l" * 32)
    store.write(lambda tx: secrets.add_version(tx, ROW, row))
    in_the_loop = call_by()
    with pytest.raises(Miss):
        secrets.find_version(in_the_loop, ROW, "l" * 32)
    assert find_version(store, secrets, "l" * 32)
    found = secrets.find_version(in_the_loop, ROW, "l" * 32)
    assert found is not None
    assert found.row == row


def test_a_step_that_fails_is_logged_without_what_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    def step(gate: Any, job: Any) -> None:
        raise ValueError(job.payload)

    gate, job = Mock(), Mock(id="the-job", payload="hunter2")
    rotating._guarded(step, gate, job)
    assert "the-job" in caplog.text
    assert "ValueError" in caplog.text
    assert "in step" in caplog.text, "the frames tell where"
    assert "hunter2" not in caplog.text
    gate.store.write.assert_called_once()
