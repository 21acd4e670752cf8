"""What protects versions of objects: retention and legal holds, set and shown.

Source: "PutObjectRetention", "PutObjectLegalHold", "Locking objects with Object Lock".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.services.s3 import locks, replicating
from casemate.services.s3.digests import check_document
from casemate.services.s3.object_targets import NamedObject, named_object, readable
from casemate.services.s3.refusals import malformed_xml

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _none() -> AwsError:
    return AwsError(
        "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration", 404
    )


@s3.GetObjectRetention.reads(named_object)
def get_object_retention(
    call: Call, req: s3.GetObjectRetentionRequest, target: NamedObject
) -> s3.GetObjectRetentionOutput:
    """Until when a version is retained, and how strictly."""
    locks.must_be_enabled(target.bucket)
    shown = locks.shown(readable(call, target).about)
    if "ObjectLockMode" not in shown:
        raise _none()
    return {
        "Retention": {"Mode": shown["ObjectLockMode"], "RetainUntilDate": shown["ObjectLockRetainUntilDate"]}
    }


@s3.PutObjectRetention.writes(named_object)
def put_object_retention(
    call: Call, req: s3.PutObjectRetentionRequest, target: NamedObject
) -> s3.PutObjectRetentionOutput:
    """Retain a version until a date, for longer than it is; or, where governance allows it, differently."""
    check_document(call, required=True)
    locks.must_be_enabled(target.bucket)
    row = readable(call, target)
    wanted: Any = req.get("Retention", {})
    if wanted and not ("Mode" in wanted and "RetainUntilDate" in wanted):
        raise malformed_xml()
    lock = dict(row.about.get("Lock", {}))
    mode = wanted.get("Mode")
    until = locks.in_future(call, wanted["RetainUntilDate"]) if wanted else None
    if not locks.may_retain(call, target, lock, mode, until, bool(req.get("BypassGovernanceRetention"))):
        raise locks.protected()
    lock.pop("Mode", None)
    lock.pop("Until", None)
    if wanted:
        lock |= {"Mode": mode, "Until": until}
    replicating.change(call, target.bucket, row, _locked(row.about, lock))
    return {}


@s3.GetObjectLegalHold.reads(named_object)
def get_object_legal_hold(
    call: Call, req: s3.GetObjectLegalHoldRequest, target: NamedObject
) -> s3.GetObjectLegalHoldOutput:
    """Whether a version is held."""
    locks.must_be_enabled(target.bucket)
    lock = readable(call, target).about.get("Lock", {})
    if "Hold" not in lock:
        raise _none()
    return {"LegalHold": {"Status": lock["Hold"]}}


@s3.PutObjectLegalHold.writes(named_object)
def put_object_legal_hold(
    call: Call, req: s3.PutObjectLegalHoldRequest, target: NamedObject
) -> s3.PutObjectLegalHoldOutput:
    """Hold a version, or no more."""
    check_document(call, required=True)
    locks.must_be_enabled(target.bucket)
    row = readable(call, target)
    status = req.get("LegalHold", {}).get("Status")
    if status is None:
        raise malformed_xml()
    lock = {**row.about.get("Lock", {}), "Hold": status}
    replicating.change(call, target.bucket, row, _locked(row.about, lock))
    return {}


def _locked(about: Any, lock: dict[str, Any]) -> dict[str, Any]:
    changed = {**about, "Lock": lock}
    if not lock:
        del changed["Lock"]
    return changed
