"""The keys of all accounts: their rows, and what of them is in memory.

A key's row, its aliases and its material are each bound to their place under the account's key. Whatever was
altered or moved in the database is not used: the request that needs it fails, and the log says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import uuid4
from zlib import crc32

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.engine.envelope.message import BackingKey
from casemate.engine.keys import KeyMaterialError, generate
from casemate.engine.keys import load as load_material
from casemate.engine.keys.specs import ENCRYPT_DECRYPT, SYMMETRIC_DEFAULT
from casemate.engine.policy import PolicyError, parse, with_names
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.gate.regions import partition_of
from casemate.services.kms.grant_store import Grants
from casemate.services.kms.key import DISABLED, ENABLED, PENDING_IMPORT, Key
from casemate.services.kms.naming import key_arn
from casemate.services.kms.refusals import unusable
from casemate.services.kms.rows import (
    ALIAS_COLUMNS,
    KEY_COLUMNS,
    MATERIAL_COLUMNS,
    Alias,
    KeyRow,
    MaterialRow,
    loaded_alias,
    loaded_key,
    material_id_of,
    stored_alias,
    stored_key,
    unwrapped_material,
    wrapped_material,
)
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

SHARDS = 64
"""Keys are cached in so many domains of generations, so that a change of one key leaves nearly all the others
in memory."""

_KEYS_IN_SHARD = 500
"""So that the keys in memory take at most about 100 MB, and asymmetric ones' material up to 200 besides
(``casemate.engine.keys.material``)."""

ALIASES = "kms.aliases"
MATERIAL_BYTES = 32


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"


_OF_ONE_KEY = " WHERE account = ? AND region = ? AND id = ?"
_OF_KEY = " WHERE account = ? AND region = ? AND key_id = ?"
_SELECT = f"SELECT {', '.join(KEY_COLUMNS)} FROM kms_keys" + _OF_ONE_KEY
_INSERT = _insert("kms_keys", KEY_COLUMNS)
_UPDATE = f"UPDATE kms_keys SET {', '.join(f'{name} = ?' for name in KEY_COLUMNS[3:])}" + _OF_ONE_KEY
_PLACE = ("account", "region", "key_id")
_MATERIAL = f"SELECT {', '.join(MATERIAL_COLUMNS)}, wrapped FROM kms_backing_keys"
_INSERT_MATERIAL = _insert("kms_backing_keys", (*_PLACE, *MATERIAL_COLUMNS, "wrapped"))
_DELETE_MATERIAL = "DELETE FROM kms_backing_keys" + _OF_KEY
_ALIAS = f"SELECT {', '.join(ALIAS_COLUMNS)} FROM kms_aliases "
_INSERT_ALIAS = _insert("kms_aliases", ALIAS_COLUMNS)

_COUNT_ONE_MORE = (
    "INSERT INTO kms_key_counts (account, region, keys) VALUES (?, ?, 1) "
    "ON CONFLICT (account, region) DO UPDATE SET keys = kms_key_counts.keys + 1"
)
_COUNT_ONE_LESS = "UPDATE kms_key_counts SET keys = keys - 1 WHERE account = ? AND region = ?"

_KeyPlace = tuple[str, str, str]
V = TypeVar("V")


class Keys:
    """KMS's state, one per worker: ``call.part(Keys)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._shards: list[Cache[_KeyPlace, Key | None]] = [
            Cache(store, _domain(number), self._load, _KEYS_IN_SHARD) for number in range(SHARDS)
        ]
        self._aliases: Cache[_KeyPlace, Alias | None] = Cache(store, ALIASES, self._load_alias)
        self.grants = Grants(store, keyring)

    def __repr__(self) -> str:
        return "<Keys>"

    # Finding, from memory where that is possible.

    def find(self, call: Call, account: str, region: str, key_id: str) -> Key | None:
        """The key, None when there is none. Raises KMSInternalException for a key whose rows were altered, and
        Miss."""
        try:
            return _seen(call, self._shards[crc32(key_id.encode()) % SHARDS], (account, region, key_id))
        except (Tampered, PolicyError, KeyMaterialError) as error:
            raise unusable(f"key {key_arn(account, region, key_id)}", error) from error

    def find_alias(self, call: Call, account: str, region: str, name: str) -> Alias | None:
        """The alias, None when there is none. Raises as find."""
        try:
            return _seen(call, self._aliases, (account, region, name))
        except Tampered as error:
            raise unusable(f"alias {name} of account {account} in {region}", error) from error

    def load(self, tx: Tx, account: str, region: str, key_id: str) -> Key | None:
        """The key as this transaction sees it. Raises Tampered, PolicyError, KeyMaterialError."""
        return self._load(tx, (account, region, key_id))

    def load_alias(self, tx: Tx, account: str, region: str, name: str) -> Alias | None:
        """The alias as this transaction sees it. Raises Tampered."""
        return self._load_alias(tx, (account, region, name))

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
            return [self._checked(tx, row) for row in rows]
        except Tampered as error:
            raise unusable(f"aliases of account {account} in {region}", error) from error

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
        **more: Any,
    ) -> Key | None:
        """Make a key, enabled. None when there is a key of this id already, which is left as it is.

        key_id, material: random unless given; policy: KMS's default unless given, else a document that ``parse``
        takes; more: what else its KeyRow has that is not ordinary, checked by the caller. It is a symmetric key
        with material of its own, unless more says otherwise; of one Region, unless its id is that of a
        multi-Region key, of which it becomes the primary key. Where material is to be imported, the key waits for it.
        Raises ValueError for symmetric material of another length.
        """
        row = KeyRow(
            account=account,
            region=region,
            id=str(uuid4()) if key_id is None else key_id,
            created=now,
            policy=default_policy(account, region) if policy is None else policy,
            **{**_NEW, **more},
        )
        if row.id.startswith("mrk-") and not row.primary_region:
            row = row._replace(primary_region=region)
        if row.origin == "EXTERNAL":
            row = row._replace(state=PENDING_IMPORT)
        elif not row.custom_key_store or material is not None:
            material = _material(row.key_spec, material)
            row = row._replace(current_material=material_id_of(account, region, row.id, material))
        if not self.insert(tx, row):
            return None
        if material is not None:
            self.put_material(tx, row, MaterialRow(row.current_material, 1, now), material)
        return self._load(tx, (account, region, row.id))

    def insert(self, tx: Tx, row: KeyRow) -> bool:
        """Store a key's row, without material. False when there is one already."""
        made = tx.run(_INSERT, stored_key(self._keyring.account_key(row.account, tx), row))
        if made and row.manager == "CUSTOMER":
            tx.run(_COUNT_ONE_MORE, (row.account, row.region))
        self._bump(tx, row.id)
        return made == 1

    def count(self, tx: Tx, account: str, region: str) -> int:
        """How many customer managed keys there are."""
        found = tx.one("SELECT keys FROM kms_key_counts WHERE account = ? AND region = ?", (account, region))
        return 0 if found is None else int(found[0])

    def save(self, tx: Tx, row: KeyRow) -> None:
        """Store a key's row as it is now."""
        columns = stored_key(self._keyring.account_key(row.account, tx), row)
        tx.run(_UPDATE, (*columns[3:], row.account, row.region, row.id))
        self._bump(tx, row.id)

    def put_material(self, tx: Tx, key: KeyRow, row: MaterialRow, material: bytes) -> None:
        """Store a version of a key's material, in the place of what is stored of it. material: b"" for what is
        gone."""
        account = self._keyring.account_key(key.account, tx)
        place = (key.account, key.region, key.id)
        tx.run(_DELETE_MATERIAL + " AND version = ?", (*place, row.version))
        wrapped = wrapped_material(account, key, row, material)
        tx.run(_INSERT_MATERIAL, (*place, *row[: len(MATERIAL_COLUMNS)], wrapped))
        self._bump(tx, key.id)

    def drop_material(self, tx: Tx, key: KeyRow, material_id: str) -> None:
        """Remove a version of a key's material with all that is known of it."""
        place = (key.account, key.region, key.id)
        tx.run(_DELETE_MATERIAL + " AND id = ?", (*place, material_id))
        self._bump(tx, key.id)

    def account_key(self, tx: Tx, account: str) -> AccountKey:
        """The account's key, under which what is KMS's own is sealed."""
        return self._keyring.account_key(account, tx)

    def material(self, tx: Tx, key: KeyRow) -> list[tuple[MaterialRow, bytes]]:
        """All versions of a key's material, first to last, as this transaction sees them. Raises Tampered."""
        account = self._keyring.account_key(key.account, tx)
        found = []
        for *columns, wrapped in tx.all(
            _MATERIAL + _OF_KEY + " ORDER BY version", (key.account, key.region, key.id)
        ):
            row = MaterialRow(*columns)
            material = unwrapped_material(account, key, row, wrapped)
            found.append((row._replace(present=bool(material)), material))
        return found

    def delete(self, tx: Tx, row: KeyRow) -> None:
        """Remove a key with its material, its aliases and its grants, for good."""
        place = (row.account, row.region, row.id)
        tx.run(_DELETE_MATERIAL, place)
        self.grants.delete_all(tx, place)
        tx.run("DELETE FROM kms_key_uses" + _OF_KEY, place)
        if tx.run("DELETE FROM kms_aliases" + _OF_KEY, place):
            tx.bump(ALIASES)
        if tx.run("DELETE FROM kms_keys" + _OF_ONE_KEY, place) and row.manager == "CUSTOMER":
            tx.run(_COUNT_ONE_LESS, place[:2])
        self._bump(tx, row.id)

    def put_alias(self, tx: Tx, alias: Alias, before: str = "") -> bool:
        """Store an alias. before: the id of the key that it leaves, '' for a new alias. False when a new alias
        is there already."""
        columns = stored_alias(self._keyring.account_key(alias.account, tx), alias)
        if before:
            changed = tx.run(
                "UPDATE kms_aliases SET key_id = ?, updated = ?, seal = ? "
                "WHERE account = ? AND region = ? AND name = ?",
                (alias.key_id, alias.updated, columns[-1], alias.account, alias.region, alias.name),
            )
            self._bump(tx, before)
        else:
            changed = tx.run(_INSERT_ALIAS, columns)
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
        row = loaded_key(self._keyring.account_key(stored[0], tx), stored)
        versions = self.material(tx, row)
        present = {each.id: material for each, material in versions if material}
        if (
            row.state in (ENABLED, DISABLED)
            and row.current_material not in present
            and not row.custom_key_store
        ):
            raise Tampered(f"the stored material of key {row.id} is missing")
        backing: Mapping[str, BackingKey] = {}
        material = None
        if row.key_spec == SYMMETRIC_DEFAULT:
            backing = {material_id: BackingKey(material_id, key) for material_id, key in present.items()}
        elif row.current_material in present:
            material = load_material(row.key_spec, present[row.current_material], row.current_material)
        names = tuple(alias.name for alias in self._aliases_of(tx, *place))
        regions = self._regions(tx, row) if row.primary_region else ()
        return Key(
            row,
            parse(with_names(row.policy, row.named), "key"),
            names,
            backing,
            material=material,
            materials=tuple(each for each, _ in versions),
            regions=regions,
        )

    def _regions(self, tx: Tx, row: KeyRow) -> tuple[str, ...]:
        rows = tx.all(
            "SELECT region FROM kms_keys WHERE account = ? AND id = ? AND primary_region <> '' ORDER BY region",
            (row.account, row.id),
        )
        return tuple(region for (region,) in rows)

    def _aliases_of(self, tx: Tx, account: str, region: str, key_id: str) -> list[Alias]:
        rows = tx.all(_ALIAS + _OF_KEY + " ORDER BY name", (account, region, key_id))
        return [self._checked(tx, row) for row in rows]

    def _load_alias(self, tx: Tx, place: _KeyPlace) -> Alias | None:
        row = tx.one(_ALIAS + "WHERE account = ? AND region = ? AND name = ?", place)
        return None if row is None else self._checked(tx, row)

    def _checked(self, tx: Tx, columns: tuple[Any, ...]) -> Alias:
        return loaded_alias(self._keyring.account_key(columns[0], tx), columns)


def _seen(call: Call, cache: Cache[_KeyPlace, V | None], place: _KeyPlace) -> V | None:
    """As the call sees it. Other services' writes ask for keys that they leave as they are."""
    return cache.settled(place, call.tx) if call.mutable else call.fetch(cache, place)


_NEW: Mapping[str, Any] = {
    "state": ENABLED,
    "description": "",
    "key_usage": ENCRYPT_DECRYPT,
    "key_spec": SYMMETRIC_DEFAULT,
    "origin": "AWS_KMS",
    "tags": {},
    "deletion_date": None,
    "current_material": "",
}


def _material(spec: str, given: bytes | None) -> bytes:
    if given is None:
        return generate(spec)
    if spec == SYMMETRIC_DEFAULT and len(given) != MATERIAL_BYTES:
        raise ValueError(f"a symmetric key's material has {MATERIAL_BYTES} bytes")
    return given


def _domain(shard: int) -> str:
    return f"kms.{shard:02x}"


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
