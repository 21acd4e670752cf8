"""Managed policies attached to users, groups and roles: Attach*Policy, Detach*Policy, ListAttached*Policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.iam.entities import Group, ManagedPolicy, Principal, Role, User
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import ATTACHED, check
from casemate.services.iam.refusals import absent, conflict, not_attachable, unmodifiable
from casemate.services.iam.shapes import attached_shapes
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, named_group, named_role, named_user, policy_exists


def check_changeable(holder: Principal) -> None:
    """Raises UnmodifiableEntity for a service-linked role, which is its service's to change."""
    if isinstance(holder, Role) and holder.service_linked:
        raise unmodifiable(holder)


def check_bare(holder: Principal) -> None:
    """Raises DeleteConflict for what still has policies."""
    if holder.attached:
        raise conflict("Cannot delete entity, must detach all policies first.")
    if holder.inline:
        raise conflict("Cannot delete entity, must delete policies first.")


def _attach(call: Call, holder: Principal, arn: str) -> None:
    check_changeable(holder)
    if not policy_exists(call, arn):
        raise not_attachable(arn)
    if ":policy/aws-service-role/" in arn:
        raise AwsError("PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role.")
    if arn in holder.attached:
        return
    check(call, ATTACHED[type(holder)], len(holder.attached))
    call.part(Entities).save(call.tx, replace(holder, attached=[*holder.attached, arn]))


def _detach(call: Call, holder: Principal, arn: str) -> None:
    check_changeable(holder)
    if arn not in holder.attached:
        raise absent(ManagedPolicy, arn)
    call.part(Entities).save(
        call.tx, replace(holder, attached=[each for each in holder.attached if each != arn])
    )


def _list(call: Call, request: Mapping[str, Any], holder: Principal) -> Any:
    """By name, those under a path."""
    prefix = request.get("PathPrefix", "/")
    wanted = [arn for arn in holder.attached if path_of(arn).startswith(prefix)]
    arns, more = Page(call, request).of(wanted, place_of)
    return {"AttachedPolicies": attached_shapes(arns), **more}


def place_of(arn: str) -> str:
    """A managed policy's place in lists: by name, then whose it is."""
    return f"{arn.rpartition('/')[2].lower()} {arn.split(':', 5)[4]}"


def path_of(arn: str) -> str:
    """A managed policy's path: arn:aws:iam::aws:policy/job-function/ViewOnlyAccess has /job-function/."""
    return arn[arn.index("/") : arn.rindex("/") + 1]


@iam.AttachUserPolicy.writes(named_user)
def attach_user_policy(
    call: Call, req: iam.AttachUserPolicyRequest, target: Target[User]
) -> iam.AttachUserPolicyResponse:
    """Attach a managed policy to a user; once more is no error."""
    _attach(call, target.entity, req["PolicyArn"])
    return {}


@iam.DetachUserPolicy.writes(named_user)
def detach_user_policy(
    call: Call, req: iam.DetachUserPolicyRequest, target: Target[User]
) -> iam.DetachUserPolicyResponse:
    """Take a managed policy from a user."""
    _detach(call, target.entity, req["PolicyArn"])
    return {}


@iam.ListAttachedUserPolicies.reads(named_user)
def list_attached_user_policies(
    call: Call, req: iam.ListAttachedUserPoliciesRequest, target: Target[User]
) -> iam.ListAttachedUserPoliciesResponse:
    """The managed policies of a user by name, those under a path."""
    found: iam.ListAttachedUserPoliciesResponse = _list(call, req, target.entity)
    return found


@iam.AttachGroupPolicy.writes(named_group)
def attach_group_policy(
    call: Call, req: iam.AttachGroupPolicyRequest, target: Target[Group]
) -> iam.AttachGroupPolicyResponse:
    """Attach a managed policy to a group; once more is no error."""
    _attach(call, target.entity, req["PolicyArn"])
    return {}


@iam.DetachGroupPolicy.writes(named_group)
def detach_group_policy(
    call: Call, req: iam.DetachGroupPolicyRequest, target: Target[Group]
) -> iam.DetachGroupPolicyResponse:
    """Take a managed policy from a group."""
    _detach(call, target.entity, req["PolicyArn"])
    return {}


@iam.ListAttachedGroupPolicies.reads(named_group)
def list_attached_group_policies(
    call: Call, req: iam.ListAttachedGroupPoliciesRequest, target: Target[Group]
) -> iam.ListAttachedGroupPoliciesResponse:
    """The managed policies of a group by name, those under a path."""
    found: iam.ListAttachedGroupPoliciesResponse = _list(call, req, target.entity)
    return found


@iam.AttachRolePolicy.writes(named_role)
def attach_role_policy(
    call: Call, req: iam.AttachRolePolicyRequest, target: Target[Role]
) -> iam.AttachRolePolicyResponse:
    """Attach a managed policy to a role; once more is no error."""
    _attach(call, target.entity, req["PolicyArn"])
    return {}


@iam.DetachRolePolicy.writes(named_role)
def detach_role_policy(
    call: Call, req: iam.DetachRolePolicyRequest, target: Target[Role]
) -> iam.DetachRolePolicyResponse:
    """Take a managed policy from a role."""
    _detach(call, target.entity, req["PolicyArn"])
    return {}


@iam.ListAttachedRolePolicies.reads(named_role)
def list_attached_role_policies(
    call: Call, req: iam.ListAttachedRolePoliciesRequest, target: Target[Role]
) -> iam.ListAttachedRolePoliciesResponse:
    """The managed policies of a role by name, those under a path."""
    found: iam.ListAttachedRolePoliciesResponse = _list(call, req, target.entity)
    return found
