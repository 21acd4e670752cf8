"""CreateLoginProfile, GetLoginProfile, UpdateLoginProfile, DeleteLoginProfile, ChangePassword.

A password is kept as what it can be checked against. That is slow to make, on purpose, and comes before the
transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any

from casemate.api import iam
from casemate.engine import passwords
from casemate.engine.policy import parse
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.iam.entities import LoginProfile, User, unique_id
from casemate.services.iam.password_policy import lacks, policy_of, reused
from casemate.services.iam.refusals import no_such_entity
from casemate.services.iam.shapes import when
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, by_name, own_user

_KEPT = 24
"""So many former passwords are kept, the most that a policy may forbid to use again."""


def _profile_of(call: Call, user: User) -> LoginProfile | None:
    return call.part(Entities).find(call.tx, LoginProfile, call.account, user.id)


def _profile(call: Call, user: User) -> LoginProfile:
    found = _profile_of(call, user)
    if found is None:
        raise no_such_entity(f"Login Profile for User {_name(user)} cannot be found.")
    return found


def _name(user: User) -> str:
    """The root user's too, who has none."""
    return user.name or "root"


def _violation(text: str) -> AwsError:
    return AwsError("PasswordPolicyViolation", text)


def _accepted(call: Call, password: str, profile: LoginProfile | None) -> str:
    """A new password's verifier. Raises PasswordPolicyViolation."""
    policy = policy_of(call.part(Entities), call.tx, call.account)
    problem = lacks(policy, call.account, password)
    if problem:
        raise _violation(problem)
    last = () if profile is None else (profile.verifier, *profile.former)
    if call.before(f"reuse {last}", lambda: reused(policy, password, last)):
        raise _violation("Password should not have been used before")
    return call.before("password", lambda: passwords.verifier(password))


def _changed(profile: LoginProfile, verifier: str, now: float) -> LoginProfile:
    former = [profile.verifier, *profile.former][:_KEPT]
    return replace(profile, verifier=verifier, former=former, changed=now)


def _shape(user: User, profile: LoginProfile) -> iam.LoginProfile:
    return {
        "UserName": _name(user),
        "CreateDate": when(profile.created),
        "PasswordResetRequired": profile.reset,
    }


@iam.CreateLoginProfile.writes(own_user)
def create_login_profile(
    call: Call, req: iam.CreateLoginProfileRequest, target: Target[User]
) -> iam.CreateLoginProfileResponse:
    """Give a user a password; the root user one to be recovered, which nobody knows."""
    user = target.entity
    if _profile_of(call, user) is not None:
        raise AwsError("EntityAlreadyExists", f"Login Profile for user {_name(user)} already exists.")
    if "Password" not in req and user.name:
        raise AwsError("ValidationError", "Password is required.")
    password = req.get("Password") or call.before("unknown password", lambda: f"Aa1-{token_urlsafe(32)}")
    profile = LoginProfile(
        account=call.account,
        name=user.id,
        id=unique_id(LoginProfile.PREFIX),
        created=call.now,
        verifier=_accepted(call, password, None),
        changed=call.now,
        reset=req.get("PasswordResetRequired", False),
    )
    call.part(Entities).add(call.tx, profile)
    return {"LoginProfile": _shape(user, profile)}


@iam.GetLoginProfile.reads(own_user)
def get_login_profile(
    call: Call, req: iam.GetLoginProfileRequest, target: Target[User]
) -> iam.GetLoginProfileResponse:
    """Since when a user has a password, and whether it must be changed."""
    user = target.entity
    return {"LoginProfile": _shape(user, _profile(call, user))}


@iam.UpdateLoginProfile.writes(own_user)
def update_login_profile(
    call: Call, req: iam.UpdateLoginProfileRequest, target: Target[User]
) -> iam.UpdateLoginProfileResponse:
    """Another password for a user, or that they must change it."""
    profile = _profile(call, target.entity)
    if "Password" in req:
        profile = _changed(profile, _accepted(call, req["Password"], profile), call.now)
    reset = req.get("PasswordResetRequired", profile.reset)
    call.part(Entities).save(call.tx, replace(profile, reset=reset))
    return {}


@iam.DeleteLoginProfile.writes(own_user)
def delete_login_profile(
    call: Call, req: iam.DeleteLoginProfileRequest, target: Target[User]
) -> iam.DeleteLoginProfileResponse:
    """Take a user's password away."""
    call.part(Entities).remove(call.tx, _profile(call, target.entity))
    return {}


def themselves(call: Call, request: Mapping[str, Any]) -> Target[User]:
    """The user who calls, whom the account's password policy may let change their password without more.

    Raises InvalidUserType for whoever is no user.
    """
    principal = call.identity.principal
    if principal.kind != "user":
        raise AwsError("InvalidUserType", "Only IAM Users can change their own password", 400)
    target = by_name(call, User, principal.arn.rpartition("/")[2])
    policy = policy_of(call.part(Entities), call.tx, call.account)
    if policy is not None and policy.own_change:
        target.policy = parse(_own_change(principal.arn), "resource")
    return target


def _own_change(arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": arn},
        "Action": "iam:ChangePassword",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@iam.ChangePassword.writes(themselves)
def change_password(
    call: Call, req: iam.ChangePasswordRequest, target: Target[User]
) -> iam.ChangePasswordResponse:
    """Another password for whoever knows the present one."""
    profile = _profile(call, target.entity)
    verifier = profile.verifier
    if not call.before(f"old {verifier}", lambda: passwords.fits(req["OldPassword"], verifier)):
        raise AwsError("AccessDenied", "The old password was incorrect.", 403)
    accepted = _accepted(call, req["NewPassword"], profile)
    call.part(Entities).save(call.tx, replace(_changed(profile, accepted, call.now), reset=False))
    return {}
