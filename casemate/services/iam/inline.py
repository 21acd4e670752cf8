"""Inline policies of users, groups and roles: Put*Policy, Get*Policy, Delete*Policy, List*Policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.iam.attachments import check_changeable
from casemate.services.iam.documents import accepted, shown, size
from casemate.services.iam.entities import Group, Principal, Role, User
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import INLINE_SIZE
from casemate.services.iam.refusals import no_such_entity
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, named_group, named_role, named_user


def _put(call: Call, request: Mapping[str, Any], holder: Principal) -> None:
    """Add a policy, or replace the one of that name."""
    check_changeable(holder)
    document: str = request["PolicyDocument"]
    accepted(document, "identity")
    inline = {**holder.inline, request["PolicyName"]: document}
    most = INLINE_SIZE[type(holder)]
    if size(inline.values()) > most:
        raise AwsError(
            "LimitExceeded", f"Maximum policy size of {most} bytes exceeded for {holder.KIND} {holder.name}"
        )
    call.part(Entities).save(call.tx, replace(holder, inline=inline))


def _get(request: Mapping[str, Any], holder: Principal) -> str:
    name: str = request["PolicyName"]
    if name not in holder.inline:
        raise no_such_entity(f"The {holder.KIND} policy with name {name} cannot be found.")
    return holder.inline[name]


def _delete(call: Call, request: Mapping[str, Any], holder: Principal) -> None:
    check_changeable(holder)
    _get(request, holder)
    kept = {name: document for name, document in holder.inline.items() if name != request["PolicyName"]}
    call.part(Entities).save(call.tx, replace(holder, inline=kept))


def _list(call: Call, request: Mapping[str, Any], holder: Principal) -> Any:
    names, more = Page(call, request).of(holder.inline, str)
    return {"PolicyNames": names, **more}


@iam.PutUserPolicy.writes(named_user)
def put_user_policy(
    call: Call, req: iam.PutUserPolicyRequest, target: Target[User]
) -> iam.PutUserPolicyResponse:
    """Add an inline policy to a user, or replace the one of that name."""
    _put(call, req, target.entity)
    return {}


@iam.GetUserPolicy.reads(named_user)
def get_user_policy(
    call: Call, req: iam.GetUserPolicyRequest, target: Target[User]
) -> iam.GetUserPolicyResponse:
    """An inline policy's document."""
    user = target.entity
    document = shown(_get(req, user))
    return {"UserName": user.name, "PolicyName": req["PolicyName"], "PolicyDocument": document}


@iam.DeleteUserPolicy.writes(named_user)
def delete_user_policy(
    call: Call, req: iam.DeleteUserPolicyRequest, target: Target[User]
) -> iam.DeleteUserPolicyResponse:
    """Remove an inline policy."""
    _delete(call, req, target.entity)
    return {}


@iam.ListUserPolicies.reads(named_user)
def list_user_policies(
    call: Call, req: iam.ListUserPoliciesRequest, target: Target[User]
) -> iam.ListUserPoliciesResponse:
    """The names of a user's inline policies."""
    found: iam.ListUserPoliciesResponse = _list(call, req, target.entity)
    return found


@iam.PutGroupPolicy.writes(named_group)
def put_group_policy(
    call: Call, req: iam.PutGroupPolicyRequest, target: Target[Group]
) -> iam.PutGroupPolicyResponse:
    """Add an inline policy to a group, or replace the one of that name."""
    _put(call, req, target.entity)
    return {}


@iam.GetGroupPolicy.reads(named_group)
def get_group_policy(
    call: Call, req: iam.GetGroupPolicyRequest, target: Target[Group]
) -> iam.GetGroupPolicyResponse:
    """An inline policy's document."""
    group = target.entity
    document = shown(_get(req, group))
    return {"GroupName": group.name, "PolicyName": req["PolicyName"], "PolicyDocument": document}


@iam.DeleteGroupPolicy.writes(named_group)
def delete_group_policy(
    call: Call, req: iam.DeleteGroupPolicyRequest, target: Target[Group]
) -> iam.DeleteGroupPolicyResponse:
    """Remove an inline policy."""
    _delete(call, req, target.entity)
    return {}


@iam.ListGroupPolicies.reads(named_group)
def list_group_policies(
    call: Call, req: iam.ListGroupPoliciesRequest, target: Target[Group]
) -> iam.ListGroupPoliciesResponse:
    """The names of a group's inline policies."""
    found: iam.ListGroupPoliciesResponse = _list(call, req, target.entity)
    return found


@iam.PutRolePolicy.writes(named_role)
def put_role_policy(
    call: Call, req: iam.PutRolePolicyRequest, target: Target[Role]
) -> iam.PutRolePolicyResponse:
    """Add an inline policy to a role, or replace the one of that name."""
    _put(call, req, target.entity)
    return {}


@iam.GetRolePolicy.reads(named_role)
def get_role_policy(
    call: Call, req: iam.GetRolePolicyRequest, target: Target[Role]
) -> iam.GetRolePolicyResponse:
    """An inline policy's document."""
    role = target.entity
    document = shown(_get(req, role))
    return {"RoleName": role.name, "PolicyName": req["PolicyName"], "PolicyDocument": document}


@iam.DeleteRolePolicy.writes(named_role)
def delete_role_policy(
    call: Call, req: iam.DeleteRolePolicyRequest, target: Target[Role]
) -> iam.DeleteRolePolicyResponse:
    """Remove an inline policy."""
    _delete(call, req, target.entity)
    return {}


@iam.ListRolePolicies.reads(named_role)
def list_role_policies(
    call: Call, req: iam.ListRolePoliciesRequest, target: Target[Role]
) -> iam.ListRolePoliciesResponse:
    """The names of a role's inline policies."""
    found: iam.ListRolePoliciesResponse = _list(call, req, target.entity)
    return found
