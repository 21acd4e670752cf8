"""GetSessionToken and GetFederationToken: sessions of users themselves, and of those whom they vouch for.

Source: "GetSessionToken", "GetFederationToken", "Permissions for GetFederationToken".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from casemate.api import sts
from casemate.engine.session_token import Kind, Session, new_access_key_id, new_secret
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource, Value
from casemate.services.sts.issue import issue, long_term, second_factor, session_policies, session_tags
from casemate.services.sts.quotas import REQUESTS
from casemate.services.sts.request_keys import of_request

_USUAL = 43_200
_ROOT_MOST = 3_600


class FederatedUser(Resource):
    """The federated user that GetFederationToken makes. tagged: whether tags are passed."""

    __slots__ = ("tagged",)

    def __init__(self, name: str, account: str, tagged: bool) -> None:
        super().__init__(f"arn:aws:sts::{account}:federated-user/{name}", account)
        self.tagged = tagged

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


def themselves(call: Call, request: Mapping[str, Any]) -> None:
    """The caller, by long-term credentials."""
    long_term(call, "GetSessionToken")
    second_factor(call, request)


def federated_user(call: Call, request: Mapping[str, Any]) -> FederatedUser:
    """The federated user of that name, for a caller by long-term credentials."""
    long_term(call, "GetFederationToken")
    return FederatedUser(request["Name"], call.account, bool(request.get("Tags")))


@sts.GetSessionToken.reads(themselves, always_allowed=True, quota=REQUESTS, recorded=True)
def get_session_token(
    call: Call, req: sts.GetSessionTokenRequest, target: None
) -> sts.GetSessionTokenResponse:
    """Temporary credentials of the user who signs, for 12 hours (of the root user, for one) unless told otherwise."""
    kind: Kind = "root" if call.identity.principal.is_root else "user"
    issued = issue(call, _session(call, kind, req), req.get("MinimumSessionTokenSize", 0))
    return {
        "Credentials": issued.credentials,
        "SessionTokenSize": issued.size,
        "SessionTokenUtilization": issued.used,
    }


@sts.GetFederationToken.reads(
    federated_user,
    Need("sts:GetFederationToken"),
    Need("sts:TagSession", lambda target: target if target.tagged else None),
    quota=REQUESTS,
    recorded=True,
)
def get_federation_token(
    call: Call, req: sts.GetFederationTokenRequest, target: FederatedUser
) -> sts.GetFederationTokenResponse:
    """Temporary credentials of somebody whom the user who signs vouches for: what both the user and the session
    policies allow, for 12 hours (of the root user, for one) unless told otherwise."""
    policy, arns = session_policies(call, call.account, req)
    session = replace(
        _session(call, "federated-user", req),
        session=req["Name"],
        policy=policy,
        policy_arns=arns,
        tags=session_tags(req.get("Tags", ())),
    )
    issued = issue(call, session, req.get("MinimumSessionTokenSize", 0))
    response: sts.GetFederationTokenResponse = {
        "Credentials": issued.credentials,
        "FederatedUser": {"FederatedUserId": f"{call.account}:{req['Name']}", "Arn": target.arn},
        "SessionTokenSize": issued.size,
        "SessionTokenUtilization": issued.used,
    }
    if issued.packed is not None:
        response["PackedPolicySize"] = issued.packed
    return response


def _session(call: Call, kind: Kind, request: Mapping[str, Any]) -> Session:
    """A session of the caller's. The root user's last an hour at most, whatever was asked."""
    principal = call.identity.principal
    root = principal.is_root
    seconds = request.get("DurationSeconds", _USUAL)
    now = int(call.now)
    return Session(
        access_key_id=new_access_key_id(call.account),
        secret=new_secret(),
        kind=kind,
        account=call.account,
        name="" if root else principal.arn.rpartition("/")[2],
        id="" if root else principal.id,
        issued=now,
        expires=now + (min(seconds, _ROOT_MOST) if root else seconds),
        mfa=now if call.second_factor else None,
    )
