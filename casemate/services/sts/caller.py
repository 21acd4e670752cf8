"""GetCallerIdentity: what every client asks first; GetAccessKeyInfo: whose key it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import sts
from casemate.engine.session_token import account_of
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.sts.issue import invalid
from casemate.services.sts.quotas import REQUESTS


def nothing(call: Call, request: Mapping[str, Any]) -> None:
    """The operation acts on no resource."""


def any_resource(call: Call, request: Mapping[str, Any]) -> Resource:
    """The operation has a permission, but no resource."""
    return Resource("*", call.account)


@sts.GetCallerIdentity.reads(nothing, always_allowed=True, quota=REQUESTS)
def get_caller_identity(
    call: Call, req: sts.GetCallerIdentityRequest, target: None
) -> sts.GetCallerIdentityResponse:
    """Account, ARN and unique id of whoever signed. No permission is needed, nor can a policy deny it."""
    principal = call.identity.principal
    return {"UserId": principal.id, "Account": principal.account, "Arn": principal.arn}


@sts.GetAccessKeyInfo.reads(any_resource, quota=REQUESTS)
def get_access_key_info(
    call: Call, req: sts.GetAccessKeyInfoRequest, target: Resource
) -> sts.GetAccessKeyInfoResponse:
    """The account that an access key belongs to, whichever it is and whether or not the key is active."""
    key_id = req["AccessKeyId"]
    account = account_of(key_id)
    if account is None:
        credential = call.gate.directory.credential(key_id, call.transaction)
        account = None if credential is None else credential.identity.account
    if account is None:
        raise invalid("The access key ID does not exist.")
    return {"Account": account}
