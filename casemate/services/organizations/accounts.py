"""Accounts of the organisation: listed, described, moved, removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.organizations import events, views
from casemate.services.organizations.leaving import depart
from casemate.services.organizations.model import ACCOUNT, kind_of, node_arn
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import no_parent
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import Access, Target, account_named, asked


@api.ListAccounts.reads(asked(Access.READ))
def list_accounts(call: Call, req: api.ListAccountsRequest, target: Target) -> api.ListAccountsResponse:
    """All accounts of the organisation, closed ones too."""
    nodes = call.part(Organizations).nodes(call.tx, target.organization, ACCOUNT)
    shown, more = page("ListAccounts", req, nodes, lambda node: node.id)
    accounts = [views.account(call, target.organization, node) for node in shown]
    return {"Accounts": accounts, **more}  # type: ignore[typeddict-item]


@api.DescribeAccount.reads(asked(Access.READ, account_named))
def describe_account(
    call: Call,
    req: api.DescribeAccountRequest,
    target: Target,
) -> api.DescribeAccountResponse:
    """An account's name, email, state, and how and when it joined."""
    assert target.node is not None
    return {"Account": views.account(call, target.organization, target.node)}


_in_place = asked(Access.MANAGEMENT, account_named)


def moved_account(call: Call, request: Mapping[str, Any]) -> Target:
    """MoveAccount's: the account, and where it goes from and to."""
    target = _in_place(call, request)
    if target.node is None or target.missing is not None:
        return target
    organization = target.organization
    organizations = call.part(Organizations)
    parents = {
        "SourceParentId": no_parent("SourceParentNotFoundException", "source parent"),
        "DestinationParentId": no_parent("DestinationParentNotFoundException", "destination parent"),
    }
    last = target
    for member, missing in parents.items():
        node = organizations.node(call.tx, organization, request[member])
        if node is not None and node.kind == ACCOUNT:
            node = None
        last.further = Target(
            node_arn(organization, kind_of(request[member]), request[member]),
            call.account,
            organization,
            missing=missing if node is None else None,
            tags=None if node is None else node.tags,
        )
        last = last.further
    return target


def _further(steps: int) -> Any:
    def of(target: Target) -> Target | None:
        found: Target | None = target
        for _ in range(steps):
            found = found and found.further
        return found

    return of


@api.MoveAccount.writes(
    moved_account, *(Need("organizations:MoveAccount", _further(step)) for step in range(3))
)
def move_account(call: Call, req: api.MoveAccountRequest, target: Target) -> api.MoveAccountResponse:
    """Put an account under another unit or the root. What is attached above it changes at once."""
    node = target.node
    assert node is not None
    if node.parent != req["SourceParentId"]:
        raise no_parent("SourceParentNotFoundException", "source parent")
    if req["DestinationParentId"] == node.parent:
        raise AwsError(
            "DuplicateAccountException", "That account is already present in the specified destination."
        )
    moved = node._replace(parent=req["DestinationParentId"])
    call.part(Organizations).save_node(call.tx, target.organization, moved)
    return {}


@api.RemoveAccountFromOrganization.writes(asked(Access.MANAGEMENT, account_named))
def remove_account_from_organization(
    call: Call,
    req: api.RemoveAccountFromOrganizationRequest,
    target: Target,
) -> api.RemoveAccountFromOrganizationResponse:
    """Make a member account a standalone one, which no policy of the organisation binds any more."""
    assert target.node is not None
    depart(call, target.organization, target.node, events.REMOVED)
    return {}
