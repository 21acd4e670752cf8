"""The secrets of all accounts: their rows, and what of them is in memory.

A secret's row and its versions are each bound to their place under the account's key. Whatever was altered or moved
in the database is not used: the request that needs it fails, and the log says why.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.engine.policy import PolicyError, parse, with_names
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.services.secretsmanager.naming import secret_arn
from casemate.services.secretsmanager.refusals import unusable
from casemate.services.secretsmanager.rows import (
    SECRET_COLUMNS,
    VERSION_COLUMNS,
    SecretRow,
    VersionRow,
    loaded_secret,
    loaded_version,
    stored_secret,
    stored_version,
)
from casemate.services.secretsmanager.secret import Secret, Version
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx
from casemate.store.opened import Opened

SHARDS = 16
"""Secrets are cached in so many domains of generations, so that a change of one leaves most others in memory."""

_SECRETS_IN_SHARD = 2_000
_OPENED = 4_000
_SMALL, _SMALL_IN_SHARD, _LARGE_IN_SHARD = 4_096, 2_000, 64
"""Sealed values in memory: of up to 4 KiB so many in a shard, 128 MB in all at most; of larger ones 64 MB."""

_OF_ONE = " WHERE account = ? AND region = ? AND name = ?"


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}, accessed) VALUES ({marks}, 0.0) ON CONFLICT DO NOTHING"
    )


SELECT_SECRET = f"SELECT {', '.join(SECRET_COLUMNS)}, accessed FROM secrets"
_SELECT = SELECT_SECRET + _OF_ONE
_INSERT = _insert("secrets", SECRET_COLUMNS)
# When it was made and how its ARN ends never change, and an index need not be written for nothing.
_UPDATE = f"UPDATE secrets SET {', '.join(f'{name} = ?' for name in SECRET_COLUMNS[5:])}{_OF_ONE}"
_SELECT_VERSION = f"SELECT {', '.join(VERSION_COLUMNS)} FROM secret_versions{_OF_ONE} AND id = ?"
_HAS_VERSION = f"SELECT 1 FROM secret_versions{_OF_ONE} AND id = ?"
_INSERT_VERSION = _insert("secret_versions", VERSION_COLUMNS)
_COUNT_ONE_MORE = (
    "INSERT INTO secret_counts (account, region, secrets) VALUES (?, ?, 1) "
    "ON CONFLICT (account, region) DO UPDATE SET secrets = secret_counts.secrets + 1"
)
_COUNT_ONE_LESS = "UPDATE secret_counts SET secrets = secrets - 1 WHERE account = ? AND region = ?"

_Place = tuple[str, str, str]
_VersionPlace = tuple[str, str, str, str]


DOMAINS = tuple(f"secretsmanager.{shard:02x}" for shard in range(SHARDS))


def domain(name: str) -> str:
    """The generations of a secret's shard."""
    return DOMAINS[crc32(name.encode()) % SHARDS]


