"""Usage out of the audit journal: every call is there, durable before its reply, and so nothing is counted for it
while it is answered.

Records are read once, from where the last reading ended, and counted by day. What was counted and how far that was
come into the database in one transaction, so that a crash neither loses nor repeats a call. Each machine counts its
own journal.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orjson import loads

from casemate.gate.billing import Billed
from casemate.gate.observing import Gathered, Gathering, Observer, Recorder
from casemate.store.database import Store, Tx
from casemate.store.errors import StoreError
from casemate.store.journal_format import JournalTampered, Position, SegmentCipher, SegmentName
from casemate.store.journal_reader import read_journal
from casemate.store.journal_trimming import ended_runs, trim

EVERY = 2.0
"""Seconds between two readings while nobody asks."""
BUSY, PUT_OFF = 0.25, 10.0
"""A reading is put off while the process takes more than such a part of a processor, for so many seconds at most."""
TRIM_EVERY = 60.0
"""Seconds between two looks for what of the journal nobody needs."""

_BATCH = 50_000
"""Records counted in one transaction."""
_SLICE = 100
_PAUSE = 0.005
"""Beside a server, so many records are read at a time, and so many seconds waited: a third of a millisecond of the
interpreter's time, and then the event loop has it again. That is up to 18,000 records a second."""

_GLANCE = 1_000
"""Records that a glance reads at most."""
_GLANCE_SECONDS = 0.02
"""For which it waits for whoever reads already."""

_Key = tuple[str, str, str, str, str, str, str]


class _Counted:
    """What one reading found: calls by what they count as; the last event of each resource whose use is to be known,
    by service and resource; what each observer gathered."""

    __slots__ = ("calls", "gathered", "last", "recorded")

    def __init__(self, observers: Sequence[Observer], recorders: Sequence[Recorder]) -> None:
        self.gathered: list[tuple[Observer, Gathered]] = [(each, {}) for each in observers]
        self.calls: Counter[_Key] = Counter()
        self.last: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.recorded: list[Gathering] = [each() for each in recorders]


class Overtaken(StoreError):
    """Another process counts this journal at this moment."""


