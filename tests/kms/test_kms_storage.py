"""Keys at rest and in memory: what is bound to what, who sees a change, and what deletion leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kms_support import ABSENT_ID, ACCOUNT, OTHER_ACCOUNT, REGION, call_by, keys_of, opened_store

from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.envelope.message import open_message, read_header, seal_message
from casemate.errors import AwsError
from casemate.services.kms import deletion
from casemate.services.kms.key import DISABLED, PENDING_DELETION, Key
from casemate.services.kms.keys import Keys, default_policy
from casemate.services.kms.rows import Alias, material_id_of
from casemate.store.cache import Miss
from casemate.store.database import Store, Tx
from casemate.store.jobs import Jobs

MATERIAL = bytes(range(32))
NOW = 1_700_000_000.25


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """On both kinds of database."""
    with opened_store(database) as store:
        yield store


@pytest.fixture(scope="module")
def root() -> RootKey:
    return RootKey.generate()


@pytest.fixture
def keys(store: Store, root: RootKey) -> Keys:
    return keys_of(store, root)


def make(store: Store, keys: Keys, account: str = ACCOUNT, **chosen: Any) -> Key:
    key = store.write(lambda tx: keys.create(tx, account, REGION, NOW, **chosen))
    assert key is not None
    return key


def find(store: Store, keys: Keys, key_id: str, account: str = ACCOUNT) -> Key | None:
    """As a request in a thread finds it."""

    def read(tx: Tx) -> Key | None:
        call = call_by()
        call.transaction = tx
        return keys.find(call, account, REGION, key_id)

    return store.read(read)


def find_alias(store: Store, keys: Keys, name: str) -> Alias | None:
    def read(tx: Tx) -> Alias | None:
        call = call_by()
        call.transaction = tx
        return keys.find_alias(call, ACCOUNT, REGION, name)

    return store.read(read)


def name_it(store: Store, keys: Keys, name: str, key: Key) -> bool:
    alias = Alias(ACCOUNT, REGION, name, key.row.id, NOW, NOW)
    return store.write(lambda tx: keys.put_alias(tx, alias))


def test_chosen_ids_and_material(store: Store, keys: Keys, root: RootKey, tmp_path: Path) -> None:
    key = make(store, keys, key_id=ABSENT_ID, material=MATERIAL, description="seeded", tags={"a": "ü\0"})
    assert key.arn == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"
    assert key.row.policy == default_policy(ACCOUNT, REGION)
    loaded = find(store, keys, ABSENT_ID)
    assert loaded is not None
    assert loaded.row == key.row
    again = store.write(lambda tx: keys.create(tx, ACCOUNT, REGION, NOW, key_id=ABSENT_ID))
    assert again is None, "a key that is there already is left as it is"
    with pytest.raises(ValueError, match="32 bytes"):
        store.write(lambda tx: keys.create(tx, ACCOUNT, REGION, NOW, material=b"short"))

    # Another server made from the same seed opens what this one has sealed.
    blob = seal_message(key.current, key.arn, b"fixture", {})
    with opened_store(f"sqlite://{tmp_path}/other.db") as other:
        twin = make(other, keys_of(other, RootKey.generate()), key_id=ABSENT_ID, material=MATERIAL)
        assert open_message(twin.backing[read_header(blob).backing_id], blob, {}) == b"fixture"


def test_a_material_id_tells_neither_material_nor_its_use_elsewhere() -> None:
    ids = {
        material_id_of(account, region, ABSENT_ID, MATERIAL)
        for account in (ACCOUNT, OTHER_ACCOUNT)
        for region in (REGION, "eu-west-1")
    }
    assert len(ids) == 4
    assert MATERIAL.hex() not in ids


def test_nothing_is_stored_in_the_clear(root: RootKey, tmp_path: Path) -> None:
    with opened_store(f"sqlite://{tmp_path}/casemate.db") as store:
        make(store, keys_of(store, root), material=MATERIAL)
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert files
    for file in files:
        assert MATERIAL not in file.read_bytes(), f"{file.name} holds a key's material"


def test_random_keys_differ(store: Store, keys: Keys) -> None:
    made = [make(store, keys) for _ in range(3)]
    assert len({key.row.id for key in made}) == len({key.current.id for key in made}) == 3


# --- altered rows

_KEY = "WHERE account = ? AND region = ? AND id = ?"
_ALTERED_KEYS = {
    "state": "UPDATE kms_keys SET state = 'Disabled' " + _KEY,
    "policy": "UPDATE kms_keys SET policy = policy || ' ' " + _KEY,
    "tags": 'UPDATE kms_keys SET tags = \'{"team": "red"}\' ' + _KEY,
    "unreadable tags": "UPDATE kms_keys SET tags = '{' " + _KEY,
    "description": "UPDATE kms_keys SET description = 'x' " + _KEY,
    "creation": "UPDATE kms_keys SET created = created + 1 " + _KEY,
    "deletion date": "UPDATE kms_keys SET deletion_date = 1.0 " + _KEY,
    "usage": "UPDATE kms_keys SET key_usage = 'SIGN_VERIFY' " + _KEY,
    "seal": "UPDATE kms_keys SET seal = (SELECT wrapped FROM kms_backing_keys LIMIT 1) " + _KEY,
    "no material": "DELETE FROM kms_backing_keys WHERE account = ? AND region = ? AND key_id = ?",
    "material": "UPDATE kms_backing_keys SET wrapped = (SELECT seal FROM kms_keys LIMIT 1) "
    "WHERE account = ? AND region = ? AND key_id = ?",
    "version": "UPDATE kms_backing_keys SET version = 2 WHERE account = ? AND region = ? AND key_id = ?",
}


@pytest.mark.parametrize("altered", _ALTERED_KEYS)
def test_an_altered_key_is_not_used(
    store: Store, keys: Keys, root: RootKey, altered: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = make(store, keys, material=MATERIAL)
    changed = store.write(lambda tx: tx.run(_ALTERED_KEYS[altered], (ACCOUNT, REGION, key.row.id)))
    assert changed == 1
    with caplog.at_level(logging.ERROR), pytest.raises(AwsError) as caught:
        find(store, keys_of(store, root), key.row.id)
    assert (caught.value.code, caught.value.status) == ("KMSInternalException", 500)
    assert key.row.id not in caught.value.message
    assert key.row.id in caplog.text, "the operator learns which key it is"
    assert MATERIAL.hex() not in caplog.text


@pytest.mark.parametrize("table", ["kms_keys", "kms_backing_keys"])
def test_swapped_keys_are_not_used(store: Store, keys: Keys, root: RootKey, table: str) -> None:
    first, second = make(store, keys), make(store, keys)
    column = "id" if table == "kms_keys" else "key_id"

    def swap(tx: Tx) -> None:
        for before, after in ((first.row.id, "x"), (second.row.id, first.row.id), ("x", second.row.id)):
            tx.run(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (after, before))

    store.write(swap)
    for key in (first, second):
        with pytest.raises(AwsError) as caught:
            find(store, keys_of(store, root), key.row.id)
        assert caught.value.code == "KMSInternalException"


def test_a_key_moved_to_another_account_is_not_used(store: Store, keys: Keys, root: RootKey) -> None:
    key = make(store, keys)
    make(store, keys, OTHER_ACCOUNT)

    def move(tx: Tx) -> None:
        tx.run("UPDATE kms_keys SET account = ? WHERE id = ?", (OTHER_ACCOUNT, key.row.id))
        tx.run("UPDATE kms_backing_keys SET account = ? WHERE key_id = ?", (OTHER_ACCOUNT, key.row.id))

    store.write(move)
    with pytest.raises(AwsError) as caught:
        find(store, keys_of(store, root), key.row.id, OTHER_ACCOUNT)
    assert caught.value.code == "KMSInternalException"


def test_a_redirected_alias_is_not_used(store: Store, keys: Keys, root: RootKey) -> None:
    first, second = make(store, keys), make(store, keys)
    assert name_it(store, keys, "alias/a", first)
    store.write(lambda tx: tx.run("UPDATE kms_aliases SET key_id = ?", (second.row.id,)))
    fresh = keys_of(store, root)
    with pytest.raises(AwsError) as caught:
        find_alias(store, fresh, "alias/a")
    assert caught.value.code == "KMSInternalException"
    with pytest.raises(AwsError) as caught:
        find(store, fresh, second.row.id)
    assert caught.value.code == "KMSInternalException"
    for key_id in ("", second.row.id):
        with pytest.raises(AwsError) as caught:
            store.read(lambda tx, of=key_id: fresh.list_aliases(tx, ACCOUNT, REGION, "", 10, of))  # type: ignore[misc]
        assert caught.value.code == "KMSInternalException"


def test_another_root_key_opens_nothing(store: Store, keys: Keys) -> None:
    key = make(store, keys)
    with pytest.raises(AwsError) as caught:
        find(store, keys_of(store, RootKey.generate()), key.row.id)
    assert caught.value.code == "KMSInternalException"


# --- in memory


def test_the_event_loop_never_waits(store: Store, keys: Keys) -> None:
    key = make(store, keys)
    with pytest.raises(Miss):
        keys.find(call_by(), ACCOUNT, REGION, key.row.id)
    loaded = find(store, keys, key.row.id)
    assert keys.find(call_by(), ACCOUNT, REGION, key.row.id) is loaded, "in memory from then on"


@pytest.mark.parametrize(
    "change",
    [
        lambda tx, keys, key: keys.save(tx, key.row._replace(state=DISABLED)),
        lambda tx, keys, key: keys.put_alias(tx, Alias(ACCOUNT, REGION, "alias/n", key.row.id, NOW, NOW)),
        lambda tx, keys, key: keys.delete(tx, key.row),
    ],
    ids=["save", "alias", "delete"],
)
def test_all_workers_see_a_change_at_once(
    store: Store, root: RootKey, change: Callable[[Tx, Keys, Key], object]
) -> None:
    one, other = keys_of(store, root), keys_of(store, root)
    key = make(store, one)
    before = find(store, other, key.row.id)
    store.write(lambda tx: change(tx, one, key))
    with pytest.raises(Miss):
        other.find(call_by(), ACCOUNT, REGION, key.row.id)
    after = find(store, other, key.row.id)
    assert after is not before


def test_a_change_leaves_most_other_keys_in_memory(store: Store, keys: Keys) -> None:
    others = [make(store, keys) for _ in range(20)]
    for other in others:
        find(store, keys, other.row.id)
    make(store, keys)
    kept = 0
    for other in others:
        try:
            keys.find(call_by(), ACCOUNT, REGION, other.row.id)
            kept += 1
        except Miss:
            pass
    assert kept >= 10


def test_a_moved_alias_is_seen_by_both_keys(store: Store, keys: Keys) -> None:
    first, second = make(store, keys), make(store, keys)
    assert name_it(store, keys, "alias/a", first)
    assert not name_it(store, keys, "alias/a", second), "a new alias replaces none"
    alias = find_alias(store, keys, "alias/a")
    assert alias is not None
    assert alias.key_id == first.row.id
    moved = alias._replace(key_id=second.row.id, updated=NOW + 1)
    assert store.write(lambda tx: keys.put_alias(tx, moved, before=first.row.id))
    assert find_alias(store, keys, "alias/a") == moved
    names = [found.aliases if (found := find(store, keys, key.row.id)) else None for key in (first, second)]
    assert names == [(), ("alias/a",)]


# --- deletion


class _Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time


def pending(store: Store, keys: Keys, key: Key, days: int = 7) -> None:
    store.write(lambda tx: deletion.plan(tx, keys, key.row, NOW, days))


def rows(store: Store) -> list[int]:
    tables = ("kms_keys", "kms_backing_keys", "kms_aliases", "store_jobs")
    return [len(store.read(lambda tx, of=table: tx.all(f"SELECT 1 FROM {of}"))) for table in tables]  # type: ignore[misc]


def test_a_key_is_gone_at_its_deletion_date(store: Store, keys: Keys) -> None:
    key, kept = make(store, keys), make(store, keys)
    name_it(store, keys, "alias/gone", key)
    name_it(store, keys, "alias/kept", kept)
    clock = _Clock()
    recorded: list[Key] = []
    jobs = Jobs(store, clock, {deletion.KIND: deletion.deleter(store, keys, clock, recorded.append)})
    pending(store, keys, key)
    clock.time += 7 * 86_400 - 1
    assert jobs.run_due() == 0
    assert find(store, keys, key.row.id) is not None
    clock.time += 1
    assert jobs.run_due() == 1
    assert find(store, keys, key.row.id) is None
    assert find_alias(store, keys, "alias/gone") is None
    assert find(store, keys, kept.row.id) is not None
    assert find_alias(store, keys, "alias/kept") is not None
    assert rows(store) == [1, 1, 1, 0], "nothing of the key is left"
    assert [deleted.arn for deleted in recorded] == [key.arn], "it is in the audit once"
    assert jobs.run_due() == 0


def test_a_deletion_called_off_does_not_happen(store: Store, keys: Keys) -> None:
    key = make(store, keys)
    clock = _Clock()
    recorded: list[Key] = []
    jobs = Jobs(store, clock, {deletion.KIND: deletion.deleter(store, keys, clock, recorded.append)})
    pending(store, keys, key)

    def call_off(tx: Tx) -> None:
        keys.save(tx, key.row._replace(state=DISABLED))
        deletion.call_off(tx, key.row)

    store.write(call_off)
    clock.time += 8 * 86_400
    assert jobs.run_due() == 0
    assert find(store, keys, key.row.id) is not None
    assert recorded == []


def test_the_job_deletes_nothing_but_what_is_due(store: Store, keys: Keys) -> None:
    key = make(store, keys)
    clock = _Clock()
    recorded: list[Key] = []
    jobs = Jobs(store, clock, {deletion.KIND: deletion.deleter(store, keys, clock, recorded.append)})
    pending(store, keys, key)
    # Had back, and the job is still there, as if it had been claimed before.
    store.write(lambda tx: keys.save(tx, key.row))
    clock.time += 8 * 86_400
    assert jobs.run_due() == 1
    assert find(store, keys, key.row.id) is not None
    clock.time = NOW
    pending(store, keys, key)
    later = key.row._replace(state=PENDING_DELETION, deletion_date=NOW + 30 * 86_400)
    store.write(lambda tx: keys.save(tx, later))
    clock.time += 8 * 86_400
    assert jobs.run_due() == 1
    assert find(store, keys, key.row.id) is not None
