"""Invokes functions with messages of queues: what event source mappings are for. One worker polls for each mapping,
under a lease; batches are gathered and run in threads.

A batch that was received is the mapping's until its messages appear in the queue again: those that the function has
done are deleted, others come again by the queue's own rules, up to its dead-letter queue. Source: "Using Lambda with
Amazon SQS".
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping as Members
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import sqs
from casemate.engine.events.tokens import PatternError
from casemate.errors import AwsError, origin
from casemate.gate.acting import act_as, in_background
from casemate.gate.parking import CHANNELS
from casemate.gate.parking import domain as channel
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_ import queue_events
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.invoking import MOST_BYTES, drawn_version
from casemate.services.lambda_.mapping_rows import DOMAIN, LEASE, OK, Mapping, Mappings
from casemate.services.lambda_.mapping_settings import actor, queue_url
from casemate.services.lambda_.running import Wanted, run
from casemate.services.lambda_.sharing import may_have_one_more
from casemate.services.lambda_.targets import version_of

if TYPE_CHECKING:
    from casemate.gate.acting import Actor
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.services.lambda_.rows import Row, Version

log = logging.getLogger("casemate.lambda")

_AT_ONCE = 16
"""So many batches are gathered or run at a time by one worker."""
_OF_ONE = 8
"""So many of them for one mapping, unless its MaximumConcurrency is less."""
_STEP = 0.1
_RENEW = LEASE / 3
_LOOK = 10.0  # seconds after which mappings are looked at anyway: leases run out without a bump
_SOON, _LATEST = 0.1, 5.0
"""Seconds between looks at a queue: at once after messages, then ever longer, as far as nothing happens in queues."""
_LONGEST_PAUSE = 60.0
_BETWEEN = 0.5
"""Seconds between looks for more messages of a batch."""
_ONE_RECEIVE = 10
_ROOM = MOST_BYTES - 64 * 1024
"""Bytes of a batch's records. A message has at most 1 MiB."""
_LARGEST = 1_536 * 1024

_FAILED = "PROBLEM: Function call failed"
_THROTTLED = "PROBLEM: Function call was throttled"
_UNREADABLE = "PROBLEM: Lambda could not poll the queue"


class _Meant(NamedTuple):
    row: Row
    version: Version


class _Gathered(NamedTuple):
    """A batch, empty while more may come for it. meant: what is to be run with it; received: whether there was
    anything in the queue; again: seconds after which to look for more, None where nothing waits for more."""

    records: list[dict[str, Any]]
    meant: _Meant | None
    received: bool
    again: float | None = None


