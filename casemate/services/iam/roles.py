"""CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole."""

from __future__ import annotations

from dataclasses import replace

from casemate.api import iam
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam.attachments import check_bare, check_changeable
from casemate.services.iam.boundaries import checked_boundary
from casemate.services.iam.entities import Link, Role, unique_id
from casemate.services.iam.making import make
from casemate.services.iam.pages import Page
from casemate.services.iam.refusals import conflict, invalid_input
from casemate.services.iam.shapes import role_shape
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.targets import NewTarget, Target, all_roles, named_role, new_role, when_tagged
from casemate.services.iam.trust import accepted_trust
from casemate.services.iam.uses import Uses, forget

_RESERVED = ("/aws-service-role/", "/aws-reserved/")


@iam.CreateRole.writes(new_role, Need("iam:CreateRole"), Need("iam:TagRole", when_tagged))
def create_role(call: Call, req: iam.CreateRoleRequest, target: NewTarget[Role]) -> iam.CreateRoleResponse:
    """A role that those may assume whom its trust policy names."""
    entities = call.part(Entities)
    path = req.get("Path", "/")
    if path.startswith(_RESERVED):
        raise invalid_input(f"Path {path} is reserved for roles of AWS.")
    trust = req["AssumeRolePolicyDocument"]
    role = Role(
        account=call.account,
        name=req["RoleName"],
        path=path,
        id=unique_id(Role.PREFIX),
        created=call.now,
        tags=merged({}, req.get("Tags", [])),
        boundary=checked_boundary(call, req.get("PermissionsBoundary", "")),
        trust=trust,
        trusted=accepted_trust(call, trust),
        description=req.get("Description", ""),
        longest=req.get("MaxSessionDuration", 3600),
    )
    make(call, role)
    return {"Role": role_shape(call.tx, entities, role, call.part(Uses))}


@iam.GetRole.reads(named_role)
def get_role(call: Call, req: iam.GetRoleRequest, target: Target[Role]) -> iam.GetRoleResponse:
    """A role with its trust policy and its last use."""
    return {"Role": role_shape(call.tx, call.part(Entities), target.entity, call.part(Uses))}


@iam.ListRoles.reads(all_roles)
def list_roles(call: Call, req: iam.ListRolesRequest, target: Resource) -> iam.ListRolesResponse:
    """The account's roles by name, those under a path."""
    page = Page(call, req)
    entities = call.part(Entities)
    found = entities.page(call.tx, Role, call.account, page.after, page.limit + 1, req.get("PathPrefix", "/"))
    roles, more = page.cut(found, lambda role: role.handle)
    return {"Roles": [role_shape(call.tx, entities, role) for role in roles], **more}  # type: ignore[typeddict-item]


@iam.UpdateRole.writes(named_role)
def update_role(call: Call, req: iam.UpdateRoleRequest, target: Target[Role]) -> iam.UpdateRoleResponse:
    """Another description or longest session; sessions under way keep their end."""
    role = target.entity
    if "MaxSessionDuration" in req:
        check_changeable(role)
    changed = replace(
        role,
        description=req.get("Description", role.description),
        longest=req.get("MaxSessionDuration", role.longest),
    )
    call.part(Entities).save(call.tx, changed)
    return {}


@iam.UpdateRoleDescription.writes(named_role)
def update_role_description(
    call: Call, req: iam.UpdateRoleDescriptionRequest, target: Target[Role]
) -> iam.UpdateRoleDescriptionResponse:
    """UpdateRole's predecessor."""
    entities = call.part(Entities)
    role = replace(target.entity, description=req["Description"])
    entities.save(call.tx, role)
    return {"Role": role_shape(call.tx, entities, role)}


@iam.UpdateAssumeRolePolicy.writes(named_role)
def update_assume_role_policy(
    call: Call, req: iam.UpdateAssumeRolePolicyRequest, target: Target[Role]
) -> iam.UpdateAssumeRolePolicyResponse:
    """Replace the trust policy."""
    check_changeable(target.entity)
    entities = call.part(Entities)
    trust = req["PolicyDocument"]
    trusted = accepted_trust(call, trust)
    entities.save(call.tx, replace(target.entity, trust=trust, trusted=trusted))
    return {}


@iam.DeleteRole.writes(named_role)
def delete_role(call: Call, req: iam.DeleteRoleRequest, target: Target[Role]) -> iam.DeleteRoleResponse:
    """Delete a role to which nothing belongs any more."""
    role = target.entity
    check_changeable(role)
    entities = call.part(Entities)
    if entities.count_referring(call.tx, call.account, Link("role", role.id)):
        raise conflict("Cannot delete entity, must remove roles from instance profile first.")
    check_bare(role)
    entities.remove(call.tx, role)
    forget(call.tx, role.id)
    return {}
