"""Background jobs that remove what nothing refers to: blobs and parts of what was removed, and what crashes left
behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from casemate.clock import Clock
from casemate.services.s3.bodies import Bodies
from casemate.services.s3.object_rows import discard_some
from casemate.store import jobs
from casemate.store.blobs import sweep_orphans
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job

log = logging.getLogger("casemate.s3")

COLLECT, SWEEP = "s3.collect_garbage", "s3.sweep_orphans"

_EVERY, _SWEEP_EVERY = 300.0, 86_400.0
_YOUNG = 86_400.0
"""Seconds for which a blob may be without a row: as long as an upload may take."""
_BATCH = 500


def schedule(tx: Tx, now: float) -> None:
    """Have both jobs run, now and again, from the first bucket on."""
    jobs.schedule_for_good(tx, COLLECT, now + _EVERY, _EVERY)
    jobs.schedule_for_good(tx, SWEEP, now + _SWEEP_EVERY, _SWEEP_EVERY)


def collector(store: Store, bodies: Bodies, clock: Clock) -> Callable[[Job], None]:
    """The handler that removes the blobs whose time has come."""

    def collect(job: Job) -> None:
        while store.write(lambda tx: _discard(tx, job, clock.now())):
            pass
        while ids := store.read(lambda tx: due(tx, clock.now())):
            for blob in ids:
                bodies.blobs.delete(blob)
            store.write(lambda tx, gone=ids: _forget(tx, gone, job))  # type: ignore[misc]  # of this round

    return collect


def _discard(tx: Tx, job: Job, now: float) -> bool:
    job.renew(tx)
    return discard_some(tx, now)


def due(tx: Tx, now: float) -> list[str]:
    """Some of the blobs that may be removed."""
    return [blob for (blob,) in tx.all("SELECT id FROM s3_garbage WHERE due <= ? LIMIT ?", (now, _BATCH))]


def _forget(tx: Tx, ids: list[str], job: Job) -> None:
    tx.run(f"DELETE FROM s3_garbage WHERE id IN ({', '.join('?' * len(ids))})", ids)
    job.renew(tx)


def sweeper(store: Store, bodies: Bodies) -> Callable[[Job], None]:
    """The handler that removes blobs without rows: of uploads that a crash ended."""

    def sweep(job: Job) -> None:
        before = time.time() - _YOUNG
        removed = 0
        for removed, _ in enumerate(
            sweep_orphans(
                bodies.blobs, lambda ids: store.read(lambda tx: referenced(tx, ids)), before=before
            ),
            1,
        ):
            if removed % _BATCH == 0:
                store.write(job.renew)
        if removed:
            log.info("%d blobs that nothing referred to were removed", removed)

    return sweep


def referenced(tx: Tx, ids: Iterable[str]) -> list[str]:
    """Which of these blobs have a row, or are to be removed anyway."""
    wanted = list(ids)
    marks = ", ".join("?" * len(wanted))
    return [
        blob
        for (blob,) in tx.all(
            f"SELECT id FROM s3_bodies WHERE id IN ({marks}) UNION SELECT id FROM s3_garbage WHERE id IN ({marks})",
            (*wanted, *wanted),
        )
    ]
