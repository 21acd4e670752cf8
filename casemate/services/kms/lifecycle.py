"""CreateKey, DescribeKey, ListKeys, UpdateKeyDescription, EnableKey, DisableKey, ScheduleKeyDeletion,
CancelKeyDeletion."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from casemate.api import kms
from casemate.engine.keys import SPECS
from casemate.engine.keys.specs import ENCRYPT_DECRYPT, SYMMETRIC_DEFAULT
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.kms import deletion
from casemate.services.kms.billing import end_charging, resume_charging
from casemate.services.kms.created_elsewhere import place_for, wanted_elsewhere
from casemate.services.kms.elsewhere import metadata
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import (
    DISABLED,
    ENABLED,
    PENDING_DELETION,
    PENDING_IMPORT,
    PENDING_REPLICA_DELETION,
    Key,
)
from casemate.services.kms.key_policies import accepted_or_usual
from casemate.services.kms.key_tags import merged
from casemate.services.kms.keys import Keys
from casemate.services.kms.naming import key_arn
from casemate.services.kms.pages import Page
from casemate.services.kms.private_keys import generated
from casemate.services.kms.quotas import KEYS, must_be_within
from casemate.services.kms.refusals import internal, invalid, unsupported
from casemate.services.kms.rotation import resume_rotation
from casemate.services.kms.targets import (
    AccountWide,
    NewKey,
    account_wide,
    named_key,
    new_key,
    own_key,
)

SHORTEST_WINDOW, LONGEST_WINDOW = 7, 30
"""Days for which a key's deletion may be put off. Source: "ScheduleKeyDeletion"."""


def _kind(req: Mapping[str, Any]) -> tuple[str, str]:
    """The key spec and the key usage that are wanted. Raises ValidationException, UnsupportedOperationException."""
    if "KeySpec" in req and "CustomerMasterKeySpec" in req:
        raise invalid(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. "
            "CustomerMasterKeySpec is deprecated."
        )
    name: str = req.get("KeySpec", req.get("CustomerMasterKeySpec", SYMMETRIC_DEFAULT))
    spec = SPECS[name]
    usage: str | None = req.get("KeyUsage", ENCRYPT_DECRYPT if name == SYMMETRIC_DEFAULT else None)
    if usage is None:
        raise invalid(
            "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
        )
    if usage not in spec.algorithms:
        raise invalid(f"KeyUsage {usage} is not compatible with KeySpec {name}.")
    if not spec.available:
        raise unsupported(f"KeySpec {name} is not supported.")
    return name, usage


def description_in(req: Mapping[str, Any]) -> str:
    """The request's Description. Raises ValidationException."""
    text: str = req.get("Description", "")
    # PostgreSQL stores no U+0000 in text, so neither database is given any.
    if "\0" in text:
        raise invalid("Description contains an invalid character.")
    return text


@kms.CreateKey.writes(new_key, Need("kms:CreateKey"), Need("kms:TagResource", lambda target: target.tagged))
def create_key(call: Call, req: kms.CreateKeyRequest, target: NewKey) -> kms.CreateKeyResponse:
    """A new key in the caller's account, with a random id and random material."""
    spec, usage = _kind(req)
    keys = call.part(Keys)
    must_be_within(call, KEYS, keys.count(call.tx, call.account, call.region) + 1, "keys")
    apart = wanted_elsewhere(req, spec)
    if apart:
        # What is made in an HSM is called by the key's id, which does not change when the request starts again.
        key_id = call.before("id of the key", lambda: str(uuid4()))
    else:
        key_id = f"mrk-{uuid4().hex}" if req.get("MultiRegion") else str(uuid4())
    put = accepted_or_usual(call, req, target, call.account, call.region, key_id)
    description, tags = description_in(req), merged({}, req.get("Tags", []))
    origin = req.get("Origin", "AWS_KMS")
    key = keys.create(
        call.tx,
        call.account,
        call.region,
        call.now,
        key_id=key_id,
        key_spec=spec,
        key_usage=usage,
        origin=origin,
        policy=put.policy,
        principals=put.principals,
        description=description,
        tags=tags,
        **(place_for(call, req, key_id) if apart else {}),
        **({"material": generated(call, spec)} if origin == "AWS_KMS" else {}),
    )
    if key is None:
        # 122 random bits have come twice: rather no key than somebody else's.
        raise internal()
    call.resources = (*call.resources, key)
    return {"KeyMetadata": metadata(call, key)}


@kms.DescribeKey.reads(named_key)
def describe_key(call: Call, req: kms.DescribeKeyRequest, key: Key) -> kms.DescribeKeyResponse:
    """What there is to know of a key but for its policy, its tags and its material."""
    check_tokens(call, req)
    return {"KeyMetadata": metadata(call, key)}


