"""CreateAccessKey, UpdateAccessKey, DeleteAccessKey, ListAccessKeys, GetAccessKeyLastUsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.iam import access_key_rows
from casemate.services.iam.access_key_rows import KeyRow
from casemate.services.iam.entities import User
from casemate.services.iam.identities import ACTIVE, INACTIVE, create_access_key, new_access_key
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import KEYS_OF_USER, check
from casemate.services.iam.refusals import invalid_input, no_such_entity
from casemate.services.iam.shapes import when
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, by_name, future, own_user
from casemate.services.iam.uses import Uses


def _absent(key_id: str) -> AwsError:
    return no_such_entity(f"The Access Key with id {key_id} cannot be found.")


def _owned(call: Call, target: Target[User], key_id: str) -> KeyRow:
    row = access_key_rows.with_id(call.tx, key_id)
    if row is None or (row.account, row.user) != (call.account, target.entity.name):
        raise _absent(key_id)
    return row


@iam.CreateAccessKey.writes(own_user)
def create_key(
    call: Call, req: iam.CreateAccessKeyRequest, target: Target[User]
) -> iam.CreateAccessKeyResponse:
    """A new access key; its secret is shown this once."""
    user = target.entity.name
    check(call, KEYS_OF_USER, len(access_key_rows.of_user(call.tx, call.account, user)))
    key = new_access_key()
    if not create_access_key(call.tx, call.part(Entities).keyring, call.account, user, call.now, key):
        # 80 random bits have come twice: rather no key than somebody else's.
        raise RuntimeError("an access key id was drawn twice")
    return {
        "AccessKey": {
            "UserName": user,
            "AccessKeyId": key.id,
            "Status": "Active",
            "SecretAccessKey": key.secret,
            "CreateDate": when(call.now),
        }
    }


@iam.UpdateAccessKey.writes(own_user)
def update_access_key(
    call: Call, req: iam.UpdateAccessKeyRequest, target: Target[User]
) -> iam.UpdateAccessKeyResponse:
    """Switch a key on or off, from the next request on."""
    if req["Status"] not in (ACTIVE, INACTIVE):
        raise invalid_input(f"Status {req['Status']} cannot be set.")
    row = _owned(call, target, req["AccessKeyId"])
    access_key_rows.switch(call.tx, call.part(Entities).keyring, row, req["Status"])
    return {}


@iam.DeleteAccessKey.writes(own_user)
def delete_access_key(
    call: Call, req: iam.DeleteAccessKeyRequest, target: Target[User]
) -> iam.DeleteAccessKeyResponse:
    """Delete a key; the next request by it is refused."""
    access_key_rows.delete(call.tx, _owned(call, target, req["AccessKeyId"]))
    return {}


@iam.ListAccessKeys.reads(own_user)
def list_access_keys(
    call: Call, req: iam.ListAccessKeysRequest, target: Target[User]
) -> iam.ListAccessKeysResponse:
    """A user's keys by id, without their secrets."""
    page = Page(call, req)
    rows, more = page.of(
        access_key_rows.of_user(call.tx, call.account, target.entity.name), lambda row: row.id
    )
    entries = [
        {
            "UserName": row.user,
            "AccessKeyId": row.id,
            "Status": row.status,
            "CreateDate": when(row.created),
        }
        for row in rows
    ]
    return {"AccessKeyMetadata": entries, **more}  # type: ignore[typeddict-item]


def _user_of_key(call: Call, request: Mapping[str, Any]) -> Target[User]:
    """The user whose key it is."""
    row = access_key_rows.with_id(call.tx, request["AccessKeyId"])
    if row is None or row.account != call.account:
        return future(User, call.account, "*", missing=_absent(request["AccessKeyId"]))
    if row.user:
        return by_name(call, User, row.user)
    target: Target[User] = Target(f"arn:aws:iam::{call.account}:root", call.account)
    target.found = None
    return target


@iam.GetAccessKeyLastUsed.reads(_user_of_key)
def get_access_key_last_used(
    call: Call, req: iam.GetAccessKeyLastUsedRequest, target: Target[User]
) -> iam.GetAccessKeyLastUsedResponse:
    """When, for which service and in which Region a key has signed a request that was understood."""
    use = call.part(Uses).last(call.tx, req["AccessKeyId"])
    name = "" if target.found is None else target.found.name
    if use is None:
        return {"UserName": name, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
    return {
        "UserName": name,
        "AccessKeyLastUsed": {
            "LastUsedDate": when(use.last),
            "ServiceName": use.service,
            "Region": use.region,
        },
    }
