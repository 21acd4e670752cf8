"""What is no longer wanted goes: messages whose time is over, of queues that were emptied or deleted, and what was
remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from casemate.services.sqs.messages import expired_before
from casemate.services.sqs.queues import Queues
from casemate.store import jobs

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx
    from casemate.store.jobs import Job

EXPIRE = "sqs.expire"
REMOVE = "sqs.remove"
_EVERY = 3600.0
_CHUNK = 500
_DATA_KEYS_FOR = 16 * 86_400.0
"""Seconds after which no message is sealed under a data key, nor was moved: messages are retained for 14 days, and a
data key is for writing for one at most."""


def schedule(tx: Tx, now: float) -> None:
    """Let what expires be removed, from the first queue on."""
    if tx.one("SELECT 1 FROM store_jobs WHERE id = ?", (EXPIRE,)) is None:
        jobs.schedule(tx, EXPIRE, now + _EVERY, {}, every=_EVERY, id=EXPIRE)


def schedule_removal(tx: Tx, now: float) -> None:
    """Let the rows be removed of what was emptied."""
    jobs.schedule(tx, REMOVE, now, {}, id=REMOVE)


def expirer(gate: Gate) -> Callable[[Job], None]:
    queues, store = gate.parts[Queues], gate.store

    def expire(job: Job) -> None:
        now, after = gate.clock.now(), ""
        while rows := store.read(lambda tx, after=after: queues.every(tx, after, 100)):  # type: ignore[misc]
            after = rows[-1].id
            for row in rows:
                before = expired_before(row, now)
                while store.write(lambda tx, row=row, before=before: _expired(tx, row.contents, before)):  # type: ignore[misc]
                    store.write(job.renew)
        store.write(lambda tx: tx.run("DELETE FROM sqs_remembered WHERE until < ?", (now,)))
        unused = now - _DATA_KEYS_FOR
        store.write(
            lambda tx: tx.run("DELETE FROM sqs_data_keys WHERE created < ? AND moved < ?", (unused, unused))
        )

    return expire


def _expired(tx: Tx, contents: str, before: float) -> int:
    return tx.run(
        "DELETE FROM sqs_messages WHERE contents = ? AND id IN "
        "(SELECT id FROM sqs_messages WHERE contents = ? AND sent < ? ORDER BY id LIMIT ?)",
        (contents, contents, before, _CHUNK),
    )


def remover(gate: Gate) -> Callable[[Job], None]:
    store = gate.store

    def remove(job: Job) -> None:
        emptied = store.read(lambda tx: tx.all("SELECT contents FROM sqs_emptied"))
        for (contents,) in emptied:
            while store.write(lambda tx, contents=contents: _some(tx, contents)):  # type: ignore[misc]
                store.write(job.renew)
            store.write(
                lambda tx, contents=contents: tx.run(  # type: ignore[misc]
                    "DELETE FROM sqs_emptied WHERE contents = ?", (contents,)
                )
            )

    return remove


def _some(tx: Tx, contents: str) -> int:
    return tx.run(
        "DELETE FROM sqs_messages WHERE contents = ? AND id IN "
        "(SELECT id FROM sqs_messages WHERE contents = ? ORDER BY id LIMIT ?)",
        (contents, contents, _CHUNK),
    )
