"""Buses, rules, archives and replays as rows, wrapped by the account's key and bound to their places: what was
altered or moved in the database raises Tampered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from zlib import crc32

from casemate.gate.keyring import Keyring
from casemate.gate.regions import partition_of
from casemate.store.database import Tx

BUS: Final = "event-bus"
RULE: Final = "rule"
ARCHIVE: Final = "archive"
REPLAY: Final = "replay"
CONNECTION: Final = "connection"
DESTINATION: Final = "api-destination"

DEFAULT: Final = "default"
"""The bus that every account has in every Region."""

SHARDS: Final = 8
_PURPOSE: Final = "events thing"
_COLUMNS: Final = "account, region, kind, name, created, sealed"


def domain(shard: int) -> str:
    """The generation domain of the accounts and Regions of a shard."""
    return f"events.{shard:02x}"


def shard_of(account: str, region: str) -> int:
    return crc32(f"{account} {region}".encode()) % SHARDS


class Place(NamedTuple):
    """Whose, where, what and which. name: of a rule "bus/rule"."""

    account: str
    region: str
    kind: str
    name: str

    @property
    def arn(self) -> str:
        """Of a rule on the default bus without the bus."""
        shown = self.name.removeprefix(f"{DEFAULT}/") if self.kind == RULE else self.name
        return f"arn:{partition_of(self.region)}:events:{self.region}:{self.account}:{self.kind}/{shown}"

    @property
    def bus(self) -> str:
        """A rule's bus."""
        return self.name.rpartition("/")[0]

    @property
    def rule(self) -> str:
        """A rule's own name."""
        return self.name.rpartition("/")[2]


class Thing(NamedTuple):
    """One of them. created: seconds since the epoch; says: what is said of it, JSON's types."""

    place: Place
    created: float
    says: Mapping[str, Any]

    @property
    def arn(self) -> str:
        """Of connections and API destinations with the id that tells them from earlier ones of the name."""
        unique = self.says.get("unique")
        return f"{self.place.arn}/{unique}" if unique else self.place.arn

    @property
    def tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = self.says.get("tags", {})
        return tags


class Things:
    """The rows of all accounts: ``call.part(Things)``."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def __repr__(self) -> str:
        return "<Things>"

    def find(self, tx: Tx, place: Place) -> Thing | None:
        row = tx.one(
            f"SELECT {_COLUMNS} FROM events_things "
            "WHERE account = ? AND region = ? AND kind = ? AND name = ?",
            place,
        )
        return None if row is None else self._opened(tx, row)

    def page(
        self,
        tx: Tx,
        account: str,
        region: str,
        kind: str,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 0,
    ) -> list[Thing]:
        """By name, those that begin with the prefix and come after a name. limit: 0 for all."""
        rows = tx.all(
            f"SELECT {_COLUMNS} FROM events_things WHERE account = ? AND region = ? AND kind = ? "
            "AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
            (account, region, kind, after, len(prefix), prefix, limit or 1_000_000),
        )
        return [self._opened(tx, row) for row in rows]

    def count(self, tx: Tx, account: str, region: str, kind: str, prefix: str = "") -> int:
        row = tx.one(
            "SELECT COUNT(*) FROM events_things WHERE account = ? AND region = ? AND kind = ? "
            "AND substr(name, 1, ?) = ?",
            (account, region, kind, len(prefix), prefix),
        )
        assert row is not None
        return int(row[0])

    def save(self, tx: Tx, thing: Thing) -> None:
        """Make it, or change what is said of it."""
        place, created = thing.place, float(thing.created)
        sealed = self.keyring.account_key(place.account, tx).wrap(
            json.dumps(dict(thing.says)).encode(), _PURPOSE, *place[1:], repr(created)
        )
        tx.run(
            "INSERT INTO events_things (account, region, kind, name, created, sealed) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (account, region, kind, name) DO UPDATE SET created = excluded.created, "
            "sealed = excluded.sealed",
            (*place, created, sealed),
        )
        tx.bump(domain(shard_of(place.account, place.region)))

    def remove(self, tx: Tx, place: Place) -> None:
        tx.run("DELETE FROM events_things WHERE account = ? AND region = ? AND kind = ? AND name = ?", place)
        tx.bump(domain(shard_of(place.account, place.region)))

    def _opened(self, tx: Tx, row: tuple[Any, ...]) -> Thing:
        account, region, kind, name, created, sealed = row
        text = self.keyring.account_key(account, tx).unwrap(
            sealed, _PURPOSE, region, kind, name, repr(float(created))
        )
        return Thing(Place(account, region, kind, name), created, json.loads(text))
