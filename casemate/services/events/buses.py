"""Buses as events meet them: compiled rules, archives and policy, in memory; and who wants an event."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from casemate.engine.events.pattern import Pattern, compile_pattern
from casemate.engine.policy import Policy, parse
from casemate.gate.keyring import Keyring
from casemate.services.events.store import (
    ARCHIVE,
    BUS,
    DEFAULT,
    RULE,
    SHARDS,
    Place,
    Thing,
    Things,
    domain,
    shard_of,
)
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

log = logging.getLogger("casemate.events")

ALL_MANAGEMENT_EVENTS = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
"""The state of a rule that gets calls that change nothing, too."""

_IN_SHARD = 5_000
_COMPILED = 20_000


class Rule(NamedTuple):
    """A rule that is enabled and has a pattern. reads: it gets the calls that change nothing, too."""

    thing: Thing
    pattern: Pattern
    reads: bool
    arn: str


class Archive(NamedTuple):
    """pattern: None for all events."""

    thing: Thing
    pattern: Pattern | None


class Wanted(NamedTuple):
    """Who wants an event. rules: by their ARNs; archives: by their names."""

    rules: tuple[str, ...]
    archives: tuple[str, ...]


class Bus(NamedTuple):
    """A bus with what is on it. thing: None of one that there is not; policy: None for none; rules: those that events
    are matched against."""

    thing: Thing | None
    policy: Policy | None
    rules: Sequence[Rule] = ()
    archives: Sequence[Archive] = ()

    def matching(self, event: Mapping[str, Any]) -> list[Rule]:
        """The rules that an event matches. Calls that change nothing come to those rules only that ask for them."""
        found = [rule for rule in self.rules if rule.pattern.matches(event)]
        return [rule for rule in found if rule.reads] if found and _is_read(event) else found

    def archiving(self, event: Mapping[str, Any]) -> list[Archive]:
        """The archives that an event belongs in. What is replayed is not archived again."""
        if "replay-name" in event or not self.archives or _is_read(event):
            return []
        return [each for each in self.archives if each.pattern is None or each.pattern.matches(event)]

    def wanted(self, event: Mapping[str, Any]) -> Wanted:
        """Who wants an event: it is matched once, however often it is looked at afterwards."""
        return Wanted(
            tuple(rule.arn for rule in self.matching(event)) if self.rules else (),
            tuple(each.thing.place.name for each in self.archiving(event)),
        )

    def wants(self, event: Mapping[str, Any]) -> bool:
        """Whether anybody does."""
        return bool(self.rules and self.matching(event)) or bool(self.archives and self.archiving(event))


def _is_read(event: Mapping[str, Any]) -> bool:
    return event["detail-type"] == "AWS API Call via CloudTrail" and event["detail"].get("readOnly") is True


_compiled = lru_cache(_COMPILED)(compile_pattern)


class Buses:
    """The buses of all accounts: ``call.part(Buses)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self.things = Things(keyring)
        self._shards: list[Cache[tuple[str, str, str], Bus]] = [
            Cache(store, domain(number), self.load, _IN_SHARD) for number in range(SHARDS)
        ]

    def __repr__(self) -> str:
        return "<Buses>"

    def get(self, tx: Tx | None, account: str, region: str, name: str) -> Bus:
        """A bus, from memory where that is possible. Raises Miss when it is not and tx is None."""
        return self._shards[shard_of(account, region)].get((account, region, name), tx)

    def settled(self, tx: Tx, account: str, region: str, name: str) -> Bus:
        """A bus as a write's transaction sees it, from memory where that is the same."""
        return self._shards[shard_of(account, region)].settled((account, region, name), tx)

    def load(self, tx: Tx, key: tuple[str, str, str]) -> Bus:
        """A bus as the transaction sees it."""
        account, region, name = key
        place = Place(account, region, BUS, name)
        thing = self.things.find(tx, place)
        if thing is None:
            if name != DEFAULT:
                return Bus(None, None)
            thing = default_bus(account, region)
        document = thing.says.get("policy")
        rules = self.things.page(tx, account, region, RULE, prefix=f"{name}/")
        archives = self.things.page(tx, account, region, ARCHIVE)
        return Bus(
            thing,
            None if document is None else parse(document, "resource").named(thing.arn),
            tuple(
                Rule(
                    rule,
                    _compiled(rule.says["pattern"]),
                    rule.says["state"] == ALL_MANAGEMENT_EVENTS,
                    rule.arn,
                )
                for rule in rules
                if rule.says.get("pattern") and rule.says["state"] != "DISABLED" and rule.says["targets"]
            ),
            tuple(
                Archive(each, _compiled(each.says["pattern"]) if each.says.get("pattern") else None)
                for each in archives
                if each.says["bus"] == thing.arn
            ),
        )


def default_bus(account: str, region: str) -> Thing:
    """The default bus, of which nothing was said yet."""
    return Thing(Place(account, region, BUS, DEFAULT), 0.0, {})
