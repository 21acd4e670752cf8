"""The rows of KMS: keys, their material, aliases; and how each is bound to its place under the account's key.

A row's seal covers all its columns. Columns that were added to a table later count only where they have another than
their ordinary value, so that rows that were sealed before they existed are still good.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.services.kms.naming import key_arn

_ROW, _ALIAS_ROW, _MATERIAL = "kms-key", "kms-alias", "kms-material"


class KeyRow(NamedTuple):
    """A key as it is stored. created, deletion_date, next_rotation: seconds since the epoch; tags: value by name;
    policy: the document's text; current_material: the backing key for new messages, '' while there is none.

    manager: CUSTOMER or AWS; primary_region: of a multi-Region key, where its primary key is; rotation_period: days,
    0 without automatic rotation; deletion_window: days that the deletion of a primary key takes once its replicas are
    gone; custom_key_store, external_id: where the material is and what it is called there, if it is not here;
    principals: the unique ids of those whom the policy names by ARN, a JSON object; '' where it names nobody.
    """

    account: str
    region: str
    id: str
    created: float
    state: str
    description: str
    key_usage: str
    key_spec: str
    origin: str
    policy: str
    tags: Mapping[str, str]
    deletion_date: float | None
    current_material: str
    manager: str = "CUSTOMER"
    primary_region: str = ""
    rotation_period: int = 0
    next_rotation: float | None = None
    deletion_window: int = 0
    custom_key_store: str = ""
    external_id: str = ""
    principals: str = ""

    @property
    def arn(self) -> str:
        return key_arn(self.account, self.region, self.id)

    @property
    def named(self) -> dict[str, str]:
        """The unique ids of those whom the policy names, by ARN."""
        ids: dict[str, str] = json.loads(self.principals) if self.principals else {}
        return ids

    @property
    def is_primary(self) -> bool:
        """The primary key of a multi-Region key."""
        return self.primary_region == self.region

    @property
    def is_replica(self) -> bool:
        return self.primary_region not in ("", self.region)


class MaterialRow(NamedTuple):
    """What is stored of one version of a key's material, but for the material.

    rotation: AUTOMATIC, ON_DEMAND, or '' of the first; rotated: when; state: '' of material that is or was current,
    else PENDING_ROTATION or PENDING_MULTI_REGION_IMPORT_AND_ROTATION; valid_to: when it expires; present: False for
    what was imported and has expired or was deleted.
    """

    id: str
    version: int
    created: float
    rotation: str = ""
    rotated: float | None = None
    state: str = ""
    description: str = ""
    valid_to: float | None = None
    present: bool = True


class Alias(NamedTuple):
    """An alias as it is stored. name: with its "alias/"; created, updated: seconds since the epoch."""

    account: str
    region: str
    name: str
    key_id: str
    created: float
    updated: float


# --- keys

KEY_COLUMNS = (*KeyRow._fields, "seal")
_TAGS = KeyRow._fields.index("tags")
_FIRST_ADDED = KeyRow._fields.index("manager")
_ORDINARY = KeyRow._field_defaults


def stored_key(account: AccountKey, row: KeyRow) -> tuple[Any, ...]:
    """The row's columns, its seal the last."""
    tags = json.dumps(dict(row.tags))
    return (*row[:_TAGS], tags, *row[_TAGS + 1 :], account.wrap(b"", _ROW, *_bound_key(row, tags)))


def loaded_key(account: AccountKey, columns: tuple[Any, ...]) -> KeyRow:
    """The row out of its columns. Raises Tampered."""
    tags = columns[_TAGS]
    try:
        row = KeyRow._make((*columns[:_TAGS], json.loads(tags), *columns[_TAGS + 1 : -1]))
    except ValueError:
        raise Tampered(f"the stored tags of key {columns[2]} are unreadable") from None
    account.unwrap(columns[-1], _ROW, *_bound_key(row, tags))
    return row


def _bound_key(row: KeyRow, tags: str) -> tuple[str, ...]:
    return (
        *(row.region, row.id, repr(float(row.created)), row.state, row.description, row.key_usage),
        *(row.key_spec, row.origin, row.policy, tags, _time(row.deletion_date), row.current_material),
        *_added(row._fields[_FIRST_ADDED:], row[_FIRST_ADDED:], _ORDINARY),
    )


# --- material

MATERIAL_COLUMNS = (
    *("id", "version", "created", "rotation", "rotated"),
    *("state", "description", "valid_to"),
)
_MATERIAL_ORDINARY = MaterialRow._field_defaults


def wrapped_material(account: AccountKey, key: KeyRow, row: MaterialRow, material: bytes) -> bytes:
    """The material, or b"" for what is gone, bound to its row."""
    return account.wrap(material, _MATERIAL, *_bound_material(key, row))


def unwrapped_material(account: AccountKey, key: KeyRow, row: MaterialRow, wrapped: bytes) -> bytes:
    """Raises Tampered."""
    return account.unwrap(wrapped, _MATERIAL, *_bound_material(key, row))


def _bound_material(key: KeyRow, row: MaterialRow) -> tuple[str | int, ...]:
    return (key.region, key.id, row.version, row.id, *_added(row._fields[3:8], row[3:8], _MATERIAL_ORDINARY))


def material_id_of(account: str, region: str, key_id: str, material: bytes) -> str:
    """The id of key material, 64 hexadecimal digits: the same for the same material under the same key, so that
    a server made anew from the same seed opens what another one encrypted, and so that material which is imported
    again is recognised. Related multi-Region keys share it. Tells nothing of the material."""
    arn = key_arn(account, "*" if key_id.startswith("mrk-") else region, key_id)
    return hmac.digest(material, f"casemate kms material id 1 {arn}".encode(), "sha256").hex()


# --- aliases

ALIAS_COLUMNS = (*Alias._fields, "seal")


def stored_alias(account: AccountKey, alias: Alias) -> tuple[Any, ...]:
    """The alias's columns, its seal the last."""
    return (*alias, account.wrap(b"", _ALIAS_ROW, *_bound_alias(alias)))


def loaded_alias(account: AccountKey, columns: tuple[Any, ...]) -> Alias:
    """The alias out of its columns. Raises Tampered."""
    alias = Alias._make(columns[:-1])
    account.unwrap(columns[-1], _ALIAS_ROW, *_bound_alias(alias))
    return alias


def _bound_alias(alias: Alias) -> tuple[str, ...]:
    return (
        *(alias.region, alias.name, alias.key_id),
        *(repr(float(alias.created)), repr(float(alias.updated))),
    )


# --- what columns look like under a seal


def _time(seconds: float | None) -> str:
    return "" if seconds is None else repr(float(seconds))


def _added(names: tuple[str, ...], values: tuple[Any, ...], ordinary: Mapping[str, Any]) -> tuple[str, ...]:
    """Name and value of each column that has not its ordinary value."""
    return tuple(
        text
        for name, value in zip(names, values, strict=True)
        if value != ordinary[name]
        for text in (name, value if isinstance(value, str) else repr(float(value)))
    )
