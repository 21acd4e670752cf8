"""Work that is due at a time: a rotation in a year, a key's deletion in seven days, a sweep every hour.

    schedule(tx, "kms.delete_key", due, {"key": arn}, id=f"kms.delete_key {arn}")

schedules in the same transaction as the change that wants it. Any worker's ``Jobs`` claims what is due, under
a lease: one that dies leaves a lease that runs out, and another claims the job again. So a handler may run
more than once for the same occasion and must be idempotent; it can also finish its job in the very transaction
that has its effect, by ``job.finish(tx)``, which undoes the transaction if somebody else has the job by now.

Times are the injected clock's, seconds since the epoch. Between machines the clocks agree to well within a
lease, as NTP's do.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from casemate.clock import Clock
from casemate.errors import origin
from casemate.store.database import Store, Tx
from casemate.store.errors import StoreError
from casemate.store.ids import new_id

_log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds for which a claimed job is left to its worker."""

DOMAIN = "store.jobs"
"""The generation that a change of the schedule bumps."""

_BACKOFF = 1.0  # seconds, doubled with every failure
_BACKOFF_MOST = 3600.0
_STEP = 0.25  # seconds in which a moved clock or a changed schedule is noticed
_LOOK = 30.0  # seconds after which the table is read anyway: leases run out without a bump


class LeaseLost(StoreError):
    """The job was cancelled, scheduled anew, or claimed by another worker after the lease ran out."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. due: when it should have run; failures: how many times it did and failed since then."""

    id: str
    kind: str
    due: float
    payload: Mapping[str, Any]
    every: float | None
    epoch: int
    failures: int
    clock: Clock

    def finish(self, tx: Tx) -> None:
        """Done: delete the job or, with ``every``, put it off to the next occasion after now. Occasions that
        were missed (the server was down, the clock was moved) are one. Raises LeaseLost."""
        if self.every is None:
            changed = tx.run("DELETE FROM store_jobs WHERE id = ? AND epoch = ?", (self.id, self.epoch))
        else:
            missed = max(0.0, self.clock.now() - self.due) // self.every
            changed = tx.run(
                "UPDATE store_jobs SET due = ?, lease_until = 0, epoch = epoch + 1, failures = 0 "
                "WHERE id = ? AND epoch = ?",
                (self.due + self.every * (missed + 1), self.id, self.epoch),
            )
        if not changed:
            raise LeaseLost(f"job {self.id} is no longer this worker's")

    def put_back(self, tx: Tx) -> None:
        """Not done: leave it to whoever comes next, now."""
        tx.run(
            "UPDATE store_jobs SET lease_until = 0, epoch = epoch + 1 WHERE id = ? AND epoch = ?",
            (self.id, self.epoch),
        )

    def renew(self, tx: Tx, seconds: float = LEASE) -> None:
        """Have the job for so much longer from now, for a handler with much to do. Raises LeaseLost."""
        if not tx.run(
            "UPDATE store_jobs SET lease_until = ? WHERE id = ? AND epoch = ?",
            (self.clock.now() + seconds, self.id, self.epoch),
        ):
            raise LeaseLost(f"job {self.id} is no longer this worker's")


ELSEWHERE = object()
"""What a handler returns whose work goes on in another thread, which then finishes the job, or renews its lease."""

Handler = Callable[[Job], object]
"""Does the work, in transactions of its own. When it returns, the job is finished, unless it did that itself or goes
on ELSEWHERE; when it raises, it runs again after 1, 2, 4, ... seconds, at most an hour."""


def schedule(
    tx: Tx,
    kind: str,
    due: float,
    payload: Mapping[str, Any],
    *,
    every: float | None = None,
    id: str | None = None,  # noqa: A002
) -> str:
    """Schedule a job and return its id. payload: JSON's types, no secrets; every: seconds between occasions.

    id: scheduling one that exists replaces it; a worker that runs it at this moment can no longer finish it.
    """
    if every is not None and every <= 0:
        raise ValueError(f"a job runs every positive number of seconds, not {every}")
    name = new_id() if id is None else id
    tx.run(
        "INSERT INTO store_jobs (id, kind, due, lease_until, epoch, every, failures, payload) "
        "VALUES (?, ?, ?, 0, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, "
        "due = excluded.due, lease_until = 0, epoch = store_jobs.epoch + 1, every = excluded.every, "
        "failures = 0, payload = excluded.payload",
        # The first epoch is a number never used before: a job may be cancelled and scheduled again under its
        # id while a worker still runs the old one.
        (
            name,
            kind,
            float(due),
            time.time_ns(),
            None if every is None else float(every),
            json.dumps(dict(payload)),
        ),
    )
    tx.bump(DOMAIN)
    return name


def schedule_for_good(tx: Tx, kind: str, due: float, every: float) -> None:
    """Schedule a job that runs again and again, once for the whole database: nothing happens where it is scheduled
    already. Its id is its kind."""
    made = tx.run(
        "INSERT INTO store_jobs (id, kind, due, lease_until, epoch, every, failures, payload) "
        "VALUES (?, ?, ?, 0, ?, ?, 0, '{}') ON CONFLICT DO NOTHING",
        (kind, kind, float(due), time.time_ns(), float(every)),
    )
    if made:
        tx.bump(DOMAIN)