@kms.ListKeys.reads(account_wide)
def list_keys(call: Call, req: kms.ListKeysRequest, account: AccountWide) -> kms.ListKeysResponse:
    """The account's keys in the Region, by id, whoever may use them."""
    page = Page("ListKeys", req, default=100)
    # No account shares keys by Resource Access Manager here, so only a caller's own can be listed.
    owners = req.get("ResourceOwners", ["SELF"])
    rows = []
    if "SELF" in owners:
        rows = call.tx.all(
            "SELECT id FROM kms_keys WHERE account = ? AND region = ? AND id > ? ORDER BY id LIMIT ?",
            (call.account, call.region, page.after, page.limit + 1),
        )
    ids: list[str]
    ids, more = page.cut([key_id for (key_id,) in rows], str)
    entries: list[kms.KeyListEntry] = [
        {"KeyId": key_id, "KeyArn": key_arn(call.account, call.region, key_id)} for key_id in ids
    ]
    return {"Keys": entries, **more}  # type: ignore[typeddict-item]


@kms.UpdateKeyDescription.writes(own_key)
def update_key_description(
    call: Call, req: kms.UpdateKeyDescriptionRequest, key: Key
) -> kms.UpdateKeyDescriptionResponse:
    """Replace the description."""
    key.must_not_be_pending_deletion()
    call.part(Keys).save(call.tx, key.row._replace(description=description_in(req)))
    return {}


@kms.EnableKey.writes(own_key)
def enable_key(call: Call, req: kms.EnableKeyRequest, key: Key) -> kms.EnableKeyResponse:
    """Let a key be used again; a rotation that it missed is made up for."""
    key.must_not_be_pending_deletion()
    key.must_not_be_pending_import()
    if key.row.state != ENABLED:
        keys = call.part(Keys)
        keys.save(call.tx, key.row._replace(state=ENABLED))
        resume_rotation(keys, call.tx, key.row, call.now)
    return {}


@kms.DisableKey.writes(own_key)
def disable_key(call: Call, req: kms.DisableKeyRequest, key: Key) -> kms.DisableKeyResponse:
    """Keep a key from being used in cryptographic operations."""
    key.must_not_be_pending_deletion()
    key.must_not_be_pending_import()
    call.part(Keys).save(call.tx, key.row._replace(state=DISABLED))
    return {}


@kms.ScheduleKeyDeletion.writes(own_key)
def schedule_key_deletion(
    call: Call, req: kms.ScheduleKeyDeletionRequest, key: Key
) -> kms.ScheduleKeyDeletionResponse:
    """Delete a key in 7 to 30 days, until when it can be had back but not used; a primary key's days begin when its
    last replica is gone."""
    days = req.get("PendingWindowInDays", LONGEST_WINDOW)
    if not SHORTEST_WINDOW <= days <= LONGEST_WINDOW:
        raise invalid(f"PendingWindowInDays must be between {SHORTEST_WINDOW} and {LONGEST_WINDOW}")
    key.must_not_be_pending_deletion()
    shown: kms.ScheduleKeyDeletionResponse = {"KeyId": key.arn, "PendingWindowInDays": days}
    end_charging(call.tx, key.row, call.now, key.materials)
    if key.row.is_primary and len(key.regions) > 1:
        call.part(Keys).save(call.tx, key.row._replace(state=PENDING_REPLICA_DELETION, deletion_window=days))
        return {**shown, "KeyState": "PendingReplicaDeletion"}
    row = deletion.plan(call.tx, call.part(Keys), key.row, call.now, days)
    assert row.deletion_date is not None
    return {
        **shown,
        "KeyState": "PendingDeletion",
        "DeletionDate": datetime.fromtimestamp(row.deletion_date, UTC),
    }


@kms.CancelKeyDeletion.writes(own_key)
def cancel_key_deletion(
    call: Call, req: kms.CancelKeyDeletionRequest, key: Key
) -> kms.CancelKeyDeletionResponse:
    """Have a key back, disabled."""
    if key.row.state not in (PENDING_DELETION, PENDING_REPLICA_DELETION):
        raise AwsError("KMSInvalidStateException", f"{key.arn} is not pending deletion.")
    had_back = key.row._replace(
        state=PENDING_IMPORT if key.lacks_material else DISABLED, deletion_date=None, deletion_window=0
    )
    call.part(Keys).save(call.tx, had_back)
    deletion.call_off(call.tx, key.row)
    resume_charging(call.tx, key.row)
    return {"KeyId": key.arn}
