"""What becomes of a key at its deletion date: it is gone, with its material, its aliases and its tags, and what
was encrypted with it cannot be decrypted any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from casemate.clock import Clock
from casemate.services.kms.announcements import DELETION, Tell, silent
from casemate.services.kms.key import PENDING_DELETION, PENDING_REPLICA_DELETION, Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.rows import KeyRow
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.kms")

KIND = "kms.delete_key"
DAY = 86_400.0


def _job_id(row: KeyRow) -> str:
    return f"{KIND} {row.arn}"


def plan(tx: Tx, keys: Keys, row: KeyRow, now: float, days: int) -> KeyRow:
    """Delete the key in so many days; the row as it is until then."""
    due = now + days * DAY
    pending = row._replace(state=PENDING_DELETION, deletion_date=due, deletion_window=0)
    keys.save(tx, pending)
    place = {"account": row.account, "region": row.region, "key_id": row.id}
    schedule(tx, KIND, due, place, id=_job_id(row))
    return pending


def call_off(tx: Tx, row: KeyRow) -> None:
    """Do not delete the key after all."""
    cancel(tx, _job_id(row))


def deleter(
    store: Store,
    keys: Keys,
    clock: Clock,
    record: Callable[[Key], None],
    audits: Callable[[], bool] = lambda: True,
    destroy: Callable[[Key], None] = lambda _: None,
    tell: Tell = silent,
) -> Callable[[Job], None]:
    """The job's handler. It deletes only what is still pending deletion and due, whatever became of the key since
    the job was planned; running again does no harm. record: writes the deletion into the audit; audits: whether
    that can be done now, without which nothing is deleted; destroy: removes, as well as it can, what a custom key
    store has of the key; tell: tells of it."""

    def run(job: Job) -> None:
        if not audits():
            raise RuntimeError("the audit takes no records, so no key is deleted")

        def delete(tx: Tx) -> Key | None:
            place = job.payload
            key = keys.load(tx, place["account"], place["region"], place["key_id"])
            due = (
                key is not None
                and key.row.state == PENDING_DELETION
                and key.row.deletion_date is not None
                and key.row.deletion_date <= clock.now()
            )
            if key is not None and due:
                keys.delete(tx, key.row)
                tell(tx, DELETION, key)
                _release_primary(tx, keys, key.row, clock.now())
            job.finish(tx)
            return key if due else None

        deleted = store.write(delete)
        if deleted is not None:
            record(deleted)
            if deleted.elsewhere:
                destroy(deleted)
            log.info("key %s of account %s is deleted", deleted.row.id, deleted.account)

    return run


def _release_primary(tx: Tx, keys: Keys, replica: KeyRow, now: float) -> None:
    """A primary key that is to be deleted waits for the last of its replicas; then its own days begin."""
    if not replica.is_replica:
        return
    primary = keys.load(tx, replica.account, replica.primary_region, replica.id)
    if (
        primary is not None
        and primary.row.state == PENDING_REPLICA_DELETION
        and primary.regions == (primary.row.region,)
    ):
        plan(tx, keys, primary.row, now, primary.row.deletion_window)
