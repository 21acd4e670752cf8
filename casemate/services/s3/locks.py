"""Object lock: what a version is protected by, and from what.

Lock of what is told of an object: Mode "GOVERNANCE" or "COMPLIANCE", Until in seconds since the epoch, Hold "ON".
Source: "Locking objects with Object Lock", "Object Lock considerations".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.errors import AwsError
from casemate.gate.authorise import decide
from casemate.services.s3.refusals import access_denied, invalid_argument, invalid_request
from casemate.services.s3.resources import Bucket, Object

if TYPE_CHECKING:
    from casemate.gate.call import Call

_PARAMETERS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
_DAY = 86_400


def check_guarded(request: Mapping[str, Any], guarded: bool) -> None:
    """A body that is to be locked must come with a digest. Raises AwsError."""
    if not guarded and any(name in request for name in _PARAMETERS):
        raise invalid_request(
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
            "parameters"
        )


def must_be_enabled(bucket: Bucket) -> None:
    """Raise for a bucket without object lock."""
    if bucket.object_lock is None:
        raise invalid_request("Bucket is missing Object Lock Configuration")


def lock_new(call: Call, bucket: Bucket, request: Mapping[str, Any], about: dict[str, Any]) -> None:
    """How a new version is locked: as the request says, or else as its bucket does. Raises AwsError."""
    lock: dict[str, Any] = {}
    mode, until = request.get("ObjectLockMode"), request.get("ObjectLockRetainUntilDate")
    hold = request.get("ObjectLockLegalHoldStatus")
    if mode is not None or until is not None or hold is not None:
        must_be_enabled(bucket)
    if (mode is None) != (until is None):
        raise invalid_argument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        )
    if mode is not None and until is not None:
        lock = {"Mode": mode, "Until": in_future(call, until)}
    elif bucket.object_lock is not None:
        lock = _default(call, bucket.object_lock)
    if hold == "ON":
        lock["Hold"] = "ON"
    if lock:
        about["Lock"] = lock


def in_future(call: Call, until: datetime) -> float:
    """A date until which something is to be retained, in seconds. Raises AwsError."""
    seconds = until.timestamp()
    if seconds <= call.now:
        raise invalid_argument("The retain until date must be in the future!")
    return seconds


def _default(call: Call, configuration: Mapping[str, Any]) -> dict[str, Any]:
    rule = configuration.get("Rule", {}).get("DefaultRetention")
    if not rule:
        return {}
    return {"Mode": rule["Mode"], "Until": _after(call.now, rule)}


def _after(now: float, rule: Mapping[str, Any]) -> float:
    if "Days" in rule:
        return now + float(rule["Days"] * _DAY)
    then = datetime.fromtimestamp(now, UTC)
    year = then.year + int(rule["Years"])
    try:
        return then.replace(year=year).timestamp()
    except ValueError:
        # The 29th of February.
        return then.replace(year=year, month=3, day=1).timestamp()


def protected() -> AwsError:
    return access_denied("Access Denied because object protected by object lock.")


def check_removal(call: Call, target: Object, about: Mapping[str, Any], bypass: bool) -> None:
    """Raise for a version that is not to be removed now. bypass: the request asks to pass over governance."""
    lock = about.get("Lock")
    if not lock:
        return
    if lock.get("Hold") == "ON":
        raise protected()
    if lock.get("Until", 0.0) > call.now and not (
        lock["Mode"] == "GOVERNANCE" and bypass and _may_bypass(call, target)
    ):
        raise protected()


def replicated(lock: Mapping[str, Any], there: Mapping[str, Any], now: float) -> dict[str, Any]:
    """How a replica is locked (so far: there) once its source is locked so: never for shorter, or less strictly."""
    made = dict(lock)
    until = there.get("Until", 0.0)
    weaker = lock.get("Until", 0.0) < until or (there.get("Mode"), lock.get("Mode")) == (
        "COMPLIANCE",
        "GOVERNANCE",
    )
    if until > now and weaker:
        made |= {"Mode": there["Mode"], "Until": until}
    if "Hold" in there and "Hold" not in lock:
        made["Hold"] = there["Hold"]
    return made


def is_locked(about: Mapping[str, Any], now: float) -> bool:
    """Whether a version is held, or retained as of now."""
    lock = about.get("Lock", {})
    return bool(lock.get("Hold") == "ON" or lock.get("Until", 0.0) > now)


def may_retain(
    call: Call, target: Object, lock: Mapping[str, Any], mode: str | None, until: float | None, bypass: bool
) -> bool:
    """Whether a version that is locked so may be retained so instead (None: no more): for longer always, less
    strictly where governance is passed over."""
    if lock.get("Until", 0.0) <= call.now:
        return True
    longer = until is not None and until >= lock["Until"]
    if lock["Mode"] == "COMPLIANCE":
        return longer and mode == "COMPLIANCE"
    return (longer and mode == lock["Mode"]) or (bypass and _may_bypass(call, target))


def _may_bypass(call: Call, target: Object) -> bool:
    return decide(call, "s3:BypassGovernanceRetention", target, {}).allowed


def shown(about: Mapping[str, Any]) -> dict[str, Any]:
    """What GetObject and HeadObject tell of it, to those who may know."""
    lock = about.get("Lock", {})
    answer: dict[str, Any] = {}
    if "Mode" in lock:
        answer["ObjectLockMode"] = lock["Mode"]
        answer["ObjectLockRetainUntilDate"] = datetime.fromtimestamp(lock["Until"], UTC)
    if "Hold" in lock:
        answer["ObjectLockLegalHoldStatus"] = lock["Hold"]
    return answer
