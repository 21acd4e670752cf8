"""Units, and what stands under and above what."""

from __future__ import annotations

from typing import cast

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import limits, views
from casemate.services.organizations.model import ACCOUNT, UNIT, Node, Organization, new_id
from casemate.services.organizations.organizing import attached_at_first
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import constraint
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.tags import checked
from casemate.services.organizations.targets import (
    Access,
    Target,
    and_tags,
    asked,
    child_named,
    parent_named,
    unit_named,
)


def _must_be_free(call: Call, organization: Organization, parent: str, name: str) -> None:
    siblings = call.part(Organizations).nodes(call.tx, organization, UNIT, parent)
    if any(node.name == name for node in siblings):
        raise AwsError("DuplicateOrganizationalUnitException", "An OU with the same name already exists.")


@api.CreateOrganizationalUnit.writes(
    asked(Access.MANAGEMENT, parent_named), *and_tags("organizations:CreateOrganizationalUnit")
)
def create_organizational_unit(
    call: Call, req: api.CreateOrganizationalUnitRequest, target: Target
) -> api.CreateOrganizationalUnitResponse:
    """Make a unit under the root or another unit, five deep at most."""
    organizations = call.part(Organizations)
    organization, parent = target.organization, target.node
    assert parent is not None
    if len(organizations.branch(call.tx, organization, parent)) > limits.DEPTH:
        raise constraint("OU_DEPTH_LIMIT_EXCEEDED", "You have exceeded the allowed depth of the OU tree.")
    if len(organizations.nodes(call.tx, organization, UNIT)) >= limits.UNITS:
        raise constraint("OU_NUMBER_LIMIT_EXCEEDED", "You have exceeded the allowed number of OUs.")
    _must_be_free(call, organization, parent.id, req["Name"])
    node = Node(
        organization.id,
        new_id(f"ou-{organization.root[2:]}-", 8),
        UNIT,
        parent.id,
        req["Name"],
        attached_at_first(organization),
        checked(req.get("Tags", ())),
        "",
        call.now,
    )
    organizations.add_node(call.tx, organization, node)
    return {"OrganizationalUnit": views.unit(call, organization, node)}


@api.UpdateOrganizationalUnit.writes(asked(Access.MANAGEMENT, unit_named))
def update_organizational_unit(
    call: Call, req: api.UpdateOrganizationalUnitRequest, target: Target
) -> api.UpdateOrganizationalUnitResponse:
    """Rename a unit."""
    node = target.node
    assert node is not None
    name = req.get("Name", node.name)
    if name != node.name:
        _must_be_free(call, target.organization, node.parent, name)
        node = node._replace(name=name)
        call.part(Organizations).save_node(call.tx, target.organization, node)
    return {"OrganizationalUnit": views.unit(call, target.organization, node)}


@api.DescribeOrganizationalUnit.reads(asked(Access.READ, unit_named))
def describe_organizational_unit(
    call: Call,
    req: api.DescribeOrganizationalUnitRequest,
    target: Target,
) -> api.DescribeOrganizationalUnitResponse:
    """A unit's name, ARN and path."""
    assert target.node is not None
    return {"OrganizationalUnit": views.unit(call, target.organization, target.node)}


@api.DeleteOrganizationalUnit.writes(asked(Access.MANAGEMENT, unit_named))
def delete_organizational_unit(
    call: Call,
    req: api.DeleteOrganizationalUnitRequest,
    target: Target,
) -> api.DeleteOrganizationalUnitResponse:
    """Delete a unit that holds nothing."""
    organizations = call.part(Organizations)
    assert target.node is not None
    if organizations.nodes(call.tx, target.organization, parent=target.node.id):
        raise AwsError(
            "OrganizationalUnitNotEmptyException",
            "The specified OU is not empty. Move all accounts to another root or to other OUs, remove all child "
            "OUs, and try the operation again.",
        )
    organizations.remove_node(call.tx, target.node)
    return {}


def _under(call: Call, target: Target, kind: str) -> list[Node]:
    assert target.node is not None
    return call.part(Organizations).nodes(call.tx, target.organization, kind, target.node.id)


@api.ListOrganizationalUnitsForParent.reads(asked(Access.READ, parent_named))
def list_organizational_units_for_parent(
    call: Call, req: api.ListOrganizationalUnitsForParentRequest, target: Target
) -> api.ListOrganizationalUnitsForParentResponse:
    """The units right under the root or a unit."""
    shown, more = page(
        "ListOrganizationalUnitsForParent", req, _under(call, target, UNIT), lambda node: node.id
    )
    units = [views.unit(call, target.organization, node) for node in shown]
    return {"OrganizationalUnits": units, **more}  # type: ignore[typeddict-item]


@api.ListAccountsForParent.reads(asked(Access.READ, parent_named))
def list_accounts_for_parent(
    call: Call, req: api.ListAccountsForParentRequest, target: Target
) -> api.ListAccountsForParentResponse:
    """The accounts right under the root or a unit."""
    shown, more = page("ListAccountsForParent", req, _under(call, target, ACCOUNT), lambda node: node.id)
    accounts = [views.account(call, target.organization, node) for node in shown]
    return {"Accounts": accounts, **more}  # type: ignore[typeddict-item]


@api.ListChildren.reads(asked(Access.READ, parent_named))
def list_children(call: Call, req: api.ListChildrenRequest, target: Target) -> api.ListChildrenResponse:
    """The ids of the units or of the accounts right under the root or a unit."""
    nodes = _under(call, target, req["ChildType"])
    shown, more = page("ListChildren", req, nodes, lambda node: node.id)
    children: list[api.Child] = [{"Id": node.id, "Type": cast("api.ChildType", node.kind)} for node in shown]
    return {"Children": children, **more}  # type: ignore[typeddict-item]


@api.ListParents.reads(asked(Access.READ, child_named))
def list_parents(call: Call, req: api.ListParentsRequest, target: Target) -> api.ListParentsResponse:
    """The root or unit that a unit or account is right under."""
    assert target.node is not None
    parent = call.part(Organizations).node(call.tx, target.organization, target.node.parent)
    shown, more = page("ListParents", req, [] if parent is None else [parent], lambda node: node.id)
    parents: list[api.Parent] = [{"Id": node.id, "Type": cast("api.ParentType", node.kind)} for node in shown]
    return {"Parents": parents, **more}  # type: ignore[typeddict-item]
