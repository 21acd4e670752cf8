"""What goes by and by: events whose time is over, and what deleted groups had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.gate.gate import Gate
    from casemate.services.logs.groups import GroupRow
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

EXPIRE = "logs.expire"
REMOVE = "logs.remove"
EVERY = 3600.0
"""Seconds between two looks for expired events."""
_DAY = 86_400_000
_BATCHES = 200
"""Batches that are deleted in one transaction."""


def schedule(tx: Tx, group: GroupRow, now: float) -> None:
    """Delete expired events from now on."""
    jobs.schedule(tx, EXPIRE, now + EVERY, {"group": group.id}, id=f"{EXPIRE} {group.id}", every=EVERY)


def cancel(tx: Tx, group: GroupRow) -> None:
    jobs.cancel(tx, f"{EXPIRE} {group.id}")


def schedule_removal(tx: Tx, group: GroupRow, now: float) -> None:
    """Delete all that a deleted group had."""
    jobs.schedule(tx, REMOVE, now, {"group": group.id}, id=f"{REMOVE} {group.id}")


def expirer(gate: Gate, by_id: Callable[[Tx, str], GroupRow | None]) -> Callable[[Job], None]:
    """Deletes the events of a group that are expired; batches go as a whole, once all of theirs are."""

    def expire(job: Job) -> None:
        def some(tx: Tx) -> bool:
            group = by_id(tx, job.payload["group"])
            days = None if group is None else group.settings.get("retention")
            if group is None or days is None:
                jobs.cancel(tx, job.id)
                return False
            gone = _delete(tx, group.id, int(gate.clock.now() * 1000) - days * _DAY)
            if gone < _BATCHES:
                job.finish(tx)
                return False
            job.renew(tx)
            return True

        while gate.store.write(some):
            pass

    return expire


def _delete(tx: Tx, group_id: str, timestamp: int) -> int:
    """Remove batches that are older, at most so many as one transaction does; how many there were."""
    rows = tx.all(
        "SELECT id, stream_id, stored FROM logs_batches WHERE group_id = ? AND first_event < ? AND last_event < ? "
        "ORDER BY first_event LIMIT ?",
        (group_id, timestamp, timestamp, _BATCHES),
    )
    for batch_id, stream_id, stored in rows:
        tx.run("DELETE FROM logs_batches WHERE id = ?", (batch_id,))
        tx.run("UPDATE logs_streams SET stored = stored - ? WHERE id = ?", (stored, stream_id))
    return len(rows)


def remover(gate: Gate) -> Callable[[Job], None]:
    """Deletes the rows of a group that is no more."""

    def remove(job: Job) -> None:
        group = job.payload["group"]

        def some(tx: Tx) -> bool:
            gone = tx.run(
                "DELETE FROM logs_batches WHERE id IN (SELECT id FROM logs_batches WHERE group_id = ? LIMIT ?)",
                (group, _BATCHES),
            )
            if gone == _BATCHES:
                job.renew(tx)
                return True
            tx.run("DELETE FROM logs_streams WHERE group_id = ?", (group,))
            tx.run("DELETE FROM logs_data_keys WHERE group_id = ?", (group,))
            job.finish(tx)
            return False

        while gate.store.write(some):
            pass

    return remove
