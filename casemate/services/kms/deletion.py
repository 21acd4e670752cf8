"""What becomes of a key at its deletion date: it is gone, with its material, its aliases and its tags, and what
was encrypted with it cannot be decrypted any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from casemate.clock import Clock
from casemate.services.kms.key import PENDING_DELETION, Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.rows import KeyRow
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.kms")

KIND = "kms.delete_key"


def _job_id(row: KeyRow) -> str:
    return f"{KIND} {row.arn}"


def plan(tx: Tx, row: KeyRow) -> None:
    """Delete the key at its deletion date, in the transaction that makes it pending."""
    assert row.deletion_date is not None
    place = {"account": row.account, "region": row.region, "key_id": row.id}
    schedule(tx, KIND, row.deletion_date, place, id=_job_id(row))


def call_off(tx: Tx, row: KeyRow) -> None:
    """Do not delete the key after all."""
    cancel(tx, _job_id(row))


def deleter(
    store: Store,
    keys: Keys,
    clock: Clock,
    record: Callable[[Key], None],
    audits: Callable[[], bool] = lambda: True,
) -> Callable[[Job], None]:
    """The job's handler. It deletes only what is still pending deletion and due, whatever became of the key since
    the job was planned; running again does no harm. record: writes the deletion into the audit; audits: whether
    that can be done now, without which nothing is deleted."""

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
            job.finish(tx)
            return key if due else None

        deleted = store.write(delete)
        if deleted is not None:
            record(deleted)
            log.info("key %s of account %s is deleted", deleted.row.id, deleted.account)

    return run