class Meter:
    """journal: the machine's audit journal; billed: the services whose calls cost something; observers: who
    are told of every call; recorders: keep every record."""

    def __init__(
        self,
        store: Store,
        journal: Path,
        cipher: SegmentCipher,
        billed: Sequence[Billed],
        observers: Sequence[Observer],
        recorders: Sequence[Recorder] = (),
    ) -> None:
        self._store = store
        self._journal = journal
        self._cipher = cipher
        self.billed: Mapping[str, Billed] = {each.service: each for each in billed}
        self._by_source = {each.source: each for each in billed}
        self._observers = observers
        self._recorders = recorders
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let a gentle reading end where it is; the next one goes on there."""
        self._stopped.set()

    def catch_up(self, *, gently: bool = False) -> int:
        """Count what has come since the last time; how many records were read. gently: beside a server's event loop.
        Raises JournalTampered, after all before that place was counted, and StoreError."""
        with self._lock:
            for _ in range(5):
                try:
                    return self._count(gently)
                except Overtaken:
                    time.sleep(0.05)
        raise Overtaken("another process counts the audit journal")

    def glance(self) -> None:
        """Count what has come since the last time, if that is little and nobody else is at it: a few milliseconds.
        Raises JournalTampered, StoreError."""
        if not self._lock.acquire(timeout=_GLANCE_SECONDS):
            return
        try:
            with contextlib.suppress(Overtaken):
                self._count(gently=False, most=_GLANCE)
        finally:
            self._lock.release()

    def trim(self, held: Callable[[Tx], Iterable[Mapping[str, int]]]) -> None:
        """Remove what was read of the journal, once nobody needs it. held: segments that somebody needs, and those
        after them, by run. Raises as ``catch_up``."""
        with self._lock:
            if not self._journal.is_dir():
                return
            ended = ended_runs(self._journal)
            self._count(gently=True)
            if self._stopped.is_set():
                # Not all of the runs that have ended was read.
                return

            def needed(tx: Tx) -> dict[str, int]:
                found = {run: position.sequence for run, position in _positions(tx).items() if run}
                found |= dict.fromkeys(ended, 0)
                for segments in held(tx):
                    for run, sequence in segments.items():
                        if run in found:
                            found[run] = min(found[run] or sequence, sequence)
                return found

            gone = trim(self._journal, self._store.read(needed))
            # Afterwards: of a run without a position all would be counted again.
            if gone:
                self._store.write(
                    lambda tx: [tx.run("DELETE FROM ce_positions WHERE run = ?", (run,)) for run in gone]
                )

    def forget(self, tx: Tx) -> None:
        """Count nothing of what is in the journal by now (the tables are empty: the server was reset)."""
        tx.run(
            "INSERT INTO ce_positions (run, time_ns, segment, frame, record, place) VALUES ('', ?, 0, 0, 0, 0) "
            "ON CONFLICT (run) DO UPDATE SET time_ns = excluded.time_ns",
            (time.time_ns(),),
        )

    def _count(self, gently: bool, most: int = 0) -> int:
        if not self._journal.is_dir():
            return 0
        known = self._store.read(_positions)
        begun = known.pop("", None)
        since = 0 if begun is None else begun.time_ns
        seen, read, kept = dict(known), 0, 0
        counted = _Counted(self._observers, self._recorders)
        tampered: JournalTampered | None = None
        records = read_journal(self._journal, self._cipher, after=self._there(known))
        while True:
            try:
                position, record = next(records)
            except StopIteration:
                break
            except JournalTampered as error:
                tampered = error
                break
            seen[position.run] = position
            read += 1
            if position.time_ns > since:
                self._look_at(position, record, counted)
            if read - kept == _BATCH:
                self._keep(known, seen, counted)
                known, counted, kept = dict(seen), _Counted(self._observers, self._recorders), read
            if read == most or (gently and read % _SLICE == 0 and self._stopped.wait(_PAUSE)):
                break
        if read > kept:
            self._keep(known, seen, counted)
        if tampered is not None:
            raise tampered
        return read

    def _there(self, known: Mapping[str, Position]) -> dict[str, Position]:
        """The positions whose segments are still there. Of a run whose segments were removed further than it was
        counted, reading begins with the first that is left."""
        files = {entry.name for entry in os.scandir(self._journal)}
        return {
            run: position
            for run, position in known.items()
            if SegmentName(run, position.sequence).file in files
        }

    def _look_at(self, position: Position, record: bytes, counted: _Counted) -> None:
        """Show a record to recorders and observers, and count it if it is of a call that was not refused."""
        event = loads(record)
        for recorded in counted.recorded:
            recorded.see(position, record, event)
        is_call = event["eventType"] == "AwsApiCall"
        for observer, gathered in counted.gathered:
            if is_call or observer.all:
                observer.see(event, gathered)
        if not is_call:
            return
        billed = self._by_source.get(event["eventSource"])
        if billed is None or "errorCode" in event:
            return
        for resource in billed.used(event):
            counted.last[billed.service, resource] = event
        account = event["userIdentity"].get("accountId")
        # Another owner's copy is not another call.
        if account is not None and event["recipientAccountId"] == account:
            resource, detail = billed.subject(event)
            day = event["eventTime"][:10]
            key = (account, day, billed.service, event["awsRegion"], event["eventName"], resource, detail)
            counted.calls[key] += 1

    def _keep(self, known: Mapping[str, Position], seen: Mapping[str, Position], counted: _Counted) -> None:
        keeping = [recorded.pack() for recorded in counted.recorded]
        segments = {run: known[run].sequence if run in known else 1 for run in seen}

        def write(tx: Tx) -> None:
            for run, position in seen.items():
                before = known.get(run)
                if position != before and not _move(tx, before, position):
                    raise Overtaken("another process counts the audit journal")
            for (account, day, service, region, operation, resource, detail), count in counted.calls.items():
                usage_type = self.billed[service].usage_type(tx, operation, resource, detail)
                tx.run(
                    "INSERT INTO ce_requests "
                    "(account, day, service, region, operation, usage_type, resource, calls) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (account, day, service, region, operation, usage_type, resource) "
                    "DO UPDATE SET calls = ce_requests.calls + excluded.calls",
                    (account, day, service, region, operation, usage_type, resource, count),
                )
            for service, billed in self.billed.items():
                billed.note_used(
                    tx, {resource: event for (of, resource), event in counted.last.items() if of == service}
                )

            for observer, gathered in counted.gathered:
                observer.keep(tx, gathered)
            for keep in keeping:
                keep(tx, segments)

        self._store.write(write)


def _positions(tx: Tx) -> dict[str, Position]:
    rows = tx.all("SELECT time_ns, run, segment, frame, record, place FROM ce_positions")
    return {row[1]: Position(*row) for row in rows}


def _move(tx: Tx, before: Position | None, position: Position) -> bool:
    """Put a run's position on; False when it is not where it was."""
    if before is None:
        moved = tx.run(
            "INSERT INTO ce_positions (time_ns, run, segment, frame, record, place) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            position,
        )
    else:
        moved = tx.run(
            "UPDATE ce_positions SET time_ns = ?, segment = ?, frame = ?, record = ?, place = ? "
            "WHERE run = ? AND segment = ? AND frame = ? AND record = ?",
            (
                *(position.time_ns, position.sequence, position.frame, position.record, position.offset),
                *(position.run, before.sequence, before.frame, before.record),
            ),
        )
    return moved == 1