class Secrets:
    """Secrets Manager's state, one per worker: ``call.part(Secrets)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._opened: Opened[SecretRow] = Opened(_OPENED)
        self._secrets: list[Cache[_Place, Secret | None]] = [
            Cache(store, domain, self._load, _SECRETS_IN_SHARD) for domain in DOMAINS
        ]
        self._versions: list[Cache[_VersionPlace, Version | None]] = [
            Cache(store, domain, self._load_small, _SMALL_IN_SHARD) for domain in DOMAINS
        ]
        self._large: list[Cache[_VersionPlace, Version | None]] = [
            Cache(store, domain, self._load_version, _LARGE_IN_SHARD) for domain in DOMAINS
        ]

    def __repr__(self) -> str:
        return "<Secrets>"

    # Finding, from memory where that is possible.

    def find(self, call: Call, account: str, region: str, name: str) -> Secret | None:
        """The secret, None when there is none. Raises InternalServiceError for one whose rows were altered, and
        Miss."""
        try:
            return call.fetch(self._secrets[crc32(name.encode()) % SHARDS], (account, region, name))
        except (Tampered, PolicyError) as error:
            raise unusable(f"secret {secret_arn(account, region, name, '')}", error) from error

    def find_version(self, call: Call, secret: SecretRow, version_id: str) -> Version | None:
        """The secret's version, None when there is none of this id with a value. Raises as find."""
        place = (secret.account, secret.region, secret.name, version_id)
        shard = crc32(secret.name.encode()) % SHARDS
        try:
            version = call.fetch(self._versions[shard], place)
            if version is not None and not version.row.value:
                version = call.fetch(self._large[shard], place)
            return version
        except Tampered as error:
            raise unusable(f"version {version_id} of {secret.arn}", error) from error

    def load(self, tx: Tx, account: str, region: str, name: str) -> Secret | None:
        """The secret as this transaction sees it. Raises Tampered, PolicyError."""
        return self._load(tx, (account, region, name))

    def opened(self, tx: Tx, columns: tuple[Any, ...]) -> SecretRow:
        """A row of SECRET_COLUMNS. Raises InternalServiceError."""
        try:
            return loaded_secret(self._keyring.account_key(columns[0], tx), columns)
        except Tampered as error:
            raise unusable(f"secret {columns[2]} of account {columns[0]}", error) from error

    def opened_version(self, tx: Tx, columns: tuple[Any, ...], arn: str) -> VersionRow:
        """A row of VERSION_COLUMNS, of the secret of that ARN. Raises InternalServiceError."""
        try:
            return loaded_version(self._keyring.account_key(columns[0], tx), columns, arn)
        except Tampered as error:
            raise unusable(f"version {columns[3]} of {arn}", error) from error

    def has_version(self, tx: Tx, secret: SecretRow, version_id: str) -> bool:
        """Whether there is a version of this id with a value."""
        # No version has U+0000 in its id, and PostgreSQL takes none.
        place = (*secret[:3], version_id)
        return "\0" not in version_id and tx.one(_HAS_VERSION, place) is not None

    def versions(self, tx: Tx, secret: SecretRow) -> list[VersionRow]:
        """All versions that have a value, first to last. Raises Tampered."""
        rows = tx.all(
            f"SELECT {', '.join(VERSION_COLUMNS)} FROM secret_versions{_OF_ONE} ORDER BY created, id",
            secret[:3],
        )
        key = self._keyring.account_key(secret.account, tx)
        return [loaded_version(key, row, secret.arn) for row in rows]

    def count(self, tx: Tx, account: str, region: str) -> int:
        """How many secrets there are."""
        found = tx.one(
            "SELECT secrets FROM secret_counts WHERE account = ? AND region = ?", (account, region)
        )
        return 0 if found is None else int(found[0])

    # Changing, in a write's transaction.

    def insert(self, tx: Tx, row: SecretRow) -> bool:
        """Store a new secret. False when there is one of this name already."""
        made = tx.run(_INSERT, stored_secret(self._key(tx, row), row))
        if made:
            tx.run(_COUNT_ONE_MORE, row[:2])
            tx.bump(domain(row.name))
        return made == 1

    def save(self, tx: Tx, row: SecretRow) -> None:
        """Store a secret as it is now."""
        columns = stored_secret(self._key(tx, row), row)
        tx.run(_UPDATE, (*columns[5:], *row[:3]))
        tx.bump(domain(row.name))
        self._opened.put(columns, row)

    def delete(self, tx: Tx, row: SecretRow) -> None:
        """Remove a secret with its values, for good."""
        tx.run("DELETE FROM secret_versions" + _OF_ONE, row[:3])
        if tx.run("DELETE FROM secrets" + _OF_ONE, row[:3]):
            tx.run(_COUNT_ONE_LESS, row[:2])
        tx.bump(domain(row.name))

    def add_version(self, tx: Tx, secret: SecretRow, version: VersionRow) -> bool:
        """Store a version. False when there is one of its id already."""
        columns = stored_version(self._key(tx, secret), version, secret.arn)
        made = tx.run(_INSERT_VERSION, columns)
        tx.bump(domain(secret.name))
        return made == 1

    def save_version(self, tx: Tx, secret: SecretRow, version: VersionRow) -> None:
        """Store other data keys of a version."""
        columns = stored_version(self._key(tx, secret), version, secret.arn)
        tx.run(
            f"UPDATE secret_versions SET sealed = ?, value = ?{_OF_ONE} AND id = ?",
            (*columns[6:], *columns[:4]),
        )
        tx.bump(domain(secret.name))

    def drop_version(self, tx: Tx, secret: SecretRow, version_id: str) -> None:
        tx.run(f"DELETE FROM secret_versions{_OF_ONE} AND id = ?", (*secret[:3], version_id))
        tx.bump(domain(secret.name))

    def _key(self, tx: Tx, row: SecretRow) -> AccountKey:
        return self._keyring.account_key(row.account, tx)

    # Loading.

    def _load(self, tx: Tx, place: _Place) -> Secret | None:
        stored = tx.one(_SELECT, place)
        if stored is None:
            return None
        columns = stored[:-1]
        row = self._opened.get(
            columns, lambda: loaded_secret(self._keyring.account_key(place[0], tx), columns)
        )
        policy = parse(with_names(row.policy, row.named), "resource") if row.policy else None
        return Secret(row, policy, stored[-1])

    def _load_version(self, tx: Tx, place: _VersionPlace) -> Version | None:
        if "\0" in place[3]:
            return None
        secret = tx.one(f"SELECT suffix FROM secrets{_OF_ONE}", place[:3])
        stored = tx.one(_SELECT_VERSION, place)
        if secret is None or stored is None:
            return None
        arn = secret_arn(place[0], place[1], place[2], secret[0])
        return Version(loaded_version(self._keyring.account_key(place[0], tx), stored, arn), arn)

    def _load_small(self, tx: Tx, place: _VersionPlace) -> Version | None:
        """A large version without its value, which has a place of its own."""
        version = self._load_version(tx, place)
        if version is not None and version.row.size > _SMALL:
            version.row = version.row._replace(value=b"")
        return version
