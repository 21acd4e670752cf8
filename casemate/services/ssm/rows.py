"""Parameters as they are stored. A row's content is one JSON document, wrapped by the account's key and bound
to the row's place: values, descriptions, tags and sharing alike are unreadable in the database, and a row that was
altered or moved is not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from orjson import dumps, loads

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.services.ssm.naming import Place

_ROW, _VERSION, _SETTING = "ssm-parameter", "ssm-version", "ssm-setting"

STRING, STRING_LIST, SECURE_STRING = "String", "StringList", "SecureString"
STANDARD, ADVANCED, INTELLIGENT = "Standard", "Advanced", "Intelligent-Tiering"


class Policy(NamedTuple):
    """A parameter policy. text: its JSON; status: Pending, InProgress, Finished or Failed; due: when it is to act."""

    text: str
    type: str
    status: str
    due: float


class Share(NamedTuple):
    """A resource policy of a parameter. principals: the unique ids of those whom it names by ARN."""

    id: str
    hash: str
    policy: str
    principals: Mapping[str, str]


class Row(NamedTuple):
    """What is true of a parameter whatever its version. name: as it was made; labels: the version by label."""

    place: Place
    name: str
    version: int
    tags: Mapping[str, str] = {}
    labels: Mapping[str, int] = {}
    policies: tuple[Policy, ...] = ()
    shares: tuple[Share, ...] = ()

    def labels_of(self, version: int) -> list[str]:
        """A version's labels by name."""
        return sorted(label for label, of in self.labels.items() if of == version)


class Version(NamedTuple):
    """One version. value: of a SecureString the ciphertext, in base64; created: seconds since the epoch; user: the
    ARN of who made it; key_id: as it was given, '' of all but SecureStrings; policies: as they were then."""

    number: int
    created: float
    user: str
    type: str
    value: str
    tier: str = STANDARD
    key_id: str = ""
    description: str = ""
    allowed_pattern: str = ""
    data_type: str = "text"
    policies: tuple[Policy, ...] = ()

    @property
    def secure(self) -> bool:
        return self.type == SECURE_STRING


class Setting(NamedTuple):
    """A service setting that was changed. modified: seconds since the epoch; user: the ARN of who did."""

    value: str
    modified: float
    user: str


def sealed_row(key: AccountKey, row: Row) -> bytes:
    """The row's content, for its column."""
    return key.wrap(dumps(row[1:], tuple), _ROW, row.place.region, row.place.path, row.version)


def opened_row(key: AccountKey, place: Place, version: int, sealed: bytes) -> Row:
    """Raises Tampered."""
    name, of, tags, labels, policies, shares = _content(
        key.unwrap(sealed, _ROW, place.region, place.path, version), 6
    )
    if of != version:
        raise Tampered(f"the stored {_ROW} {place.path} is of another version")
    return Row(
        place,
        name,
        version,
        tags,
        labels,
        tuple(Policy(*each) for each in policies),
        tuple(Share(*each) for each in shares),
    )


def sealed_version(key: AccountKey, place: Place, version: Version) -> bytes:
    """The version's content, for its column."""
    return key.wrap(dumps(version[:], tuple), _VERSION, place.region, place.path, version.number)


def opened_version(key: AccountKey, place: Place, number: int, sealed: bytes) -> Version:
    """Raises Tampered."""
    *content, policies = _content(
        key.unwrap(sealed, _VERSION, place.region, place.path, number), len(Version._fields)
    )
    return Version._make((*content, tuple(Policy(*each) for each in policies)))


def sealed_setting(key: AccountKey, region: str, name: str, setting: Setting) -> bytes:
    """The setting's content, for its column."""
    return key.wrap(dumps(setting[:]), _SETTING, region, name)


def opened_setting(key: AccountKey, region: str, name: str, sealed: bytes) -> Setting:
    """Raises Tampered."""
    return Setting(*_content(key.unwrap(sealed, _SETTING, region, name), len(Setting._fields)))


def _content(document: bytes, members: int) -> list[Any]:
    content: list[Any] = loads(document)
    if len(content) != members:
        raise Tampered("the stored row is of another form")
    return content
