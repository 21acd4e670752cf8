"""The rows of Secrets Manager: secrets and their versions, and how each is bound to its place under the account's
key.

Names and times are in the clear, to be found and sorted by; all else is sealed. A document may lack what was added
later, which then has its ordinary value.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.services.secretsmanager.naming import secret_arn

_SECRET, _VERSION = "secret", "secret-version"


class SecretRow(NamedTuple):
    """A secret as it is stored, but for its values. Times: seconds since the epoch.

    suffix: the six characters at the ARN's end; deletion: when it is to be deleted; kms_key_id: as the customer named
    the key, '' for aws/secretsmanager; principals: the unique ids of those whom the policy names by ARN, a JSON
    object; labels: the version's id by staging label; versions: how many values are stored; primary_region: of a
    replica, where its primary secret is; replicas: of a primary secret, by Region (``replication``); rotation: as
    ``rotation`` has it, empty until it was first configured; owner: the service that made it, '' for its account's
    people; pruned: when it was last looked for versions that are too many and too old.
    """

    account: str
    region: str
    name: str
    suffix: str
    created: float
    changed: float
    deletion: float | None = None
    description: str = ""
    kms_key_id: str = ""
    tags: Mapping[str, str] = {}
    policy: str = ""
    principals: str = ""
    labels: Mapping[str, str] = {}
    versions: int = 0
    primary_region: str = ""
    replicas: Mapping[str, Mapping[str, str]] = {}
    rotation: Mapping[str, Any] = {}
    owner: str = ""
    pruned: float = 0.0

    @property
    def arn(self) -> str:
        return secret_arn(self.account, self.region, self.name, self.suffix)

    @property
    def named(self) -> dict[str, str]:
        """The unique ids of those whom the policy names, by ARN."""
        ids: dict[str, str] = orjson.loads(self.principals) if self.principals else {}
        return ids

    @property
    def is_replica(self) -> bool:
        return self.primary_region not in ("", self.region)


class WrappedKey(NamedTuple):
    """A data key under a KMS key. kms_key_id: as in SecretRow."""

    kms_key_id: str
    blob: bytes


class VersionRow(NamedTuple):
    """A version as it is stored. created: seconds since the epoch; size: of the value, in bytes; binary: whether it
    was given as SecretBinary; keys: its data key under each KMS key that opens it, the latest first; value: sealed
    under the data key."""

    account: str
    region: str
    name: str
    id: str
    created: float
    size: int
    binary: bool
    keys: tuple[WrappedKey, ...]
    value: bytes


SECRET_COLUMNS = ("account", "region", "name", "suffix", "created", "changed", "deletion", "sealed")
_CLEAR = len(SECRET_COLUMNS) - 1
_DOCUMENT = SecretRow._fields[_CLEAR:]
_DEFAULTS = SecretRow._field_defaults


def stored_secret(account: AccountKey, row: SecretRow) -> tuple[Any, ...]:
    """The row's columns."""
    document = {
        name: value for name, value in zip(_DOCUMENT, row[_CLEAR:], strict=True) if value != _DEFAULTS[name]
    }
    return (*row[:_CLEAR], account.wrap(orjson.dumps(document), _SECRET, *_bound_secret(row)))


def loaded_secret(account: AccountKey, columns: tuple[Any, ...]) -> SecretRow:
    """The row out of its columns. Raises Tampered."""
    row = SecretRow(*columns[:_CLEAR])
    opened = account.unwrap(columns[_CLEAR], _SECRET, *_bound_secret(row))
    return row._replace(**orjson.loads(opened))


def _bound_secret(row: SecretRow) -> tuple[str, ...]:
    return (*row[1:4], repr(row.created), repr(row.changed), repr(row.deletion))


VERSION_COLUMNS = ("account", "region", "name", "id", "created", "size", "sealed", "value")


def stored_version(account: AccountKey, row: VersionRow, arn: str) -> tuple[Any, ...]:
    """The row's columns. arn: its secret's."""
    keys = [[key.kms_key_id, b64encode(key.blob).decode()] for key in row.keys]
    document = orjson.dumps({"binary": row.binary, "keys": keys})
    return (*row[:6], account.wrap(document, _VERSION, *_bound_version(row, arn)), row.value)


def loaded_version(account: AccountKey, columns: tuple[Any, ...], arn: str) -> VersionRow:
    """The row out of its columns. Raises Tampered."""
    place: tuple[str, str, str, str, float, int] = columns[:6]
    row = VersionRow(*place, False, (), columns[7])
    opened = orjson.loads(account.unwrap(columns[6], _VERSION, *_bound_version(row, arn)))
    keys = tuple(WrappedKey(name, b64decode(blob)) for name, blob in opened["keys"])
    if not keys:
        raise Tampered(f"version {row.id} of a secret has no data key")
    return row._replace(binary=opened["binary"], keys=keys)


def _bound_version(row: VersionRow, arn: str) -> tuple[str | int, ...]:
    return (arn, row.id, repr(row.created), row.size)
