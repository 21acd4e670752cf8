"""Where events wait until they are matched and sent: rows in the transaction that puts them there.

An event that no rule and no archive of its bus wants is not written at all.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.gate import turns
from casemate.gate.announcing import ServiceEvent
from casemate.gate.call import Call
from casemate.gate.keyring import Keyring
from casemate.gate.random_ids import new_uuid
from casemate.services.events.buses import Bus, Buses, Wanted
from casemate.services.events.store import DEFAULT
from casemate.store.database import Tx
from casemate.store.ids import new_id

log = logging.getLogger("casemate.events")

_PURPOSE: Final = "events outbox"
_ARCHIVED: Final = "events archived"


class Waiting(NamedTuple):
    """An event on a bus. hops: over how many buses it came; rule: the ARN of the rule whose schedule made it, which
    it is not matched against; only: the ARNs of the rules that a replay is for, () for all; matched: the ARNs of
    those that it matched when it was put, None where that is to be found out."""

    account: str
    region: str
    bus: str
    event: Mapping[str, Any]
    hops: int = 0
    rule: str = ""
    only: Sequence[str] = ()
    matched: Sequence[str] | None = None


def iso(seconds: float) -> str:
    """An event's time."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def new_event(
    *,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    account: str,
    region: str,
    moment: float,
    resources: Sequence[str] = (),
    id: str = "",  # noqa: A002 - the field's own name
) -> dict[str, Any]:
    """An event as rules and targets see it."""
    return {
        "version": "0",
        "id": id or new_uuid(),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": iso(moment),
        "region": region,
        "resources": list(resources),
        "detail": detail,
    }


_AT_ONCE: Final = 16 * 1024
"""Characters of an event that is matched within a transaction, which others wait for."""


def matched_apart(
    call: Call, bus: Bus, name: str, size: int, make: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], Wanted]:
    """An event, and who on a bus wants it. A large one is matched before the transaction, in a thread: patterns may
    take a while with it. name: what tells it from the call's other events; make: makes the event."""
    if size <= _AT_ONCE or not (bus.rules or bus.archives):
        event = make()
        return event, bus.wanted(event)

    def find() -> tuple[Bus, dict[str, Any], Wanted]:
        event = make()
        return bus, event, bus.wanted(event)

    looked_at, event, wanted = call.before(f"events matched {name}", find, waits=True)
    # Its rules may have changed meanwhile.
    return event, wanted if looked_at is bus else bus.wanted(event)


class Outbox:
    """The rows of all accounts, ``call.part(Outbox)``; the gate's ``Announcer``. put_one: set when one of this
    process's transactions has put something there, so that the sender need not wait to look."""

    def __init__(self, buses: Buses, keyring: Keyring) -> None:
        self._buses = buses
        self._keyring = keyring
        self.put_one = threading.Event()

    def __repr__(self) -> str:
        return "<Outbox>"

    def announce(self, tx: Tx, event: ServiceEvent) -> None:
        """Put a service's own event on the default bus."""
        bus = self._buses.settled(tx, event.account, event.region, DEFAULT)
        if not bus.rules and not bus.archives:
            return
        made = new_event(
            source=event.source,
            detail_type=event.detail_type,
            detail=event.detail,
            account=event.account,
            region=event.region,
            moment=event.time,
            resources=event.resources,
        )
        self.put(tx, bus, Waiting(event.account, event.region, DEFAULT, made))

    def put(self, tx: Tx, bus: Bus, waiting: Waiting, wanted: Wanted | None = None) -> None:
        """Put an event on a bus, for whoever wants it there. wanted: who does, where that is known."""
        wanted = wanted or bus.wanted(waiting.event)
        for archive in wanted.archives:
            self._archive(tx, waiting, archive)
        if wanted.rules:
            self.add(tx, waiting._replace(matched=wanted.rules))

    def add(self, tx: Tx, waiting: Waiting) -> None:
        """Let an event be sent, whoever wants it."""
        row = new_id()
        account, region, bus, *more = waiting
        sealed = self._keyring.account_key(account, tx).wrap(
            json.dumps(more).encode(), _PURPOSE, row, region, bus
        )
        tx.run(
            "INSERT INTO events_outbox (id, account, region, bus, sealed) VALUES (?, ?, ?, ?, ?)",
            (row, account, region, bus, sealed),
        )
        self.put_one.set()

    def take(self, tx: Tx, most: int, after: str = "") -> list[tuple[str, str, Waiting | None]]:
        """Take the oldest rows away, to be sent in this very transaction, with their ids and accounts; None for one
        that was altered. Accounts get their shares, beginning with the one after that."""
        rows = turns.take(tx, "events_outbox", "id, account, region, bus, sealed", after, most)
        return [(row[0], row[1], self._opened(tx, row)) for row in sorted(rows, key=lambda row: str(row[0]))]

    def _opened(self, tx: Tx, row: Sequence[Any]) -> Waiting | None:
        key, account, region, bus, sealed = row
        try:
            text = self._keyring.account_key(account, tx).unwrap(sealed, _PURPOSE, key, region, bus)
        except Tampered as error:
            log.error("an event of account %s is dropped: %s", account, error)
            return None
        return Waiting(account, region, bus, *json.loads(text))

    # --- archives

    def _archive(self, tx: Tx, waiting: Waiting, archive: str) -> None:
        text = json.dumps(waiting.event).encode()
        row, moment = new_id(), _seconds(waiting.event["time"])
        sealed = self._keyring.account_key(waiting.account, tx).wrap(
            text, _ARCHIVED, row, waiting.region, archive
        )
        tx.run(
            "INSERT INTO events_archived (account, region, archive, time, id, bytes, sealed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (waiting.account, waiting.region, archive, moment, row, len(text), sealed),
        )

    def archived(
        self,
        tx: Tx,
        account: str,
        region: str,
        archive: str,
        *,
        after: tuple[float, str],
        until: float,
        most: int,
    ) -> list[tuple[float, str, dict[str, Any]]]:
        """An archive's events by time, those after one (its time and row) up to a time: time, row, event."""
        rows = tx.all(
            "SELECT time, id, sealed FROM events_archived WHERE account = ? AND region = ? AND archive = ? "
            "AND (time > ? OR (time = ? AND id > ?)) AND time <= ? ORDER BY time, id LIMIT ?",
            (account, region, archive, after[0], *after, until, most),
        )
        key = self._keyring.account_key(account, tx)
        return [
            (moment, row, json.loads(key.unwrap(sealed, _ARCHIVED, row, region, archive)))
            for moment, row, sealed in rows
        ]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
