"""RestoreObject, and the job that brings an archived object back after its time, and lets it go again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.services.s3.about import ARCHIVES
from casemate.services.s3.archives import DELAYS, STATE, stored_class
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.digests import check_document
from casemate.services.s3.happenings import restore_begun, restored
from casemate.services.s3.lifecycle_filters import due
from casemate.services.s3.object_rows import ObjectRow, Objects
from casemate.services.s3.object_targets import NamedObject, named_object, readable
from casemate.services.s3.refusals import invalid_argument, malformed_xml, not_supported
from casemate.store.jobs import Job, schedule

if TYPE_CHECKING:
    from casemate.gate.announcing import Announcer
    from casemate.gate.call import Call
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Store, Tx

RESTORE = "s3.restore"


@s3.RestoreObject.writes(named_object)
def restore_object(call: Call, req: s3.RestoreObjectRequest, target: NamedObject) -> s3.RestoreObjectOutput:
    """Bring an archived object back for some days, after the time that the tier takes; or keep it for longer."""
    check_document(call, required=False)
    bucket, row = target.bucket, readable(call, target)
    given = req.get("RestoreRequest")
    if given is None:
        raise malformed_xml()
    if "Type" in given or "SelectParameters" in given or "OutputLocation" in given:
        raise not_supported("A restore that selects")
    days = given.get("Days")
    if days is None:
        raise malformed_xml()
    if days < 1:
        raise invalid_argument("'Days' must be a positive integer", "Days", str(days))
    stored = stored_class(row.about)
    if stored not in ARCHIVES:
        raise AwsError(
            "InvalidObjectState",
            "Restore is not allowed for the object's current storage class",
            403,
            StorageClass=stored,
        )
    tier = given.get("GlacierJobParameters", {}).get("Tier") or given.get("Tier", "Standard")
    if tier not in DELAYS[stored]:
        raise invalid_argument("Retrieval option is not supported by this storage class", "Tier", tier)
    state = row.about.get(STATE)
    if state is not None and "Until" not in state:
        raise AwsError("RestoreAlreadyInProgress", "Object restore is already in progress", 409)
    objects = call.part(Objects)
    if state is not None:
        _keep(call.tx, objects, bucket, row, {"Until": due(call.now, days)})
        return {}
    state = {"Since": call.now, "Due": call.now + DELAYS[stored][tier], "Days": days}
    restore_begun(call, bucket, _keep(call.tx, objects, bucket, row, state))
    call.send(0, iter(()), status=202)
    return {}


def _keep(tx: Tx, objects: Objects, bucket: Bucket, row: ObjectRow, state: Mapping[str, Any]) -> ObjectRow:
    changed = objects.describe(tx, bucket, row, {**row.about, STATE: dict(state)})
    plan(tx, bucket, changed)
    return changed


def _job_id(bucket: Bucket, row: ObjectRow) -> str:
    return f"{RESTORE} {bucket.id} {row.version}"


def plan(tx: Tx, bucket: Bucket, row: ObjectRow) -> None:
    """Have the job run when the state of a version is over."""
    state = row.about[STATE]
    payload = {"bucket": bucket.name, "id": bucket.id, "key": row.key, "version": row.version}
    schedule(tx, RESTORE, state.get("Until") or state["Due"], payload, id=_job_id(bucket, row))


def waits_in_vain(tx: Tx, bucket: Bucket, row: ObjectRow) -> bool:
    """Whether a version's state is never over, for no job is there: which is so of none, whatever happens."""
    return (
        STATE in row.about
        and tx.one("SELECT 1 FROM store_jobs WHERE id = ?", (_job_id(bucket, row),)) is None
    )


def restorer(store: Store, buckets: Buckets, objects: Objects, announcer: Announcer) -> Callable[[Job], None]:
    """The handler of RESTORE."""

    def work(tx: Tx, job: Job) -> None:
        job.finish(tx)
        payload, now = job.payload, job.clock.now()
        bucket = buckets.load(tx, payload["bucket"])
        if bucket is None or bucket.id != payload["id"]:
            return
        row = objects.at(tx, bucket, payload["key"], payload["version"])
        state = None if row is None else row.about.get(STATE)
        if row is None or state is None:
            return
        if now < (state.get("Until") or state["Due"]):
            plan(tx, bucket, row)
        elif "Until" in state:
            about = {name: value for name, value in row.about.items() if name != STATE}
            changed = objects.describe(tx, bucket, row, about)
            restored(announcer, tx, buckets, bucket, changed, now, over=True)
        else:
            changed = _keep(tx, objects, bucket, row, {"Until": due(now, state["Days"])})
            restored(announcer, tx, buckets, bucket, changed, now)

    return lambda job: store.write(lambda tx: work(tx, job))
