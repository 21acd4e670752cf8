"""The keys of all accounts: their rows, and what of them is in memory.

A key's row, its aliases and its material are each bound to their place under the account's key. Whatever was
altered or moved in the database is not used: the request that needs it fails, and the log says why.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4
from zlib import crc32

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.engine.envelope.message import BackingKey
from casemate.engine.policy import PolicyError, parse
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.gate.regions import partition_of
from casemate.services.kms.key import ENABLED, ENCRYPT_DECRYPT, SYMMETRIC_DEFAULT, Key, KeyRow
from casemate.services.kms.naming import key_arn
from casemate.services.kms.refusals import internal
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

log = logging.getLogger("casemate.kms")

SHARDS = 64
"""Keys are cached in so many domains of generations, so that a change of one key leaves nearly all the others
in memory."""

_KEYS_IN_SHARD = 500
"""So that the keys in memory take at most about 100 MB."""

ALIASES = "kms.aliases"
MATERIAL_BYTES = 32

_COLUMNS = (
    "account, region, id, created, state, description, key_usage, key_spec, origin, policy, tags, "
    "deletion_date, current_material, seal"
)
_SELECT = f"SELECT {_COLUMNS} FROM kms_keys WHERE account = ? AND region = ? AND id = ?"  # noqa: S608
_INSERT = f"INSERT INTO kms_keys ({_COLUMNS}) VALUES ({', '.join('?' * 14)}) ON CONFLICT DO NOTHING"  # noqa: S608
_UPDATE = (
    "UPDATE kms_keys SET state = ?, description = ?, policy = ?, tags = ?, deletion_date = ?, "
    "current_material = ?, seal = ? WHERE account = ? AND region = ? AND id = ?"
)
_ALIAS = "SELECT account, region, name, key_id, created, updated, seal FROM kms_aliases "

_KeyPlace = tuple[str, str, str]


class Alias(NamedTuple):
    """An alias as it is stored. name: with its "alias/"; created, updated: seconds since the epoch."""

    account: str
    region: str
    name: str
    key_id: str
    created: float
    updated: float


class Keys:
    """KMS's state, one per worker: ``call.part(Keys)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._shards: list[Cache[_KeyPlace, Key | None]] = [
            Cache(store, _domain(number), self._load, _KEYS_IN_SHARD) for number in range(SHARDS)
        ]
        self._aliases: Cache[_KeyPlace, Alias | None] = Cache(store, ALIASES, self._load_alias)

    def __repr__(self) -> str:
        return "<Keys>"

    # Finding, from memory where that is possible.

    def find(self, call: Call, account: str, region: str, key_id: str) -> Key | None:
        """The key, None when there is none. Raises KMSInternalException for a key whose rows were altered, and
        Miss."""
        try:
            return call.fetch(self._shards[crc32(key_id.encode()) % SHARDS], (account, region, key_id))
        except (Tampered, PolicyError) as error:
            raise _refused(f"key {key_arn(account, region, key_id)}", error) from error

    def find_alias(self, call: Call, account: str, region: str, name: str) -> Alias | None:
        """The alias, None when there is none. Raises as find."""
        try:
            return call.fetch(self._aliases, (account, region, name))
        except Tampered as error:
            raise _refused(f"alias {name} of account {account} in {region}", error) from error

    def load(self, tx: Tx, account: str, region: str, key_id: str) -> Key | None:
        """The key as this transaction sees it. Raises Tampered, PolicyError."""
        return self._load(tx, (account, region, key_id))

    def list_aliases(
        self, tx: Tx, account: str, region: str, after: str, count: int, key_id: str = ""
    ) -> list[Alias]:
        """Aliases by name, those after a name, of one key or of all of the account's. Raises
        KMSInternalException."""
        try:
            if key_id:
                of_key = self._aliases_of(tx, account, region, key_id)
                return [alias for alias in of_key if alias.name > after][:count]
            rows = tx.all(
                _ALIAS + "WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
                (account, region, after, count),
            )
            return [self._checked(tx, *row) for row in rows]
        except Tampered as error:
            raise _refused(f"aliases of account {account} in {region}", error) from error

    # Changing, in a write's transaction.

    def create(
        self,
        tx: Tx,
        account: str,
        region: str,
        now: float,
        *,
        key_id: str | None = None,
        material: bytes | None = None,
        policy: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Key | None:
        """Make a symmetric encryption key, enabled. None when there is a key of this id already, which is left
        as it is.

        key_id, material (32 bytes): random unless given; policy: KMS's default unless given, else a document that
        ``parse`` takes; tags: checked by the caller. Raises ValueError for material of another length.
        """
        if key_id is None:
            key_id = str(uuid4())
        if material is None:
            material = os.urandom(MATERIAL_BYTES)
        elif len(material) != MATERIAL_BYTES:
            raise ValueError(f"a symmetric key's material has {MATERIAL_BYTES} bytes")
        material_id = material_id_of(account, region, key_id, material)
        row = KeyRow(
            account,
            region,
            key_id,
            now,
            ENABLED,
            description,
            ENCRYPT_DECRYPT,
            SYMMETRIC_DEFAULT,
            "AWS_KMS",
            default_policy(account, region) if policy is None else policy,
            dict(tags or {}),
            None,
            material_id,
        )
        wrapping = self._keyring.account_key(account, tx)
        if not tx.run(_INSERT, (*_stored(row), _seal(wrapping, row))):
            return None
        tx.run(
            "INSERT INTO kms_backing_keys (account, region, key_id, version, id, created, wrapped) "
            "VALUES (?, ?, ?, 1, ?, ?, ?)",
            (account, region, key_id, material_id, now, _wrap(wrapping, row, 1, material_id, material)),
        )
        self._bump(tx, key_id)
        return self._load(tx, (account, region, key_id))

    def save(self, tx: Tx, row: KeyRow) -> None:
        """Store what may change of a key: state, description, policy, tags, deletion date, current material."""
        tx.run(
            _UPDATE,
            (
                row.state,
                row.description,
                row.policy,
                json.dumps(dict(row.tags)),
                row.deletion_date,
                row.current_material,
                _seal(self._keyring.account_key(row.account, tx), row),
                row.account,
                row.region,
                row.id,
            ),
        )
        self._bump(tx, row.id)

    def delete(self, tx: Tx, row: KeyRow) -> None:
        """Remove a key with its material and its aliases, for good."""
        place = (row.account, row.region, row.id)
        tx.run("DELETE FROM kms_backing_keys WHERE account = ? AND region = ? AND key_id = ?", place)
        if tx.run("DELETE FROM kms_aliases WHERE account = ? AND region = ? AND key_id = ?", place):
            tx.bump(ALIASES)
        tx.run("DELETE FROM kms_keys WHERE account = ? AND region = ? AND id = ?", place)
        self._bump(tx, row.id)

    def put_alias(self, tx: Tx, alias: Alias, before: str = "") -> bool:
        """Store an alias. before: the id of the key that it leaves, '' for a new alias. False when a new alias
        is there already."""
        seal = _seal_alias(self._keyring.account_key(alias.account, tx), alias)
        if before:
            changed = tx.run(
                "UPDATE kms_aliases SET key_id = ?, updated = ?, seal = ? "
                "WHERE account = ? AND region = ? AND name = ?",
                (alias.key_id, alias.updated, seal, alias.account, alias.region, alias.name),
            )
            self._bump(tx, before)
        else:
            changed = tx.run(
                "INSERT INTO kms_aliases (account, region, name, key_id, created, updated, seal) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (*alias, seal),
            )
        tx.bump(ALIASES)
        self._bump(tx, alias.key_id)
        return changed == 1

    def delete_alias(self, tx: Tx, alias: Alias) -> None:
        tx.run(
            "DELETE FROM kms_aliases WHERE account = ? AND region = ? AND name = ?",
            (alias.account, alias.region, alias.name),
        )
        tx.bump(ALIASES)
        self._bump(tx, alias.key_id)

    def _bump(self, tx: Tx, key_id: str) -> None:
        tx.bump(_domain(crc32(key_id.encode()) % SHARDS))

    # Loading.

    def _load(self, tx: Tx, place: _KeyPlace) -> Key | None:
        stored = tx.one(_SELECT, place)
        if stored is None:
            return None
        try:
            tags = json.loads(stored[10])
        except ValueError:
            raise Tampered(f"the stored tags of key {place[2]} are unreadable") from None
        row = KeyRow._make((*stored[:10], tags, *stored[11:13]))
        account = self._keyring.account_key(row.account, tx)
        account.unwrap(stored[13], _ROW, *_sealed(row, stored[10]))
        backing = {}
        for version, material_id, wrapped in tx.all(
            "SELECT version, id, wrapped FROM kms_backing_keys "
            "WHERE account = ? AND region = ? AND key_id = ? ORDER BY version",
            place,
        ):
            material = account.unwrap(wrapped, _MATERIAL, row.region, row.id, version, material_id)
            backing[material_id] = BackingKey(material_id, material)
        if row.current_material not in backing:
            raise Tampered(f"the stored material of key {row.id} is missing")
        names = tuple(alias.name for alias in self._aliases_of(tx, *place))
        return Key(row, parse(row.policy, "key"), names, backing)

    def _aliases_of(self, tx: Tx, account: str, region: str, key_id: str) -> list[Alias]:
        rows = tx.all(
            _ALIAS + "WHERE account = ? AND region = ? AND key_id = ? ORDER BY name",
            (account, region, key_id),
        )
        return [self._checked(tx, *row) for row in rows]

    def _load_alias(self, tx: Tx, place: _KeyPlace) -> Alias | None:
        row = tx.one(_ALIAS + "WHERE account = ? AND region = ? AND name = ?", place)
        return None if row is None else self._checked(tx, *row)

    def _checked(self, tx: Tx, *row: Any) -> Alias:
        alias = Alias(*row[:6])
        self._keyring.account_key(alias.account, tx).unwrap(row[6], _ALIAS_ROW, *_sealed_alias(alias))
        return alias


def _domain(shard: int) -> str:
    return f"kms.{shard:02x}"


def _refused(what: str, error: Exception) -> AwsError:
    log.error("the stored %s cannot be used: %s", what, error)
    return internal()


# --- what rows are bound to

_ROW, _ALIAS_ROW, _MATERIAL = "kms-key", "kms-alias", "kms-material"


def _stored(row: KeyRow) -> tuple[Any, ...]:
    return (*row[:10], json.dumps(dict(row.tags)), *row[11:])


def _sealed(row: KeyRow, tags: str) -> tuple[str, ...]:
    deletion = "" if row.deletion_date is None else repr(float(row.deletion_date))
    return (
        *(row.region, row.id, repr(float(row.created)), row.state, row.description, row.key_usage),
        *(row.key_spec, row.origin, row.policy, tags, deletion, row.current_material),
    )


def _seal(account: AccountKey, row: KeyRow) -> bytes:
    return account.wrap(b"", _ROW, *_sealed(row, json.dumps(dict(row.tags))))


def _wrap(account: AccountKey, row: KeyRow, version: int, material_id: str, material: bytes) -> bytes:
    return account.wrap(material, _MATERIAL, row.region, row.id, version, material_id)


def _sealed_alias(alias: Alias) -> tuple[str, ...]:
    return (
        *(alias.region, alias.name, alias.key_id),
        *(repr(float(alias.created)), repr(float(alias.updated))),
    )


def _seal_alias(account: AccountKey, alias: Alias) -> bytes:
    return account.wrap(b"", _ALIAS_ROW, *_sealed_alias(alias))


def material_id_of(account: str, region: str, key_id: str, material: bytes) -> str:
    """The id of key material, 64 hexadecimal digits: the same for the same material under the same key, so that
    a server made anew from the same seed opens what another one encrypted. Tells nothing of the material."""
    named = f"casemate kms material id 1 {key_arn(account, region, key_id)}"
    return hmac.digest(material, named.encode(), "sha256").hex()


def default_policy(account: str, region: str) -> str:
    """The key policy of a key that is made without one: the account decides by its identity policies. In the
    form in which AWS shows it. Source: "Default key policy"."""
    root = f"arn:{partition_of(region)}:iam::{account}:root"
    return f"""{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "{root}"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"""
