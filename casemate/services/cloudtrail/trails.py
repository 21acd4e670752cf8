"""The trails of all accounts: their rows, and what of them is in memory.

A row is sealed as a whole under the account's key. A trail that was deleted stays until what it saw is delivered.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.cloudtrail import selectors
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.services.cloudtrail.naming import Place
from casemate.store.cache import Cache
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.engine.envelope.hierarchy import AccountKey
    from casemate.gate.call import Call
    from casemate.gate.keyring import Keyring
    from casemate.store.database import Row, Store, Tx

log = logging.getLogger("casemate.cloudtrail")

DOMAIN = "cloudtrail.trails"

_PURPOSE = "cloudtrail trail"
_SELECT = "SELECT id, account, region, name, created, deleted, organization, sealed FROM cloudtrail_trails "

GLOBAL_SERVICES = frozenset({"iam.amazonaws.com", "sts.amazonaws.com", "cloudfront.amazonaws.com"})
"""Whose events a trail may leave out. Source: "Global service events"."""
_MOST_SPANS = 20


class Trail(NamedTuple):
    """A trail as it is stored.

    deleted: when, 0 while it is there; organization: the id of the organisation whose accounts it is for; settings:
    Bucket, BucketRegion, Prefix, Topic, Global, MultiRegion, Validation, LogGroup, Role, Key, Recursive, Tags, Basic
    and Advanced (event selectors), Insights, and Spans: when it has logged, as [from, to], with null while it does.
    """

    id: str
    place: Place
    created: float
    deleted: float
    organization: str
    settings: Mapping[str, Any]

    @property
    def arn(self) -> str:
        return self.place.arn

    def get(self, name: str, default: Any = "") -> Any:
        """A setting, or what stands for one that was not made."""
        return self.settings.get(name, default)

    @property
    def multi_region(self) -> bool:
        return bool(self.get("MultiRegion", False))

    @property
    def logging(self) -> bool:
        spans = self.get("Spans", ())
        return bool(spans) and spans[-1][1] is None

    def is_in(self, region: str) -> bool:
        """Whether it logs there."""
        return self.multi_region or region == self.place.region

    def changed(self, **settings: Any) -> Trail:
        """The same with other settings; None removes one."""
        merged = {**self.settings, **settings}
        return self._replace(settings={name: value for name, value in merged.items() if value is not None})

    def started(self, now: float) -> Trail:
        return (
            self if self.logging else self.changed(Spans=[*self.get("Spans", []), [now, None]][-_MOST_SPANS:])
        )

    def stopped(self, now: float) -> Trail:
        if not self.logging:
            return self
        *before, (start, _) = self.settings["Spans"]
        return self.changed(Spans=[*before, [start, now]])


class Tap:
    """A trail as records meet it."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail
        basic, advanced = trail.get("Basic", None), trail.get("Advanced", None)
        self._wants = (
            selectors.compile_advanced(advanced)
            if advanced is not None
            else selectors.compile_basic(basic or selectors.DEFAULT)
        )
        self._spans = [
            (int(start), float("inf") if end is None else end) for start, end in trail.get("Spans", ())
        ]

    @cached_property
    def insights(self) -> Mapping[str, frozenset[str]]:
        """The types of Insights that are on, with the categories of events that they look at."""
        return {
            each["InsightType"]: frozenset(each["EventCategories"]) for each in self.trail.get("Insights", ())
        }

    def logged_at(self, seconds: float) -> bool:
        """Whether it logged at that time, a whole second."""
        return any(start <= seconds <= end for start, end in self._spans)

    def wants(self, record: Mapping[str, Any], own: bool) -> bool:
        """own: the record is of CloudTrail's own delivering."""
        trail = self.trail
        if not trail.is_in(record["awsRegion"]) or (own and not trail.get("Recursive", True)):
            return False
        if not trail.get("Global", True) and record["eventSource"] in GLOBAL_SERVICES:
            return False
        return self._wants(record)


