"""Runs what waits to be invoked asynchronously: a thread in each worker takes events, others run them.

A function that fails is run again after one minute and after two more; one that cannot be run (throttled, or the
server is at fault) after 1, 2, 4, ... seconds, at most five minutes; until the event is as old as it may get. What
becomes of it is told to the function's destinations. Source: "How Lambda handles errors and retries with asynchronous
invocation".
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import in_background
from casemate.services.lambda_.destinations import bury, give, record
from casemate.services.lambda_.event_queue import DOMAIN, LEASE, Event, EventQueue, Taken
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.invoking import drawn_version
from casemate.services.lambda_.naming import LATEST
from casemate.services.lambda_.rows import EventConfig, Row, Version
from casemate.services.lambda_.running import Result, Wanted, run
from casemate.services.lambda_.sharing import share_of_one
from casemate.services.lambda_.targets import version_of

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx

log = logging.getLogger("casemate.lambda")

_AT_ONCE = 8
"""So many events are run at a time by one worker."""
_STEP = 0.25  # seconds in which a moved clock or a changed queue is noticed
_LOOK = 30.0  # seconds after which the queue is looked at anyway: leases run out without a bump
_RENEW = LEASE / 3
_RETRIES, _AGE = 2, 21_600
_PAUSES = (60.0, 120.0)
_LONGEST_PAUSE = 300.0

_DEFAULTS = EventConfig(0.0, None, None, "", "")


class _Meant(NamedTuple):
    row: Row
    version: Version
    config: EventConfig


class EventDispatcher:
    """One worker's. Between ``start`` and ``stop`` it runs in a thread of its own."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._queue: EventQueue = gate.parts[EventQueue]
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: dict[str, Taken] = {}

    def start(self) -> None:
        """Run events from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="casemate-lambda-events", daemon=True)
            self._thread.start()

    def stopping(self) -> None:
        """Take no more from now on."""
        self._stopping.set()
        self._queue.told.set()

    def stop(self) -> None:
        """Take no more, and wait for those under way, which are put back when their environments are ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # --- the thread

    def _loop(self) -> None:
        generations = self._gate.store.generations
        slot, seen = generations.slot(DOMAIN), -1
        due: float | None = None
        looked = renewed = 0.0
        pool: ThreadPoolExecutor | None = None
        while not self._stopping.is_set():
            try:
                now, generation = self._gate.clock.now(), generations.current(slot)
                if self._running and not renewed <= time.monotonic() < renewed + _RENEW:
                    renewed = time.monotonic()
                    self._queue.renew(list(self._running.values()), now)
                woken = self._queue.told.is_set()
                self._queue.told.clear()
                if (
                    woken
                    or generation != seen
                    or (due is not None and due <= now)
                    or not looked <= now < looked + _LOOK
                ):
                    seen, looked = generation, now
                    while self._gate.audits and len(self._running) < _AT_ONCE and not self._stopping.is_set():
                        taken = self._queue.take(
                            self._gate.clock.now(), set(self._running), self._busy_accounts()
                        )
                        if taken is None:
                            break
                        if pool is None:
                            pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="casemate-lambda-event")
                        self._running[taken.event.id] = taken
                        pool.submit(self._run, taken)
                    due = self._queue.next_due()
                    if len(self._running) >= _AT_ONCE:
                        # Whatever is due waits for one of those to end.
                        due = None
            except Exception as error:
                log.error("asynchronous invocations cannot be run now: %s", type(error).__qualname__)
                seen = -1
                self._stopping.wait(1.0)
            self._queue.told.wait(_STEP)
        if pool is not None:
            pool.shutdown(wait=True)

    def _busy_accounts(self) -> list[str]:
        """Those that run as many events as they may while others have functions, too."""
        running = Counter(taken.event.place.account for taken in list(self._running.values()))
        many = [account for account, number in running.items() if number >= share_of_one(_AT_ONCE)]
        if not many:
            return []
        functions: Functions = self._gate.parts[Functions]
        return self._gate.store.read(
            lambda tx: [account for account in many if not functions.are_all_of(tx, account)]
        )

    def _run(self, taken: Taken) -> None:
        try:
            self._handle(taken)
        except Exception as error:
            log.error("an asynchronous invocation could not be handled: %s", type(error).__qualname__)
            self._unhandled(taken)
        finally:
            del self._running[taken.event.id]
            self._queue.told.set()

    def _unhandled(self, taken: Taken) -> None:
        """Count it as an attempt, so that what can never be handled is not run for ever."""
        event, now = taken.event, self._gate.clock.now()
        again = event._replace(attempts=event.attempts + 1)

        def count(tx: Tx) -> None:
            if event.attempts >= _RETRIES:
                self._queue.finish(tx, taken)
            else:
                self._queue.put_back(tx, taken, again, now + _PAUSES[event.attempts])

        if self._stopping.is_set():
            return
        try:
            self._gate.store.write(count)
        except Exception as error:
            # Its lease runs out, and it is run again.
            log.error("it could not be put back: %s", type(error).__qualname__)
        else:
            if event.attempts >= _RETRIES:
                log.error("an event for the function %s is dropped", event.place.name)

    # --- one event

    def _handle(self, taken: Taken) -> None:
        gate, event = self._gate, taken.event
        try:
            meant = in_background(gate, lambda call: _find(call, event), reads=True)
        except Tampered as error:
            log.error("an event for a function of account %s is dropped: %s", event.place.account, error)
            meant = None
        if meant is None:
            gate.store.write(lambda tx: self._queue.finish(tx, taken))
            return
        if meant.row.reserved == 0:
            self._end(taken, meant, "ZeroReservedConcurrency", None)
            return
        if self._too_old(meant, event, gate.clock.now()):
            self._end(taken, meant, "EventAgeExceeded", None)
            return
        wanted = Wanted(
            meant.row,
            meant.version,
            event.qualifier,
            event.payload,
            event.id,
            event.client_context,
            event.trace,
        )
        result: Result | None = None
        try:
            result = run(gate, wanted)
        except AwsError as error:
            log.info("function %s cannot be run now: %s", event.place.name, error.code)
        if self._stopping.is_set() and (result is None or result.failed):
            # It may have failed for the server's sake.
            gate.store.write(lambda tx: self._queue.put_back(tx, taken, event, gate.clock.now()))
        elif result is None:
            self._refused(taken, meant)
        elif result.failed:
            self._failed(taken, meant, result)
        else:
            self._end(taken, meant, "Success", result)

    def _refused(self, taken: Taken, meant: _Meant) -> None:
        event, now = taken.event, self._gate.clock.now()
        due = now + min(2.0**event.refusals, _LONGEST_PAUSE)
        if self._too_old(meant, event, due):
            self._end(taken, meant, "EventAgeExceeded", None)
            return
        again = event._replace(refusals=event.refusals + 1)
        self._gate.store.write(lambda tx: self._queue.put_back(tx, taken, again, due))

    def _failed(self, taken: Taken, meant: _Meant, result: Result) -> None:
        event, now = taken.event, self._gate.clock.now()
        most = _RETRIES if meant.config.retries is None else meant.config.retries
        if event.attempts >= most:
            self._end(taken, meant, "RetriesExhausted", result)
            return
        due = now + _PAUSES[min(event.attempts, len(_PAUSES) - 1)]
        if self._too_old(meant, event, due):
            self._end(taken, meant, "EventAgeExceeded", result)
            return
        again = event._replace(attempts=event.attempts + 1)
        self._gate.store.write(lambda tx: self._queue.put_back(tx, taken, again, due))

    def _too_old(self, meant: _Meant, event: Event, now: float) -> bool:
        return now > event.begun + (_AGE if meant.config.age is None else meant.config.age)

    def _end(self, taken: Taken, meant: _Meant, condition: str, result: Result | None) -> None:
        """Remove the event and, in the same transaction, give its record to the destination. One that cannot be given
        is lost, as on AWS."""
        event, config = taken.event, meant.config
        destination = config.on_success if condition == "Success" else config.on_failure
        runs = event.attempts + (result is not None)

        buried = condition != "Success" and "DeadLetterConfig" in meant.version.settings

        def tell(call: Call) -> None:
            if destination:
                made = record(event, call.now, condition, runs, result)
                give(call, meant.version, event.place.arn, destination, made)

        def end(call: Call) -> None:
            if not self._queue.finish(call.tx, taken):
                return
            for wanted, do in (
                (bool(destination), tell),
                (buried, lambda call: bury(call, meant.version, event.place.arn, event, result)),
            ):
                if not wanted:
                    continue
                try:
                    with call.tx.savepoint():
                        do(call)
                except AwsError as error:
                    log.warning("a record of function %s is lost: %s", event.place.name, error.code)

        in_background(self._gate, end)


def _find(call: Call, event: Event) -> _Meant | None:
    """The version that is to be run; None for what is no more."""
    entry = call.part(Functions).find(call, event.place)
    main = None if entry is None else version_of(call, entry, event.qualifier)
    if entry is None or main is None:
        return None
    config = entry.row.events.get(event.qualifier or LATEST, _DEFAULTS)
    return _Meant(entry.row, drawn_version(call, entry, event.qualifier, main, event.id), config)
