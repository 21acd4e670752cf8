"""AssumeRole: a session of a role, for whom the role trusts.

Source: "AssumeRole", "Methods to assume a role", "Monitor and control actions taken with assumed roles".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import sts
from casemate.engine.session_token import Session, new_access_key_id, new_secret
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.identity import RoleEntry
from casemate.gate.operation import Need
from casemate.services.sts.assumable import NAMING, TAGGING, AssumableRole, find_role
from casemate.services.sts.issue import (
    denied,
    invalid,
    issue,
    second_factor,
    session_policies,
    session_tags,
    transitive_tags,
)
from casemate.services.sts.quotas import REQUESTS

USUAL = 3_600
_MOST_IN_CHAIN = 3_600


def role_to_assume(call: Call, request: Mapping[str, Any]) -> AssumableRole:
    """The role that RoleArn names, for a caller who may assume one at all."""
    kind = call.identity.principal.kind
    if kind == "root":
        raise denied("Roles may not be assumed by root accounts.")
    if kind == "federated-user":
        raise denied("Cannot call AssumeRole with federated user credentials")
    second_factor(call, request)
    target = find_role(call, request["RoleArn"], request)
    before = call.identity.session
    if before is not None:
        target.tagging = target.tagging or bool(before.transitive)
        target.naming = target.naming or bool(before.source_identity)
    return target


@sts.AssumeRole.reads(role_to_assume, Need("sts:AssumeRole"), TAGGING, NAMING, quota=REQUESTS, recorded=True)
def assume_role(call: Call, req: sts.AssumeRoleRequest, target: AssumableRole) -> sts.AssumeRoleResponse:
    """Temporary credentials of a role, for an hour unless told otherwise; what the session policies do not allow,
    they do not either. From a session that is one already, for an hour at most."""
    role = target.role
    if "ProvidedContexts" in req:
        raise AwsError("NotImplemented", "Trusted context assertions are not served by Casemate.", 501)
    before = call.identity.session
    seconds = req.get("DurationSeconds", USUAL)
    check_duration(seconds, role)
    if before is not None and seconds > _MOST_IN_CHAIN:
        raise invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    policy, arns = session_policies(call, role.account, req)
    tags, transitive = transitive_tags(
        call, session_tags(req.get("Tags", ())), req.get("TransitiveTagKeys", ())
    )
    session = role_session(
        role,
        int(call.now),
        seconds,
        session=req["RoleSessionName"],
        policy=policy,
        policy_arns=arns,
        tags=tags,
        transitive=transitive,
        source_identity=_source_identity(req.get("SourceIdentity", ""), before),
        mfa=int(call.now) if call.second_factor else None,
    )
    issued = issue(call, session, req.get("MinimumSessionTokenSize", 0))
    response: sts.AssumeRoleResponse = {
        "Credentials": issued.credentials,
        "AssumedRoleUser": assumed_role_user(session),
        "SessionTokenSize": issued.size,
        "SessionTokenUtilization": issued.used,
    }
    if issued.packed is not None:
        response["PackedPolicySize"] = issued.packed
    if session.source_identity:
        response["SourceIdentity"] = session.source_identity
    return response


def check_duration(seconds: int, role: RoleEntry) -> None:
    """Raises ValidationError for more than the role's sessions may last."""
    if seconds > role.longest:
        raise invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")


def role_session(role: RoleEntry, now: int, seconds: int, **more: Any) -> Session:
    """A new session of a role. more: further members of the session."""
    return Session(
        access_key_id=new_access_key_id(role.account),
        secret=new_secret(),
        kind="role",
        account=role.account,
        name=role.name,
        id=role.id,
        issued=now,
        expires=now + seconds,
        **more,
    )


def assumed_role_user(session: Session) -> sts.AssumedRoleUser:
    """The session as an answer names it."""
    return {
        "AssumedRoleId": f"{session.id}:{session.session}",
        "Arn": f"arn:aws:sts::{session.account}:assumed-role/{session.name}/{session.session}",
    }


def _source_identity(given: str, before: Session | None) -> str:
    """Who it was at first: once told, it stays for the whole chain."""
    known = "" if before is None else before.source_identity
    if known and given and given != known:
        raise denied("The source identity of the calling session cannot be changed.")
    return known or given
