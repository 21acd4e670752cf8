"""The log groups of all accounts: their rows, and what of them is in memory.

A row is bound as a whole under the account's key. What was altered or moved in the database is not used.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.resource import Resource, Value
from casemate.services.logs.naming import group_arn, stream_arn
from casemate.store.cache import Cache
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.engine.policy import Policy
    from casemate.gate.call import Call
    from casemate.gate.keyring import Keyring
    from casemate.store.database import Row, Store, Tx

log = logging.getLogger("casemate.logs")

DOMAIN = "logs.groups"

Place = tuple[str, str, str]
"""A group's account, Region and name."""

_PURPOSE = "logs-group"
_SELECT = "SELECT account, region, name, id, created, settings, seal FROM logs_groups "
_OF_ONE = "WHERE account = ? AND region = ? AND name = ?"


class GroupRow(NamedTuple):
    """A log group as it is stored. created: milliseconds since the epoch; settings: what is configured, each absent
    unless it is: class ("INFREQUENT_ACCESS"), retention (days), kms_key (an ARN), tags, protected (from deletion)."""

    account: str
    region: str
    name: str
    id: str
    created: int
    settings: Mapping[str, Any]

    @property
    def place(self) -> Place:
        return self[:3]


class Group(Resource):
    """A log group as operations use it. ``with_stream`` is what policies see of one of its streams."""

    __slots__ = ("beyond", "row", "stream")

    def __init__(
        self,
        row: GroupRow,
        stream: str = "",
        *,
        for_tags: bool = False,
        policy: Policy | None = None,
        missing: AwsError | None = None,
    ) -> None:
        account, region, name = row.place
        arn = group_arn(*row.place) if for_tags else stream_arn(account, region, name, stream)
        super().__init__(arn, account, policy=policy, missing=missing)
        self.row = row
        self.stream = stream
        self.beyond: Resource | None = None

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def own_arn(self) -> str:
        """The group's ARN, without an end."""
        return group_arn(*self.row.place)

    def tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = self.row.settings.get("tags", {})
        return tags

    def setting(self, name: str) -> Any:
        """None where it is not configured."""
        return self.row.settings.get(name)

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


class AccountWide(Resource):
    """For operations on no particular group: AWS's form of the ARN, with an empty name."""

    __slots__ = ()

    def __init__(self, account: str, region: str) -> None:
        super().__init__(stream_arn(account, region, "", ""), account)

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


def of_request(key: str, request: Mapping[str, Any]) -> Value:
    """aws:RequestTag/..., aws:TagKeys, logs:DestinationArn."""
    if key == "aws:tagkeys":
        keys = request.get("tagKeys")
        return list(keys if keys is not None else request.get("tags") or ()) or None
    if key.startswith("aws:requesttag/"):
        tags = request.get("tags")
        if isinstance(tags, Mapping):
            wanted = key[15:]
            return next((str(value) for name, value in tags.items() if name.lower() == wanted), None)
    if key == "logs:destinationarn":
        value = request.get("destinationArn")
        return value if isinstance(value, str) else None
    return None


class Groups:
    """CloudWatch Logs' groups, one per worker: ``call.part(Groups)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._cache: Cache[Place, GroupRow | None] = Cache(store, DOMAIN, self.load)

    def __repr__(self) -> str:
        return "<Groups>"

    # Finding.

    def find(self, call: Call, place: Place) -> GroupRow | None:
        """The group, from memory where that is possible; None when there is none. Raises Miss, and
        ServiceUnavailableException for a group whose row was altered."""
        try:
            return call.fetch(self._cache, place)
        except Tampered as error:
            log.error("log group %s is not used: %s", place[2], error)
            raise AwsError(
                "ServiceUnavailableException", "The service cannot complete the request.", 500
            ) from error

    def load(self, tx: Tx, place: Place) -> GroupRow | None:
        """The group as this transaction sees it. Raises Tampered."""
        row = tx.one(_SELECT + _OF_ONE, place)
        return None if row is None else self._opened(tx, row)

    def by_id(self, tx: Tx, group_id: str) -> GroupRow | None:
        """Raises Tampered."""
        row = tx.one(_SELECT + "WHERE id = ?", (group_id,))
        return None if row is None else self._opened(tx, row)

    def after(self, tx: Tx, account: str, region: str, name: str, prefix: str, limit: int) -> list[GroupRow]:
        """The account's groups by name: those after that one, whose names begin with the prefix. Raises Tampered."""
        rows = tx.all(
            _SELECT
            + "WHERE account = ? AND region = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
            (account, region, name, len(prefix), prefix, limit),
        )
        return [self._opened(tx, row) for row in rows]

    def count(self, tx: Tx, account: str, region: str) -> int:
        row = tx.one("SELECT COUNT(*) FROM logs_groups WHERE account = ? AND region = ?", (account, region))
        assert row is not None
        return int(row[0])

    # Changing, in a write's transaction.

    def create(self, tx: Tx, place: Place, now: int, settings: Mapping[str, Any]) -> GroupRow | None:
        """Make a group; None when there is one of that name."""
        row = GroupRow(*place, new_id(), now, settings)
        made = tx.run(
            "INSERT INTO logs_groups (account, region, name, id, created, settings, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            self._sealed(tx, row),
        )
        tx.bump(DOMAIN)
        return row if made else None

    def configure(self, tx: Tx, row: GroupRow, **settings: Any) -> GroupRow:
        """Change what is configured of a group; None takes a setting away."""
        merged = {**row.settings, **settings}
        row = row._replace(settings={name: value for name, value in merged.items() if value is not None})
        *_, text, seal = self._sealed(tx, row)
        tx.run("UPDATE logs_groups SET settings = ?, seal = ? WHERE id = ?", (text, seal, row.id))
        tx.bump(DOMAIN)
        return row

    def delete(self, tx: Tx, row: GroupRow) -> None:
        """Remove the group's row; what belongs to it is ``streams``' and ``batches``'."""
        tx.run("DELETE FROM logs_groups WHERE id = ?", (row.id,))
        tx.bump(DOMAIN)

    # What rows are bound to.

    def _sealed(self, tx: Tx, row: GroupRow) -> tuple[Any, ...]:
        text = json.dumps(row.settings)
        seal = self._keyring.account_key(row.account, tx).wrap(b"", _PURPOSE, *_bound(row, text))
        return (*row[:5], text, seal)

    def _opened(self, tx: Tx, columns: Row) -> GroupRow:
        account, region, name, group_id, created, text, seal = columns
        row = GroupRow(account, region, name, group_id, created, {})
        self._keyring.account_key(row.account, tx).unwrap(seal, _PURPOSE, *_bound(row, text))
        return row._replace(settings=json.loads(text))


def _bound(row: GroupRow, text: str) -> tuple[str, ...]:
    return (row.region, row.name, row.id, str(row.created), text)