class Trails:
    """CloudTrail's trails, one per worker: ``call.part(Trails)``. every: seconds between deliveries."""

    def __init__(self, store: Store, keyring: Keyring, every: float = 300.0) -> None:
        self.every = every
        self._keyring = keyring
        self._taps: Cache[tuple[str, str], tuple[Tap, ...]] = Cache(store, DOMAIN, self._load_taps)

    def __repr__(self) -> str:
        return "<Trails>"

    def key(self, tx: Tx, account: str) -> AccountKey:
        return self._keyring.account_key(account, tx)

    # Reading.

    def find(self, tx: Tx, place: Place) -> Trail | None:
        """The trail that is there. Raises InternalFailure for one whose row was altered."""
        row = tx.one(f"{_SELECT} WHERE account = ? AND region = ? AND name = ? AND deleted = 0", tuple(place))
        return None if row is None else self._usable(tx, row)

    def by_id(self, tx: Tx, trail_id: str) -> Trail | None:
        """Deleted ones too."""
        row = tx.one(f"{_SELECT} WHERE id = ?", (trail_id,))
        return None if row is None else self._usable(tx, row)

    def is_there(self, tx: Tx, trail_id: str) -> bool:
        """Whether there is something of the trail to be delivered still."""
        return tx.one("SELECT 1 FROM cloudtrail_trails WHERE id = ?", (trail_id,)) is not None

    def of(self, tx: Tx, account: str) -> list[Trail]:
        """The account's own, by home Region and name."""
        rows = tx.all(f"{_SELECT} WHERE account = ? AND deleted = 0 ORDER BY region, name", (account,))
        return [self._usable(tx, row) for row in rows]

    def of_organization(self, tx: Tx, organization: str) -> list[Trail]:
        """Those that an organisation's accounts have from it."""
        if not organization:
            return []
        rows = tx.all(
            f"{_SELECT} WHERE organization = ? AND deleted = 0 ORDER BY region, name", (organization,)
        )
        return [self._usable(tx, row) for row in rows]

    def visible(self, call: Call) -> list[Trail]:
        """All that the caller's account has: its own and its organisation's."""
        own = self.of(call.tx, call.account)
        organization = call.gate.organizations.standing(call.account, call.tx).organization
        ids = {trail.id for trail in own}
        return own + [each for each in self.of_organization(call.tx, organization) if each.id not in ids]

    def taps(self, account: str, organization: str, tx: Tx | None) -> Sequence[Tap]:
        """What an account's records are shown to, as it is in memory. Raises Miss, Tampered."""
        own = self._taps.get(("account", account), tx)
        if not organization:
            return own
        shared = self._taps.get(("organization", organization), tx)
        return (*own, *(tap for tap in shared if tap.trail.place.account != account)) if shared else own

    def _load_taps(self, tx: Tx, of: tuple[str, str]) -> tuple[Tap, ...]:
        column = "account" if of[0] == "account" else "organization"
        rows = tx.all(f"{_SELECT} WHERE {column} = ? ORDER BY id", (of[1],))
        found = [self._opened(tx, row) for row in rows]
        return tuple(Tap(trail) for trail in found if trail.get("Spans", ()))

    # Changing, in a write's transaction.

    def create(
        self, tx: Tx, place: Place, now: float, organization: str, settings: Mapping[str, Any]
    ) -> Trail:
        trail = Trail(new_id(), place, now, 0.0, organization, settings)
        tx.run(
            "INSERT INTO cloudtrail_trails (account, region, name, id, created, deleted, organization, sealed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, trail.id, now, 0.0, organization, self._sealed(tx, trail)),
        )
        tx.bump(DOMAIN)
        return trail

    def save(self, tx: Tx, trail: Trail) -> None:
        tx.run(
            "UPDATE cloudtrail_trails SET deleted = ?, organization = ?, sealed = ? WHERE id = ?",
            (trail.deleted, trail.organization, self._sealed(tx, trail), trail.id),
        )
        tx.bump(DOMAIN)

    def remove(self, tx: Tx, trail: Trail) -> None:
        """For good, with all that belongs to it."""
        tx.run("DELETE FROM cloudtrail_trails WHERE id = ?", (trail.id,))
        for table in ("status", "pending", "files", "chains", "minutes", "unusual", "looked"):
            tx.run(f"DELETE FROM cloudtrail_{table} WHERE trail = ?", (trail.id,))
        tx.bump(DOMAIN)

    # What rows are bound to.

    def _sealed(self, tx: Tx, trail: Trail) -> bytes:
        return self.key(tx, trail.place.account).wrap(
            json.dumps(trail.settings).encode(), _PURPOSE, *_bound(trail)
        )

    def _usable(self, tx: Tx, row: Row) -> Trail:
        try:
            return self._opened(tx, row)
        except Tampered as error:
            log.error("a trail of account %s is not used: %s", row[1], error)
            raise AwsError("InternalFailure", "The stored trail cannot be used.", 500) from error

    def _opened(self, tx: Tx, row: Row) -> Trail:
        trail = Trail(row[0], Place(*row[1:4]), row[4], row[5], row[6], {})
        settings = self.key(tx, trail.place.account).unwrap(row[7], _PURPOSE, *_bound(trail))
        return trail._replace(settings=json.loads(settings))


def _bound(trail: Trail) -> tuple[str, ...]:
    place = trail.place
    return (trail.id, place.region, place.name, str(trail.created), str(trail.deleted), trail.organization)