def cancel(tx: Tx, id: str) -> bool:  # noqa: A002
    """Delete a job; whether there was one. A worker that runs it at this moment can no longer finish it."""
    return tx.run("DELETE FROM store_jobs WHERE id = ?", (id,)) > 0


class Jobs:
    """Runs what is due: by ``run_due``, or in a thread of its own between ``start`` and ``stop``.

    handlers: by kind. Jobs of other kinds are left alone: another version's, or another kind of worker's.
    """

    def __init__(self, store: Store, clock: Clock, handlers: Mapping[str, Handler]) -> None:
        self._store = store
        self._clock = clock
        self._handlers = dict(handlers)
        self._kinds = tuple(sorted(self._handlers))
        of_kinds = f"kind IN ({', '.join('?' * len(self._kinds))})"
        # Composed of placeholders only.
        self._first_free = (
            f"SELECT due FROM store_jobs WHERE lease_until <= ? AND {of_kinds} ORDER BY due LIMIT 1"  # noqa: S608
        )
        self._first_leased = (
            "SELECT MIN(CASE WHEN lease_until > due THEN lease_until ELSE due END) FROM store_jobs "  # noqa: S608
            f"WHERE lease_until > 0 AND lease_until > ? AND {of_kinds}"
        )
        self._take = (
            "UPDATE store_jobs SET lease_until = ?, epoch = epoch + 1 WHERE id = "  # noqa: S608
            f"(SELECT id FROM store_jobs WHERE due <= ? AND lease_until <= ? AND {of_kinds} "
            "ORDER BY due LIMIT 1 /*pg FOR UPDATE SKIP LOCKED */) "
            "RETURNING id, kind, due, payload, every, epoch, failures"
        )
        self._changed = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def run_due(self, limit: int = 100) -> int:
        """Run up to limit jobs that are due now, the longest due first; how many ran, failures included."""
        ran = 0
        while ran < limit and not self._stopping:
            job = self._claim()
            if job is None:
                break
            self._run(job)
            ran += 1
        return ran

    def next_due(self) -> float | None:
        """When there will be something to run: in the past if there is now, None if never."""
        if not self._kinds:
            return None
        return self._store.read(self._next_due)

    def _next_due(self, tx: Tx) -> float | None:
        now = self._clock.now()
        free = tx.one(self._first_free, (now, *self._kinds))
        leased = tx.one(self._first_leased, (now, *self._kinds))
        times = [row[0] for row in (free, leased) if row and row[0] is not None]
        return min(times, default=None)

    def start(self) -> None:
        """Run jobs in a background thread from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="store-jobs", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at the clock and the schedule now; needless, but quicker by up to 0.25 s."""
        self._changed.set()

    def stop(self) -> None:
        """Stop the thread, after the job it is running. What it leaves is claimed later or by others."""
        self._stopping = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _claim(self) -> Job | None:
        if not self._kinds:
            return None
        now = self._clock.now()
        # Looked at first, without changing anything: an idle look takes no write lock.
        free = self._store.read(lambda tx: tx.one(self._first_free, (now, *self._kinds)))
        if free is None or free[0] > now:
            return None
        row = self._store.write(lambda tx: tx.one(self._take, (now + LEASE, now, now, *self._kinds)))
        if row is None:
            return None
        return Job(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5], row[6], self._clock)

    def _run(self, job: Job) -> None:
        try:
            if self._handlers[job.kind](job) is not ELSEWHERE:
                self._store.write(lambda tx: self._finish(tx, job))
        except LeaseLost:
            _log.info("job %s (%s) was taken over, cancelled or scheduled anew meanwhile", job.id, job.kind)
        except Exception as defect:
            _log.error(
                "job %s (%s) failed, for the %d. time: %s", job.id, job.kind, job.failures + 1, origin(defect)
            )
            pause = min(_BACKOFF * 2 ** min(job.failures, 30), _BACKOFF_MOST)
            self._store.write(
                lambda tx: tx.run(
                    "UPDATE store_jobs SET lease_until = ?, failures = failures + 1, epoch = epoch + 1 "
                    "WHERE id = ? AND epoch = ?",
                    (self._clock.now() + pause, job.id, job.epoch),
                )
            )

    def _finish(self, tx: Tx, job: Job) -> None:
        # The handler may have finished it with its own transaction.
        row = tx.one("SELECT epoch FROM store_jobs WHERE id = ?", (job.id,))
        if row is not None and row[0] == job.epoch:
            job.finish(tx)

    def _loop(self) -> None:
        slot = self._store.generations.slot(DOMAIN)
        seen = -1
        due: float | None = None
        looked = 0.0
        while not self._stopping:
            now = self._clock.now()
            generation = self._store.generations.current(slot)
            # A clock that was moved back makes "looked" lie in the future.
            if generation != seen or (due is not None and due <= now) or not looked <= now < looked + _LOOK:
                seen, looked = generation, now
                try:
                    self.run_due()
                    due = self.next_due()
                except Exception as error:
                    _log.error("jobs cannot be run now: %s", origin(error))
                    seen = -1
                    self._changed.wait(_STEP * 4)
            else:
                self._changed.wait(_STEP if due is None else min(_STEP, due - now))
                self._changed.clear()
