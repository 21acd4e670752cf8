"""CreateOrganization, DescribeOrganization, DeleteOrganization, ListRoots, LeaveOrganization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.organizations import events, views
from casemate.services.organizations.leaving import depart
from casemate.services.organizations.model import (
    ACCOUNT,
    ALL_FEATURES,
    FULL_ACCESS,
    INVITED,
    ROOT,
    SCP,
    Node,
    Organization,
    new_id,
)
from casemate.services.organizations.pages import page
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import Access, Target, asked


def own_account(call: Call, request: Mapping[str, Any]) -> Resource:
    """The caller's account, in an organisation or not."""
    return Resource("*", call.account)


def attached_at_first(organization: Organization) -> tuple[str, ...]:
    """The ids of what a new node has attached: AWS's own policy of each type that has one and is enabled."""
    return tuple(FULL_ACCESS[kind].id for kind in organization.policy_types if kind in FULL_ACCESS)


def serve(call: Call, organization: Organization, account: str) -> None:
    """With all features, Organizations has a role of its own in each account."""
    if organization.feature_set == ALL_FEATURES:
        accounts = call.part(Organizations).accounts
        accounts.let_serve(call.tx, account, "organizations.amazonaws.com", call.now)


@api.CreateOrganization.writes(own_account)
def create_organization(
    call: Call,
    req: api.CreateOrganizationRequest,
    own: Resource,
) -> api.CreateOrganizationResponse:
    """Make an organisation, whose management account is the caller's. SCPs are enabled with all features."""
    organizations = call.part(Organizations)
    if organizations.membership(call.tx, call.account) is not None:
        raise AwsError(
            "AlreadyInOrganizationException", "The provided account is already a member of an organization."
        )
    feature_set = req.get("FeatureSet", ALL_FEATURES)
    organization = Organization(
        new_id("o-", 10),
        call.account,
        feature_set,
        new_id("r-", 4),
        call.now,
        (SCP,) if feature_set == ALL_FEATURES else (),
    )
    organizations.add_organization(call.tx, organization)
    policies = attached_at_first(organization)
    root = Node(organization.id, organization.root, ROOT, "", "Root", policies, {}, "", call.now)
    organizations.add_node(call.tx, organization, root)
    name = organizations.accounts.name(call.tx, call.account) or call.account
    management = Node(organization.id, call.account, ACCOUNT, root.id, name, policies, {}, INVITED, call.now)
    organizations.add_node(call.tx, organization, management)
    serve(call, organization, call.account)
    events.joined(call, organization, call.account, INVITED)
    return {"Organization": views.organization(call, organization)}


@api.DescribeOrganization.reads(asked(Access.MEMBER))
def describe_organization(
    call: Call,
    req: Mapping[str, Any],
    target: Target,
) -> api.DescribeOrganizationResponse:
    """The organisation that the caller's account belongs to."""
    return {"Organization": views.organization(call, target.organization)}


@api.DeleteOrganization.writes(asked(Access.MANAGEMENT))
def delete_organization(call: Call, req: Mapping[str, Any], target: Target) -> api.DeleteOrganizationResponse:
    """Delete the organisation, with its units and policies. All member accounts must have left."""
    organizations = call.part(Organizations)
    if len(organizations.nodes(call.tx, target.organization, ACCOUNT)) > 1:
        raise AwsError(
            "OrganizationNotEmptyException",
            "To delete an organization you must first remove all member accounts (except the master).",
        )
    organizations.remove_organization(call.tx, target.organization)
    events.departed(call.tx, call.now, target.organization, call.account, events.LEFT)
    return {}


@api.LeaveOrganization.writes(asked(Access.MEMBER))
def leave_organization(call: Call, req: Mapping[str, Any], target: Target) -> api.LeaveOrganizationResponse:
    """Take the caller's own account out of its organisation."""
    organizations = call.part(Organizations)
    node = organizations.node(call.tx, target.organization, call.account)
    assert node is not None
    depart(call, target.organization, node, events.LEFT)
    return {}


@api.ListRoots.reads(asked(Access.READ))
def list_roots(call: Call, req: api.ListRootsRequest, target: Target) -> api.ListRootsResponse:
    """The organisation's one root, with the types of policies that are enabled in it."""
    roots = call.part(Organizations).nodes(call.tx, target.organization, ROOT)
    shown, more = page("ListRoots", req, roots, lambda node: node.id)
    return {"Roots": [views.root(target.organization, node) for node in shown], **more}  # type: ignore[typeddict-item]
