"""Sends what waits: a thread in each worker takes events and retries in batches, and gives them to targets.

A row is taken, and its event given to the target's service, in one transaction: a crash in between leaves the row,
and a queue that has the message has no row left. What could not be sent waits for its next attempt in a row of its
own, or goes to the dead-letter queue.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from casemate.engine.envelope.errors import Tampered
from casemate.engine.events.transform import TooLarge, by_path, dumps, transform
from casemate.errors import AwsError, origin
from casemate.gate import turns
from casemate.gate.acting import in_background
from casemate.gate.call import Call
from casemate.gate.gate import Gate
from casemate.services.events import calling
from casemate.services.events.buses import Buses
from casemate.services.events.failures import PURPOSE, Attempt, begin, failed, give_up
from casemate.services.events.outbox import Outbox, Waiting, iso
from casemate.services.events.resources import place_of
from casemate.services.events.store import Thing
from casemate.services.events.target_kinds import Sending, send
from casemate.store.cache import Miss
from casemate.store.database import StoreError, Tx

log = logging.getLogger("casemate.events")

_BATCH: Final = 16
"""Events, and retries, that one transaction sends: others wait for the database meanwhile."""
_IDLE: Final = 0.5
"""Seconds between two looks while nothing is known to wait: for what another process left, and for retries."""
_SOON: Final = (0.001, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128)
"""Seconds to wait for a transaction that has put something, and is yet to be committed."""
_AFTER_FAILURE: Final = 1.0

_TOO_LARGE: Final = AwsError("ValidationException", "The transformed event is larger than 1 MiB.")


class Dispatcher:
    """One worker's sender. Between ``start`` and ``stop`` it runs in a thread of its own."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._buses: Buses = gate.parts[Buses]
        self._outbox: Outbox = gate.parts[Outbox]
        self._keyring = self._buses.things.keyring
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._last = self._last_retried = ""
        """The accounts whose turn it was."""

    def start(self) -> None:
        """Send from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="events-sender", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop, after the batch under way. What waits is sent later, or by others."""
        self._stopped.set()
        self._outbox.put_one.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_once(self) -> int:
        """Send what waits now, one batch at most; how much that was."""
        now = self._gate.clock.now()
        if not self._gate.store.read(lambda tx: _waiting(tx, now)):
            return 0
        return in_background(self._gate, self._batch)

    def _loop(self) -> None:
        told = self._outbox.put_one
        while not self._stopped.is_set():
            was_told = told.wait(_IDLE)
            told.clear()
            try:
                sent = self.run_once() or (self._look_again() if was_told else 0)
                while sent and not self._stopped.is_set():
                    sent = self.run_once()
            except Exception as error:
                # Of an exception that is not AWS's the text may hold what the event held.
                reason = str(error) if isinstance(error, AwsError) else type(error).__name__
                log.error("events cannot be sent now: %s", reason)
                self._stopped.wait(_AFTER_FAILURE)

    def _look_again(self) -> int:
        """Whoever puts something tells it before the commit."""
        for seconds in _SOON:
            self._stopped.wait(seconds)
            sent = self.run_once()
            if sent:
                return sent
        return 0

    # --- one transaction

    def _batch(self, base: Call) -> int:
        tx, done = base.tx, 0
        taken = self._outbox.take(tx, _BATCH, self._last)
        for row, _, waiting in taken:
            done += 1
            if waiting is not None:
                self._send_all(base, row, waiting)
        if taken:
            self._last = max(account for _, account, _ in taken)
        for attempt in self._take_retries(tx, base.now):
            done += 1
            self._attempt(base, attempt)
        return done

    def _send_all(self, base: Call, row: str, waiting: Waiting) -> None:
        try:
            rules = self._rules(base.tx, waiting)
        except Tampered as error:
            # One account's rows are not to keep the others' events waiting.
            log.error("an event of account %s is dropped: %s", waiting.account, error)
            return
        for rule in rules:
            for target in rule.says["targets"].values():
                place, event = rule.place, waiting.event
                too_large = False
                try:
                    text = text_for(event, target, rule, base.now)
                except TooLarge:
                    too_large, text = True, dumps(event)
                except Exception as defect:
                    # It was checked when it was put, so that this is a defect; others are not to wait behind it.
                    log.error(
                        "what a target of %s is to be given cannot be made: %s", rule.arn, origin(defect)
                    )
                    continue
                sending = Sending(
                    place.account,
                    place.region,
                    rule.arn,
                    rule.says["role"],
                    target,
                    text,
                    event,
                    waiting.hops,
                )
                attempt = Attempt(f"{row} {rule.arn} {target['Id']}", sending, base.now)
                if too_large:
                    begin(base, attempt)
                    give_up(base, attempt, _TOO_LARGE, "None")
                else:
                    self._attempt(base, attempt)

    def _rules(self, tx: Tx, waiting: Waiting) -> Sequence[Thing]:
        if waiting.rule:
            place = place_of(waiting.rule)
            rule = None if place is None else self._buses.things.find(tx, place)
            return [] if rule is None else [rule]
        bus = self._buses.get(tx, waiting.account, waiting.region, waiting.bus)
        if waiting.matched is None:
            matching = [rule.thing for rule in bus.matching(waiting.event)]
        else:
            matching = [rule.thing for rule in bus.rules if rule.arn in waiting.matched]
        return [rule for rule in matching if rule.arn in waiting.only] if waiting.only else matching

    def _attempt(self, base: Call, attempt: Attempt) -> None:
        begin(base, attempt)
        try:
            with base.tx.savepoint():
                if send(base, attempt.sending):
                    calling.put(base, attempt)
        except (Miss, StoreError):
            raise
        except AwsError as error:
            failed(base, attempt, error)
        except Exception as defect:
            log.error("a target could not be given an event: %s", origin(defect))
            failed(base, attempt, AwsError("InternalFailure", type(defect).__name__, 500))

    # --- retries

    def _take_retries(self, tx: Tx, now: float) -> list[Attempt]:
        found = []
        rows = turns.take(tx, "events_retries", "id, account, sealed", self._last_retried, _BATCH, now)
        for row, account, sealed in rows:
            self._last_retried = account
            try:
                text = self._keyring.account_key(account, tx).unwrap(sealed, PURPOSE, row)
            except Tampered as error:
                log.error("an event of account %s is dropped: %s", account, error)
                continue
            found.append(Attempt.read(row, json.loads(text)))
        return found


def _waiting(tx: Tx, now: float) -> bool:
    if tx.one("SELECT 1 FROM events_outbox LIMIT 1") is not None:
        return True
    return tx.one("SELECT 1 FROM events_retries WHERE due <= ? LIMIT 1", (now,)) is not None


def text_for(event: Mapping[str, Any], target: Mapping[str, Any], rule: Thing, now: float) -> str:
    """What a target is given of an event."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        found = by_path(event, target["InputPath"])
        return "null" if found is None else found
    transformer = target.get("InputTransformer")
    if transformer is None:
        return dumps(event)
    return transform(
        event,
        transformer["InputTemplate"],
        transformer.get("InputPathsMap", {}),
        {
            "aws.events.rule-arn": rule.arn,
            "aws.events.rule-name": rule.place.rule,
            "aws.events.event.ingestion-time": iso(now),
            "aws.events.event.json": event,
            "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        },
    )
