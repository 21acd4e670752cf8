"""Custom key stores at rest, on both databases: what is bound to what, and who sees a change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kms_support import ACCOUNT, OTHER_ACCOUNT, REGION, call_by, keys_of, opened_store

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import RootKey
from casemate.errors import AwsError
from casemate.gate.keyring import Keyring
from casemate.services.kms.key_stores import CONNECTED, KeyStore, KeyStores, Settings, keys_in
from casemate.store.database import Store, Tx

NOW = 1_700_000_000.25
SECRET = "the-secret-of-the-store"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """On both kinds of database."""
    with opened_store(database) as store:
        yield store


@pytest.fixture
def root() -> RootKey:
    return RootKey.generate()


@pytest.fixture
def key_stores(store: Store, root: RootKey) -> KeyStores:
    return KeyStores(store, Keyring(root))


def made(store: Store, key_stores: KeyStores, **more: Any) -> KeyStore:
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "id": "cks-1",
        "name": "one",
        "type": "EXTERNAL_KEY_STORE",
        "created": NOW,
        "secret": SECRET,
        "settings": Settings(endpoint="https://x.test", path="/kms/xks/v1"),
        **more,
    }
    one = KeyStore(**values)
    store.write(lambda tx: key_stores.insert(tx, one))
    return one


def find(
    store: Store, key_stores: KeyStores, store_id: str = "cks-1", account: str = ACCOUNT
) -> KeyStore | None:
    """As a request in a thread finds it."""

    def read(tx: Tx) -> KeyStore | None:
        call = call_by()
        call.transaction = tx
        return key_stores.find(call, account, store_id)

    return store.read(read)


def test_what_is_stored_comes_back_and_changes_are_seen(store: Store, key_stores: KeyStores) -> None:
    one = made(store, key_stores)
    found = find(store, key_stores)
    assert found is not None
    assert (found.secret, found.settings, found.state) == (SECRET, one.settings, "DISCONNECTED")
    assert find(store, key_stores, account=OTHER_ACCOUNT) is None
    store.write(lambda tx: key_stores.save(tx, one.changed(state=CONNECTED, secret="another")))
    found = find(store, key_stores)
    assert found is not None
    assert (found.secret, found.state) == ("another", CONNECTED)
    assert [each.id for each in store.read(lambda tx: key_stores.all_of(tx, ACCOUNT))] == ["cks-1"]
    store.write(lambda tx: key_stores.delete(tx, one))
    assert find(store, key_stores) is None


def test_a_store_shows_no_secret(store: Store, key_stores: KeyStores) -> None:
    one = made(store, key_stores)
    assert SECRET not in repr(one)
    rows = store.read(lambda tx: tx.all("SELECT * FROM kms_key_stores"))
    assert SECRET not in str(rows)
    assert SECRET.encode() not in bytes(rows[0][-1])


@pytest.mark.parametrize(
    "change",
    [
        "state = 'CONNECTED'",
        'settings = \'{"endpoint": "https://evil.test", "path": "/kms/xks/v1"}\'',
        "settings = '{'",
        'settings = \'{"other": "x"}\'',
        "settings = '[]'",
        "name = 'two'",
        "type = 'AWS_CLOUDHSM'",
        "created = 1",
        "error = 'x'",
        "id = 'cks-2'",
        f"account = '{OTHER_ACCOUNT}'",
    ],
)
def test_a_row_that_was_altered_or_moved_is_not_used(
    store: Store, key_stores: KeyStores, change: str
) -> None:
    made(store, key_stores)

    def make_key_of_other(tx: Tx) -> None:
        key_stores.insert(
            tx, KeyStore(OTHER_ACCOUNT, REGION, "cks-3", "three", "EXTERNAL_KEY_STORE", NOW, "s", Settings())
        )

    store.write(make_key_of_other)
    store.write(lambda tx: tx.run(f"UPDATE kms_key_stores SET {change} WHERE id = 'cks-1'"))
    account = OTHER_ACCOUNT if "account" in change else ACCOUNT
    name = "cks-2" if "cks-2" in change else "cks-1"
    with pytest.raises(Tampered):
        store.read(lambda tx: key_stores.load(tx, (account, REGION, name)))
    with pytest.raises(AwsError, match="KMSInternalException"):
        find(store, key_stores, name, account)
    with pytest.raises(AwsError, match="KMSInternalException"):
        store.read(lambda tx: key_stores.all_of(tx, account))


def test_the_keys_of_a_store_are_found(store: Store, root: RootKey, key_stores: KeyStores) -> None:
    one = made(store, key_stores)
    keys = keys_of(store, root)

    def create(tx: Tx, external_id: str, custom_key_store: str) -> None:
        more = {
            "custom_key_store": custom_key_store,
            "external_id": external_id,
            "origin": "EXTERNAL_KEY_STORE",
        }
        assert keys.create(tx, ACCOUNT, REGION, NOW, material=bytes(32), **more) is not None

    store.write(lambda tx: create(tx, "a", "cks-1"))
    store.write(lambda tx: create(tx, "b", "cks-2"))
    store.write(lambda tx: keys.create(tx, ACCOUNT, REGION, NOW))
    assert list(store.read(lambda tx: keys_in(tx, one))) == ["a"]
