"""Asynchronous invocations that wait: a durable queue in the database, which all workers take from.

An event is given to one worker at a time, under a lease; a worker that dies leaves a lease that runs out, and another
one takes the event again. So a function may see an event more than once, as on AWS.
"""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import NamedTuple

from orjson import dumps, loads

from casemate.engine.envelope.errors import Tampered
from casemate.gate.keyring import Keyring
from casemate.services.lambda_.naming import Place
from casemate.store.database import Store, Tx

DOMAIN = "lambda.events"
"""The generation that a change of the queue bumps."""

LEASE = 60.0
"""Seconds for which a worker has an event, unless it says that it still does."""

_PURPOSE = "lambda-event"


class Event(NamedTuple):
    """What a function is to be invoked with. id: the invocation's request id; begun: when it was asked for, seconds
    since the epoch; attempts: how often the function ran and failed; refusals: how often it could not be run."""

    id: str
    place: Place
    qualifier: str
    payload: bytes
    client_context: str
    trace: str
    begun: float
    attempts: int = 0
    refusals: int = 0


class Taken(NamedTuple):
    """An event that this worker has, under this epoch."""

    event: Event
    epoch: int


class EventQueue:
    """``call.part(EventQueue)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store, self._keyring = store, keyring
        self.told = threading.Event()
        """There may be something to take. Set by who knows; the generation tells other processes."""

    def put(self, tx: Tx, event: Event) -> None:
        """Let an event be run, once the transaction is committed."""
        tx.run(
            "INSERT INTO lambda_events (id, account, due, lease_until, epoch, sealed) VALUES (?, ?, ?, 0, 0, ?)",
            (event.id, event.place.account, event.begun, self._sealed(tx, event)),
        )
        tx.bump(DOMAIN)

    def next_due(self) -> float | None:
        """When there will be something to take; None when nothing waits."""

        def look(tx: Tx) -> float | None:
            row = tx.one(
                "SELECT MIN(CASE WHEN lease_until > due THEN lease_until ELSE due END) FROM lambda_events"
            )
            return None if row is None or row[0] is None else float(row[0])

        return self._store.read(look)

    def take(self, now: float, running: set[str], busy: Sequence[str] = ()) -> Taken | None:
        """The event that has been due for longest. running: the ids of those that this worker runs, which are left
        alone even if their leases have run out; busy: the accounts that have enough of it for now. One that cannot
        be read is removed."""
        others = f" AND account NOT IN ({', '.join('?' * len(busy))})" if busy else ""

        def claim(tx: Tx) -> tuple[str, str, int, bytes, Event | None] | None:
            but = f" AND id NOT IN ({', '.join('?' * len(running))})" if running else ""
            row = tx.one(
                "UPDATE lambda_events SET lease_until = ?, epoch = epoch + 1 WHERE id = "
                f"(SELECT id FROM lambda_events WHERE due <= ? AND lease_until <= ?{but}{others} "
                "ORDER BY due LIMIT 1 /*pg FOR UPDATE SKIP LOCKED */) RETURNING id, account, epoch, sealed",
                (now + LEASE, now, now, *running, *busy),
            )
            if row is None:
                return None
            try:
                return (*row, self._opened(tx, row[0], row[1], row[3]))
            except Tampered:
                tx.run("DELETE FROM lambda_events WHERE id = ?", (row[0],))
                return (*row, None)

        while True:
            if not self._store.read(
                lambda tx: tx.one(
                    f"SELECT 1 FROM lambda_events WHERE due <= ? AND lease_until <= ?{others} LIMIT 1",
                    (now, now, *busy),
                )
            ):
                return None
            claimed = self._store.write(claim)
            if claimed is None:
                return None
            if claimed[4] is not None:
                return Taken(claimed[4], claimed[2])

    def renew(self, taken: list[Taken], now: float) -> None:
        """Still have these."""

        def extend(tx: Tx) -> None:
            for each in taken:
                tx.run(
                    "UPDATE lambda_events SET lease_until = ? WHERE id = ? AND epoch = ?",
                    (now + LEASE, each.event.id, each.epoch),
                )

        self._store.write(extend)

    def finish(self, tx: Tx, taken: Taken) -> bool:
        """Remove an event; whether this worker still had it."""
        return (
            tx.run("DELETE FROM lambda_events WHERE id = ? AND epoch = ?", (taken.event.id, taken.epoch)) > 0
        )

    def put_back(self, tx: Tx, taken: Taken, event: Event, due: float) -> None:
        """Let an event, by what is true of it now, be run again."""
        tx.run(
            "UPDATE lambda_events SET due = ?, lease_until = 0, sealed = ? WHERE id = ? AND epoch = ?",
            (due, self._sealed(tx, event), taken.event.id, taken.epoch),
        )
        tx.bump(DOMAIN)

    def _sealed(self, tx: Tx, event: Event) -> bytes:
        content = [*event[1:3], b64encode(event.payload).decode(), *event[4:]]
        return self._keyring.account_key(event.place.account, tx).wrap(
            dumps(content, default=list), _PURPOSE, event.id
        )

    def _opened(self, tx: Tx, event_id: str, account: str, sealed: bytes) -> Event:
        place, qualifier, payload, *rest = loads(
            self._keyring.account_key(account, tx).unwrap(sealed, _PURPOSE, event_id)
        )
        return Event(event_id, Place(*place), qualifier, b64decode(payload), *rest)
