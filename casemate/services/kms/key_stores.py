"""Custom key stores as they are stored: names, where their keys are, and whether they are connected."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.engine.envelope.derivation import KeyHolder
from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.kms.refusals import internal
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

log = logging.getLogger("casemate.kms")

DOMAIN = "kms.key_stores"
CLOUDHSM, EXTERNAL = "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"
"""Types of custom key stores, and the origins of the keys in them."""
CONNECTED, CONNECTING, DISCONNECTED, FAILED = "CONNECTED", "CONNECTING", "DISCONNECTED", "FAILED"
PUBLIC, SERVICE = "PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"

_PURPOSE = "kms-key-store"
_COLUMNS = "account, region, id, name, type, created, state, error, settings"
_SELECT = f"SELECT {_COLUMNS}, wrapped FROM kms_key_stores WHERE account = ? "
_INSERT = f"INSERT INTO kms_key_stores ({_COLUMNS}, wrapped) VALUES ({', '.join('?' * 10)})"
_UPDATE = (
    "UPDATE kms_key_stores SET name = ?, type = ?, created = ?, state = ?, error = ?, settings = ?, wrapped = ? "
    "WHERE account = ? AND region = ? AND id = ?"
)

_Place = tuple[str, str, str]


class Settings(NamedTuple):
    """What a store's type needs. cluster, certificate (PEM, as it was given): of a CloudHSM key store; the others of
    an external key store, as CreateCustomKeyStore calls them."""

    cluster: str = ""
    certificate: str = ""
    connectivity: str = ""
    endpoint: str = ""
    path: str = ""
    access_key_id: str = ""
    service: str = ""
    owner: str = ""


class KeyStore(KeyHolder):
    """A custom key store. Never changed. secret: the HSM user's password, or the secret access key for the proxy."""

    __slots__ = (
        *("account", "created", "error", "id", "name", "region"),
        *("secret", "settings", "state", "type"),
    )

    def __init__(
        self,
        account: str,
        region: str,
        id: str,  # noqa: A002 - as the column
        name: str,
        type: str,  # noqa: A002
        created: float,
        secret: str,
        settings: Settings,
        state: str = DISCONNECTED,
        error: str = "",
    ) -> None:
        self.account = account
        self.region = region
        self.id = id
        self.name = name
        self.type = type
        self.created = created
        self.secret = secret
        self.settings = settings
        self.state = state
        self.error = error

    def __repr__(self) -> str:
        return f"<KeyStore {self.id} {self.type} {self.state}>"

    @property
    def place(self) -> _Place:
        return self.account, self.region, self.id

    def changed(self, **values: Any) -> KeyStore:
        """The same with other values."""
        mine = {name: getattr(self, name) for name in self.__slots__}
        return KeyStore(**{**mine, **values})


class KeyStores:
    """The custom key stores of all accounts, one per worker: ``call.part(KeyStores)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._cache: Cache[_Place, KeyStore | None] = Cache(store, DOMAIN, self._load, 1000)

    def __repr__(self) -> str:
        return "<KeyStores>"

    def find(self, call: Call, account: str, store_id: str) -> KeyStore | None:
        """The store in the call's Region, None when there is none. Raises KMSInternalException for one whose row was
        altered, and Miss."""
        try:
            return call.fetch(self._cache, (account, call.region, store_id))
        except Tampered as error:
            log.error(
                "the stored custom key store %s of account %s cannot be used: %s", store_id, account, error
            )
            raise internal() from error

    def load(self, tx: Tx, place: _Place) -> KeyStore | None:
        """The store as this transaction sees it. Raises Tampered."""
        return self._load(tx, place)

    def all_of(self, tx: Tx, account: str) -> list[KeyStore]:
        """An account's stores in all Regions, by id. Raises KMSInternalException."""
        try:
            return [self._opened(tx, row) for row in tx.all(_SELECT + "ORDER BY region, id", (account,))]
        except Tampered as error:
            log.error("a stored custom key store of account %s cannot be used: %s", account, error)
            raise internal() from error

    def insert(self, tx: Tx, store: KeyStore) -> None:
        text = _text(store.settings)
        wrapped = _wrapped(self._keyring.account_key(store.account, tx), store, text)
        tx.run(
            _INSERT,
            (*store.place, store.name, store.type, store.created, store.state, store.error, text, wrapped),
        )
        tx.bump(DOMAIN)

    def save(self, tx: Tx, store: KeyStore) -> None:
        text = _text(store.settings)
        wrapped = _wrapped(self._keyring.account_key(store.account, tx), store, text)
        tx.run(
            _UPDATE,
            (store.name, store.type, store.created, store.state, store.error, text, wrapped, *store.place),
        )
        tx.bump(DOMAIN)

    def delete(self, tx: Tx, store: KeyStore) -> None:
        tx.run("DELETE FROM kms_key_stores WHERE account = ? AND region = ? AND id = ?", store.place)
        tx.bump(DOMAIN)

    def _load(self, tx: Tx, place: _Place) -> KeyStore | None:
        row = tx.one(_SELECT + "AND region = ? AND id = ?", place)
        return None if row is None else self._opened(tx, row)

    def _opened(self, tx: Tx, row: tuple[Any, ...]) -> KeyStore:
        account, region, store_id, name, kind, created, state, error, text, wrapped = row
        try:
            settings = Settings(**json.loads(text))
        except (ValueError, TypeError):
            raise Tampered(f"the stored settings of {store_id} are unreadable") from None
        store = KeyStore(account, region, store_id, name, kind, created, "", settings, state, error)
        secret = self._keyring.account_key(account, tx).unwrap(wrapped, _PURPOSE, *_bound(store, text))
        return store.changed(secret=secret.decode())


def keys_in(tx: Tx, store: KeyStore) -> Mapping[str, str]:
    """The keys in a store: id by what the key is called there."""
    rows = tx.all(
        "SELECT external_id, id FROM kms_keys WHERE account = ? AND region = ? AND custom_key_store = ? "
        "AND custom_key_store <> ''",
        store.place,
    )
    return dict(rows)


def _text(settings: Settings) -> str:
    return json.dumps({name: value for name, value in settings._asdict().items() if value})


def _wrapped(account: AccountKey, store: KeyStore, text: str) -> bytes:
    return account.wrap(store.secret.encode(), _PURPOSE, *_bound(store, text))


def _bound(store: KeyStore, text: str) -> tuple[str, ...]:
    created = repr(float(store.created))
    return (store.region, store.id, store.name, store.type, created, store.state, store.error, text)
