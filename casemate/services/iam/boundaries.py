"""Permissions boundaries of users and roles: Put*PermissionsBoundary, Delete*PermissionsBoundary.

Source: "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

from dataclasses import replace

from casemate.api import iam
from casemate.gate.call import Call
from casemate.services.iam.entities import Role, User
from casemate.services.iam.refusals import no_such_entity, unmodifiable
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, named_role, named_user, policy_exists


def checked_boundary(call: Call, arn: str) -> str:
    """The ARN of a managed policy that may be a boundary; '' for none. Raises NoSuchEntity, InvalidInput."""
    if arn and not policy_exists(call, arn):
        raise no_such_entity(f"Scope ARN: {arn} does not exist or is not attachable.")
    return arn


@iam.PutUserPermissionsBoundary.writes(named_user)
def put_user_permissions_boundary(
    call: Call, req: iam.PutUserPermissionsBoundaryRequest, target: Target[User]
) -> iam.PutUserPermissionsBoundaryResponse:
    """Limit what a user's policies can allow."""
    boundary = checked_boundary(call, req["PermissionsBoundary"])
    call.part(Entities).save(call.tx, replace(target.entity, boundary=boundary))
    return {}


@iam.DeleteUserPermissionsBoundary.writes(named_user)
def delete_user_permissions_boundary(
    call: Call, req: iam.DeleteUserPermissionsBoundaryRequest, target: Target[User]
) -> iam.DeleteUserPermissionsBoundaryResponse:
    """Lift the limit; none there is no error."""
    call.part(Entities).save(call.tx, replace(target.entity, boundary=""))
    return {}


@iam.PutRolePermissionsBoundary.writes(named_role)
def put_role_permissions_boundary(
    call: Call, req: iam.PutRolePermissionsBoundaryRequest, target: Target[Role]
) -> iam.PutRolePermissionsBoundaryResponse:
    """Limit what a role's policies can allow."""
    _save(call, target.entity, checked_boundary(call, req["PermissionsBoundary"]))
    return {}


@iam.DeleteRolePermissionsBoundary.writes(named_role)
def delete_role_permissions_boundary(
    call: Call, req: iam.DeleteRolePermissionsBoundaryRequest, target: Target[Role]
) -> iam.DeleteRolePermissionsBoundaryResponse:
    """Lift the limit; none there is no error."""
    _save(call, target.entity, "")
    return {}


def _save(call: Call, role: Role, boundary: str) -> None:
    if role.service_linked:
        raise unmodifiable(role)
    call.part(Entities).save(call.tx, replace(role, boundary=boundary))