class _Source:
    """What a worker knows of a mapping that it polls for. All but the loop's thread change nothing but ``told``."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.running = 0
        self.polling = False
        """One thread at a time gathers a batch."""
        self.look = self.hinted = 0.0
        """When to look at the queue, and from when on also if something has happened in any queue."""
        self.pause = _SOON
        self.refused = 0
        """How many batches in succession could not be run."""
        self.told = ""
        self.begun: list[dict[str, Any]] = []
        """Messages of a batch for which more may come until ``until``; in the hands of whoever polls."""
        self.size, self.until = 0, 0.0
        try:
            self.filters = queue_events.compiled(mapping.filters)
        except PatternError:
            # They were checked when they came.
            self.filters = (queue_events.Filter(None, False),)

    @property
    def most(self) -> int:
        return min(self.mapping.concurrency or _OF_ONE, _OF_ONE)


class Poller:
    """One worker's. Between ``start`` and ``stop`` it runs in a thread of its own."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._mappings: Mappings = gate.parts[Mappings]
        self._holder = new_uuid()
        self._stopping = threading.Event()
        self._told = threading.Event()
        """There is more to take."""
        self._thread: threading.Thread | None = None
        self._sources: dict[str, _Source] = {}
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Poll from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="casemate-lambda-sources", daemon=True)
            self._thread.start()

    def stopping(self) -> None:
        """Take no more from now on."""
        self._stopping.set()

    def stop(self) -> None:
        """Take no more, and wait for batches under way, which end when their environments are ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # --- the thread

    def _loop(self) -> None:
        gate = self._gate
        generations = gate.store.generations
        slot, seen = generations.slot(DOMAIN), -1
        channels = [generations.slot(channel(number)) for number in range(CHANNELS)]
        happened: list[int] = []
        renewed = -_RENEW
        moved = gate.clock.now() - time.monotonic()
        while not self._stopping.is_set():
            try:
                now = time.monotonic()
                generation = generations.current(slot)
                if generation != seen or now >= renewed + (_RENEW if self._sources else _LOOK):
                    seen, renewed = generation, now
                    self._hold()
                current = [generations.current(each) for each in channels]
                shift = gate.clock.now() - now
                if abs(shift - moved) > 1.0:
                    # The clock was moved: what was hidden may be seen again.
                    moved, happened = shift, []
                if gate.audits:
                    self._look(now, hint=current != happened)
                happened = current
            except Exception as error:
                log.error("queues cannot be polled for functions now: %s", origin(error))
                seen = -1
                self._stopping.wait(1.0)
            self._told.wait(_STEP)
            self._told.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._sources:
            try:
                gate.store.write(lambda tx: self._mappings.release(tx, self._holder))
            except Exception as error:
                log.warning("mappings are not released: %s", type(error).__qualname__)

    def _hold(self) -> None:
        """Which mappings are there, and which of them this worker polls for."""
        store, now = self._gate.store, self._gate.clock.now()
        enabled = [each for each in store.read(self._mappings.every) if each.enabled]
        held: list[Mapping] = []
        if enabled:
            held = store.write(
                lambda tx: [each for each in enabled if self._mappings.hold(tx, each, self._holder, now)]
            )
        with self._lock:
            before, self._sources = self._sources, {}
            for mapping in held:
                source = before.get(mapping.id)
                if source is None or source.mapping != mapping:
                    running = 0 if source is None else source.running
                    source = _Source(mapping)
                    source.running = running
                self._sources[mapping.id] = source

    def _look(self, now: float, *, hint: bool) -> None:
        """Begin to gather wherever there may be messages, and a thread is free."""
        with self._lock:
            sources = sorted(self._sources.values(), key=lambda each: each.look)
            total = sum(each.running for each in sources)
            by_account: dict[str, int] = {}
            for each in sources:
                by_account[each.mapping.account] = by_account.get(each.mapping.account, 0) + each.running
            alone = len(by_account) <= 1
            for source in sources:
                due = source.look <= now or (hint and source.hinted <= now)
                account = source.mapping.account
                if not due or source.polling or source.running >= source.most:
                    continue
                if not may_have_one_more(by_account[account], total, _AT_ONCE, alone=alone):
                    continue
                source.polling = True
                source.running += 1
                total += 1
                by_account[account] += 1
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="casemate-lambda-source")
                self._pool.submit(self._work, source)

    # --- a batch, in a thread of the pool

    def _work(self, source: _Source) -> None:
        result = ""
        try:
            gathered = self._gather(source)
            self._polled(source, gathered)
            if gathered.records and gathered.meant is not None:
                result = self._batch(source, gathered.meant, gathered.records)
        except AwsError as error:
            log.info("the queue of mapping %s cannot be polled: %s", source.mapping.id, error.code)
            result = _UNREADABLE
        except Exception as error:
            log.error("a batch of a queue could not be handled: %s", origin(error))
            result = _FAILED
        self._ended(source, result)

    def _polled(self, source: _Source, gathered: _Gathered) -> None:
        """Another batch may be gathered; at once, where there was something."""
        now, found = time.monotonic(), gathered.received
        with self._lock:
            source.polling = False
            source.pause = _SOON if found else min(source.pause * 2, _LATEST)
            source.look = now if found else now + _LATEST
            source.hinted = now if found else now + source.pause
            if gathered.again is not None:
                source.look = source.hinted = now + gathered.again
            elif found:
                self._told.set()

    def _ended(self, source: _Source, result: str) -> None:
        now = time.monotonic()
        with self._lock:
            source.running -= 1
            other = self._sources.get(source.mapping.id)
            if other is not None and other is not source:
                # The mapping was changed meanwhile.
                other.running = max(0, other.running - 1)
            source.refused = source.refused + 1 if result in (_THROTTLED, _UNREADABLE) else 0
            if source.refused:
                source.look = source.hinted = now + min(2.0**source.refused, _LONGEST_PAUSE)
            elif source.polling:
                # It has not come so far as to tell.
                source.look = source.hinted = now + _LATEST
            source.polling = False
        if result and result != source.told and not self._stopping.is_set():
            try:
                self._gate.store.write(lambda tx: self._mappings.tell(tx, source.mapping, result))
                source.told = result
            except Exception as error:
                log.warning("what came of messages cannot be told: %s", type(error).__qualname__)

    def _gather(self, source: _Source) -> _Gathered:
        """A batch of messages that the function wants; others are deleted. It goes on with the one that was begun,
        and while more may come no thread waits."""
        gate, mapping = self._gate, source.mapping
        meant = in_background(gate, lambda call: _find(call, mapping), reads=True)
        if meant is None or meant.row.reserved == 0:
            # Whatever was received appears in the queue again.
            source.begun, source.size = [], 0
            return _Gathered([], None, False)
        role = actor(mapping.named.place, meant.version.settings["Role"])
        found = False
        while len(source.begun) < mapping.batch and source.size + _LARGEST < _ROOM:
            # So many that the largest there may be fit in.
            room = (_ROOM - source.size) // _LARGEST
            most = max(1, min(_ONE_RECEIVE, mapping.batch - len(source.begun), room))
            received = in_background(gate, partial(_receive, mapping=mapping, role=role, most=most))
            if not received:
                left = source.until - time.monotonic()
                if source.begun and left > 0:
                    return _Gathered([], meant, found, min(left, _BETWEEN))
                break
            found = True
            made = [queue_events.record_of(message, mapping.source) for message in received]
            kept = [record for record in made if queue_events.wanted(source.filters, record)]
            unwanted = [record for record in made if record not in kept]
            if unwanted:
                self._delete(mapping, role, unwanted)
            if kept and not source.begun:
                source.until = time.monotonic() + mapping.window
            source.begun += kept
            source.size += sum(len(_json(record)) for record in kept)
            if self._stopping.is_set():
                break
        records, source.begun, source.size = source.begun, [], 0
        return _Gathered(records, meant, found)

    def _batch(self, source: _Source, meant: _Meant, records: Sequence[dict[str, Any]]) -> str:
        """Run the function with a batch, and delete what it has done. What came of it."""
        mapping = source.mapping
        payload = _json({"Records": records})
        wanted = Wanted(meant.row, meant.version, mapping.qualifier, payload, new_uuid())
        try:
            result = run(self._gate, wanted)
        except AwsError as error:
            log.info("function %s cannot be run with messages: %s", mapping.function, error.code)
            return _THROTTLED if error.code == "TooManyRequestsException" else _FAILED
        if result.failed:
            return _FAILED
        failed: frozenset[str] | None = frozenset()
        if mapping.reports:
            failed = queue_events.failed_ids(result.payload, [record["messageId"] for record in records])
        if failed is None:
            return _FAILED
        done = [record for record in records if record["messageId"] not in failed]
        role = actor(mapping.named.place, meant.version.settings["Role"])
        if done:
            self._delete(mapping, role, done)
        return OK if done or not failed else _FAILED

    def _delete(self, mapping: Mapping, role: Actor, records: Sequence[Members[str, Any]]) -> None:
        url = queue_url(mapping.source)
        for begin in range(0, len(records), _ONE_RECEIVE):
            part = records[begin : begin + _ONE_RECEIVE]
            entries: list[sqs.DeleteMessageBatchRequestEntry] = [
                {"Id": str(number), "ReceiptHandle": record["receiptHandle"]}
                for number, record in enumerate(part)
            ]

            def delete(call: Call, entries: Any = entries) -> Any:
                return sqs.DeleteMessageBatch.ask(act_as(call, role), {"QueueUrl": url, "Entries": entries})

            refused = in_background(self._gate, delete).get("Failed")
            if refused:
                log.warning("%d messages of mapping %s are not deleted", len(refused), mapping.id)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _find(call: Call, mapping: Mapping) -> _Meant | None:
    """The version that is to be run; None for what is no more."""
    what = mapping.named
    entry = call.part(Functions).find(call, what.place)
    main = None if entry is None else version_of(call, entry, what.qualifier)
    if entry is None or main is None:
        return None
    return _Meant(entry.row, drawn_version(call, entry, what.qualifier, main, new_uuid()))


def _receive(call: Call, mapping: Mapping, role: Actor, most: int) -> Sequence[Members[str, Any]]:
    asked: sqs.ReceiveMessageRequest = {
        "QueueUrl": queue_url(mapping.source),
        "MaxNumberOfMessages": most,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    }
    answer = sqs.ReceiveMessage.ask(act_as(call, role), asked)
    return answer.get("Messages", [])
