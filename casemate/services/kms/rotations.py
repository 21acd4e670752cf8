"""EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from casemate.api import kms
from casemate.engine.keys.specs import SYMMETRIC_DEFAULT
from casemate.errors import AwsError
from casemate.gate.audit import service_event
from casemate.gate.call import Call
from casemate.services.kms.announcements import ROTATION, teller
from casemate.services.kms.deletion import DAY
from casemate.services.kms.key import PENDING_DELETION, PENDING_REPLICA_DELETION, Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.pages import Page
from casemate.services.kms.quotas import ROTATIONS_PER_KEY
from casemate.services.kms.refusals import limit_exceeded, unsupported
from casemate.services.kms.rotation import (
    ON_DEMAND,
    PENDING_ROTATION,
    Rotated,
    rotate,
    set_rotation,
)
from casemate.services.kms.rows import MaterialRow
from casemate.services.kms.targets import key_by_id, own_key

PERIOD = 365
"""Days between rotations unless the request says otherwise."""


def _must_rotate(key: Key, *, imported: bool) -> None:
    """Raises UnsupportedOperationException for a kind of key that has one material for ever. imported: whether
    imported material may be rotated as well."""
    row = key.row
    if row.key_spec != SYMMETRIC_DEFAULT:
        raise unsupported(f"{key.arn} key spec is {row.key_spec} which is not valid for this operation.")
    if row.origin != "AWS_KMS" and not (imported and row.origin == "EXTERNAL"):
        raise unsupported(f"{key.arn} origin is {row.origin} which is not valid for this operation.")


def _must_be_changeable(key: Key, *, imported: bool = False) -> None:
    _must_rotate(key, imported=imported)
    key.must_not_be_pending_deletion()
    key.must_not_be_pending_import()
    key.must_be_enabled()
    if key.row.is_replica:
        raise unsupported(f"{key.arn} is a multi-Region replica key, which rotates with its primary key.")


@kms.EnableKeyRotation.writes(own_key)
def enable_key_rotation(
    call: Call, req: kms.EnableKeyRotationRequest, key: Key
) -> kms.EnableKeyRotationResponse:
    """Rotate a symmetric key every 90 to 2 560 days, a year unless it is said; another period counts from now on."""
    _must_be_changeable(key)
    period = req.get("RotationPeriodInDays", PERIOD)
    if period != key.row.rotation_period:
        set_rotation(call.part(Keys), call.tx, key.row, period, call.now + period * DAY)
    return {}


@kms.DisableKeyRotation.writes(own_key)
def disable_key_rotation(
    call: Call, req: kms.DisableKeyRotationRequest, key: Key
) -> kms.DisableKeyRotationResponse:
    """Rotate a key no more by itself."""
    _must_be_changeable(key)
    set_rotation(call.part(Keys), call.tx, key.row, 0, None)
    return {}


@kms.GetKeyRotationStatus.reads(key_by_id)
def get_key_rotation_status(
    call: Call, req: kms.GetKeyRotationStatusRequest, key: Key
) -> kms.GetKeyRotationStatusResponse:
    """Whether, how often and when next a key rotates by itself. It does not while it is to be deleted."""
    _must_rotate(key, imported=True)
    row = key.row
    enabled = row.next_rotation is not None and row.state not in (PENDING_DELETION, PENDING_REPLICA_DELETION)
    shown: kms.GetKeyRotationStatusResponse = {"KeyId": key.arn, "KeyRotationEnabled": enabled}
    if enabled and row.next_rotation is not None:
        shown["RotationPeriodInDays"] = row.rotation_period
        shown["NextRotationDate"] = datetime.fromtimestamp(row.next_rotation, UTC)
    return shown


@kms.RotateKeyOnDemand.writes(own_key)
def rotate_key_on_demand(
    call: Call, req: kms.RotateKeyOnDemandRequest, key: Key
) -> kms.RotateKeyOnDemandResponse:
    """Rotate a key now, at most 25 times in its life; its automatic rotation goes on as it was."""
    _must_be_changeable(key, imported=True)
    if sum(each.rotation == ON_DEMAND for each in key.materials) >= call.limit(ROTATIONS_PER_KEY):
        raise limit_exceeded(f"You have reached the maximum number of on-demand rotations for {key.arn}.")
    if key.row.origin == "EXTERNAL" and not any(each.state == PENDING_ROTATION for each in key.materials):
        raise AwsError(
            "KMSInvalidStateException", f"{key.arn} has no imported key material that is pending rotation."
        )
    rotated = rotate(call.part(Keys), call.tx, key, call.now, ON_DEMAND)
    call.records = [*call.records, *(_event(call, each) for each in rotated)]
    tell = teller(call.gate)
    for each in rotated:
        tell(call.tx, ROTATION, each.key)
    return {"KeyId": key.arn}


def _event(call: Call, done: Rotated) -> bytes:
    key = done.key
    return service_event(
        "kms.amazonaws.com", "RotateKey", key.account, key.row.region, call.now, key, done.details()
    )


@kms.ListKeyRotations.reads(own_key)
def list_key_rotations(
    call: Call, req: kms.ListKeyRotationsRequest, key: Key
) -> kms.ListKeyRotationsResponse:
    """The rotations that were done, first to last; with ALL_KEY_MATERIAL also the first material and what was
    imported and waits for its rotation."""
    _must_rotate(key, imported=True)
    page = Page("ListKeyRotations", req, default=100)
    everything = req.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL"
    after = int(page.after or 0)
    found = [
        each for each in key.materials if each.version > after and (everything or each.rotated is not None)
    ]
    shown, more = page.cut(found[: page.limit + 1], lambda each: str(each.version))
    return {"Rotations": [_entry(key, each) for each in shown], **more}  # type: ignore[typeddict-item]


def _entry(key: Key, row: MaterialRow) -> kms.RotationsListEntry:
    current = row.id == key.row.current_material
    shown: dict[str, Any] = {
        "KeyId": key.arn,
        "KeyMaterialId": row.id,
        "KeyMaterialState": row.state or ("CURRENT" if current else "NON_CURRENT"),
    }
    if row.rotated is not None:
        shown["RotationDate"] = datetime.fromtimestamp(row.rotated, UTC)
        shown["RotationType"] = row.rotation
    if key.row.origin == "EXTERNAL":
        shown["ImportState"] = "IMPORTED" if row.present else "PENDING_IMPORT"
        shown["ExpirationModel"] = (
            "KEY_MATERIAL_DOES_NOT_EXPIRE" if row.valid_to is None else "KEY_MATERIAL_EXPIRES"
        )
        if row.valid_to is not None:
            shown["ValidTo"] = datetime.fromtimestamp(row.valid_to, UTC)
        if row.description:
            shown["KeyMaterialDescription"] = row.description
    return shown  # type: ignore[return-value]  # the row's strings are the model's enumerations
