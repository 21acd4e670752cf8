"""Functions as they are stored. A row's content is one JSON document, wrapped by the account's key and bound to the
row's place: configurations, policies and tags are unreadable in the database, and a row that was altered or moved is
not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from orjson import dumps, loads

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import AccountKey
from casemate.services.lambda_.naming import LATEST, Place

_FUNCTION, _VERSION = "lambda-function", "lambda-version"


class Code(NamedTuple):
    """A deployment package. id: of its frames; key: their data key, in base64; sha256: of the package, in base64;
    size: in bytes."""

    id: str
    key: str
    sha256: str
    size: int


class Version(NamedTuple):
    """One version. number: 0 is $LATEST; settings: the members of its configuration, as they were given;
    variables: the environment, encrypted (casemate/services/lambda_/variables.py), '' for none; grant: of its KMS
    key, to the function's role, '' for none; modified: seconds since the epoch; revision: its RevisionId."""

    number: int
    settings: Mapping[str, Any]
    variables: str
    grant: str
    code: Code
    modified: float
    revision: str

    @property
    def name(self) -> str:
        return str(self.number) if self.number else LATEST


class Alias(NamedTuple):
    """An alias. routing: the weights of other versions, by version."""

    version: str
    description: str
    routing: Mapping[str, float]
    revision: str


class Permissions(NamedTuple):
    """A resource policy. statements: by statement id, in order; principals: the unique ids of those whom they name
    by ARN."""

    statements: Mapping[str, Mapping[str, Any]]
    principals: Mapping[str, str]
    revision: str


class EventConfig(NamedTuple):
    """What becomes of asynchronous invocations. retries, age (seconds): None where the default applies;
    on_success, on_failure: ARNs, '' for none."""

    modified: float
    retries: int | None
    age: int | None
    on_success: str
    on_failure: str


class Row(NamedTuple):
    """What is true of a function whatever its version. id: tells it from others that had its name; published: the
    number of the last version; reserved: its reserved concurrency; policies, events: by qualifier, '' for none."""

    place: Place
    id: str
    published: int = 0
    tags: Mapping[str, str] = {}
    reserved: int | None = None
    aliases: Mapping[str, Alias] = {}
    policies: Mapping[str, Permissions] = {}
    events: Mapping[str, EventConfig] = {}


def sealed_row(key: AccountKey, row: Row) -> bytes:
    """The row's content, for its column."""
    return key.wrap(dumps(list(row[1:]), default=list), _FUNCTION, row.place.region, row.place.name)


def opened_row(key: AccountKey, place: Place, sealed: bytes) -> Row:
    """Raises Tampered."""
    content = _content(key.unwrap(sealed, _FUNCTION, place.region, place.name), len(Row._fields) - 1)
    identity, published, tags, reserved, aliases, policies, events = content
    return Row(
        place,
        identity,
        published,
        tags,
        reserved,
        {name: Alias(*each) for name, each in aliases.items()},
        {qualifier: Permissions(*each) for qualifier, each in policies.items()},
        {qualifier: EventConfig(*each) for qualifier, each in events.items()},
    )


def sealed_version(key: AccountKey, place: Place, version: Version) -> bytes:
    """The version's content, for its column."""
    return key.wrap(dumps(list(version), default=list), _VERSION, place.region, place.name, version.number)


def opened_version(key: AccountKey, place: Place, number: int, sealed: bytes) -> Version:
    """Raises Tampered."""
    content = _content(key.unwrap(sealed, _VERSION, place.region, place.name, number), len(Version._fields))
    version = Version._make(content)
    return version._replace(code=Code(*content[4]))


def _content(document: bytes, members: int) -> list[Any]:
    content: list[Any] = loads(document)
    if len(content) != members:
        raise Tampered("the stored row is of another form")
    return content
