"""AssumeRoot: a session of a member account's root user, for one privileged task.

Source: "AssumeRoot", "Perform a privileged task on an AWS Organizations member account".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from casemate.api import sts
from casemate.engine.session_token import Session, new_access_key_id, new_secret
from casemate.gate.call import Call
from casemate.gate.organization import Oversight
from casemate.gate.resource import Resource, Value
from casemate.services.sts.issue import denied, invalid, issue
from casemate.services.sts.quotas import REQUESTS

_LONGEST = 900
_TARGET = re.compile(r"(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?", re.ASCII)
_SERVICE = "iam.amazonaws.com"

# Which feature of the organisation each task needs.
_TASKS: Mapping[str, str] = {
    f"arn:aws:iam::aws:policy/root-task/{name}": feature
    for name, feature in (
        ("IAMAuditRootUserCredentials", "RootCredentialsManagement"),
        ("IAMCreateRootUserPassword", "RootCredentialsManagement"),
        ("IAMDeleteRootUserCredentials", "RootCredentialsManagement"),
        ("S3UnlockBucketPolicy", "RootSessions"),
        ("SQSUnlockQueuePolicy", "RootSessions"),
    )
}


class RootUser(Resource):
    """A member account's root user, whose sessions are for the caller's own policies to allow. member: the account's
    id."""

    __slots__ = ("member",)

    member: str

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return request["TaskPolicyArn"].get("arn") if key == "sts:taskpolicyarn" else None


def root_user(call: Call, request: Mapping[str, Any]) -> RootUser:
    """TargetPrincipal: an account's id, or its root user's ARN. Raises ValidationError."""
    found = _TARGET.fullmatch(request["TargetPrincipal"])
    if found is None:
        raise invalid(f"{request['TargetPrincipal']} is no account's root user.")
    target = RootUser(f"arn:aws:iam::{found[1]}:root", call.account, type="AWS::IAM::Root")
    target.member = found[1]
    return target


def _organization(call: Call, member: str) -> Oversight:
    """The organisation, if the caller's account administers it and the other is a member. One refusal for all else:
    whoever may not is not to learn who is in which organisation."""
    found = call.gate.organizations.oversight(member, call.tx)
    if found is None or member == found.management or not found.administered_by(call.account, _SERVICE):
        raise denied(f"The account {call.account} may not assume the root user of {member}.")
    return found


@sts.AssumeRoot.reads(root_user, quota=REQUESTS, recorded=True)
def assume_root(call: Call, req: sts.AssumeRootRequest, target: RootUser) -> sts.AssumeRootResponse:
    """Temporary credentials of a member's root user, for 15 minutes at most and one kind of task."""
    if call.identity.principal.is_root:
        raise denied("Root users may not assume root users.")
    task = req["TaskPolicyArn"].get("arn", "")
    feature = _TASKS.get(task)
    if feature is None:
        raise invalid(f"{task} is no task policy.")
    seconds = req.get("DurationSeconds", _LONGEST)
    if not 0 < seconds <= _LONGEST:
        raise invalid(f"DurationSeconds must be from 1 to {_LONGEST}.")
    organization = _organization(call, target.member)
    if feature not in call.gate.directory.root_features(call.tx, organization):
        raise denied(f"{feature} is not enabled in the organization.")
    before = call.identity.session
    now = int(call.now)
    session = Session(
        access_key_id=new_access_key_id(target.member),
        secret=new_secret(),
        kind="root",
        account=target.member,
        name="",
        id="",
        issued=now,
        expires=now + seconds,
        policy_arns=(task,),
        source_identity="" if before is None else before.source_identity,
    )
    issued = issue(call, session, req.get("MinimumSessionTokenSize", 0))
    response: sts.AssumeRootResponse = {
        "Credentials": issued.credentials,
        "SessionTokenSize": issued.size,
        "SessionTokenUtilization": issued.used,
    }
    if session.source_identity:
        response["SourceIdentity"] = session.source_identity
    return response
