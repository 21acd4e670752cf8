"""GetCallerIdentity: what every client asks first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import sts
from casemate.gate.call import Call


def nothing(call: Call, request: Mapping[str, Any]) -> None:
    """The operation acts on no resource."""


@sts.GetCallerIdentity.reads(nothing, always_allowed=True)
def get_caller_identity(
    call: Call, req: sts.GetCallerIdentityRequest, target: None
) -> sts.GetCallerIdentityResponse:
    """Account, ARN and unique id of whoever signed. No permission is needed, nor can a policy deny it."""
    principal = call.identity.principal
    return {"UserId": principal.id, "Account": principal.account, "Arn": principal.arn}
