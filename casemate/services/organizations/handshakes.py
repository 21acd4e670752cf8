"""Invitations, and the way to all features: what two accounts agree on by a handshake.

EnableAllFeatures opens one handshake for the organisation (ENABLE_ALL_FEATURES) and one for each invited account
(APPROVE_ALL_FEATURES). When all of those are accepted, the first is OPEN, and the management account accepts it.
Source: "Enabling all features in your organization".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.organizations import events, views
from casemate.services.organizations import handshake_rows as rows
from casemate.services.organizations.handshake_rows import (
    ACCEPTED,
    APPROVE,
    ENABLE,
    INVITE,
    OPEN,
    PENDING,
    REQUESTED,
)
from casemate.services.organizations.model import (
    ACCOUNT,
    ALL_FEATURES,
    INVITED,
    Handshake,
    Node,
)
from casemate.services.organizations.organizing import attached_at_first, own_account, serve
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import (
    handshake_constraint,
    invalid_input,
    no_handshake,
    no_permission,
)
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import Access, Target, asked


def arn_of(handshake: Handshake) -> str:
    return (
        f"arn:aws:organizations::{handshake.management}:handshake/{handshake.organization}/"
        f"{handshake.action.lower()}/{handshake.id}"
    )


def shown(call: Call, handshake: Handshake) -> api.Handshake:
    """As the API shows it, to the one side or the other."""
    organizations = call.part(Organizations)
    organization = organizations.organization(call.tx, handshake.organization)
    sender: api.HandshakeResource = {"Type": "ORGANIZATION", "Value": organization.id}
    parties: list[api.HandshakeParty] = [{"Id": organization.id, "Type": "ORGANIZATION"}]
    resources: list[api.HandshakeResource] = [sender]
    if handshake.action == INVITE:
        email = organizations.known(call.tx, organization.management).email
        name = organizations.accounts.name(call.tx, organization.management) or organization.management
        sender["Resources"] = [
            {"Type": "MASTER_EMAIL", "Value": email},
            {"Type": "MASTER_NAME", "Value": name},
            {"Type": "ORGANIZATION_FEATURE_SET", "Value": organization.feature_set},
        ]
    if handshake.email:
        parties.append({"Id": handshake.email, "Type": "EMAIL"})
        resources.append({"Type": "EMAIL", "Value": handshake.email})
    elif handshake.account:
        parties.append({"Id": handshake.account, "Type": "ACCOUNT"})
        resources.append({"Type": "ACCOUNT", "Value": handshake.account})
    if handshake.notes:
        resources.append({"Type": "NOTES", "Value": handshake.notes})
    if handshake.parent:
        resources.append({"Type": "PARENT_HANDSHAKE", "Value": handshake.parent})
    return {
        "Id": handshake.id,
        "Arn": arn_of(handshake),
        "Parties": parties,
        "State": cast("api.HandshakeState", handshake.state),
        "RequestedTimestamp": views.moment(handshake.requested),
        "ExpirationTimestamp": views.moment(handshake.expires),
        "Action": cast("api.ActionType", handshake.action),
        "Resources": resources,
    }


class Agreement(Resource):
    """A handshake as policies see it."""

    __slots__ = ("handshake",)

    handshake: Handshake


def handshake_named(call: Call, request: Mapping[str, Any]) -> Agreement:
    """HandshakeId, of one that the caller's account has sent or received. Others' do not exist."""
    handshake = rows.load(call.tx, request["HandshakeId"], call.now)
    if handshake is None or call.account not in (handshake.management, handshake.account):
        # Its organisation and kind, which its ARN has, are not the caller's to know.
        arn = f"arn:aws:organizations::*:handshake/*/*/{request['HandshakeId']}"
        return Agreement(arn, call.account, missing=no_handshake())
    agreement = Agreement(arn_of(handshake), call.account)
    agreement.handshake = handshake
    return agreement


def _must_become(handshake: Handshake, state: str) -> None:
    if handshake.state == state:
        raise AwsError(
            "HandshakeAlreadyInStateException", "The specified handshake is already in the requested state."
        )
    if handshake.state not in PENDING:
        raise AwsError(
            "InvalidHandshakeTransitionException",
            f"You can't perform the operation on the handshake in its current state {handshake.state}.",
        )


def _receives(call: Call, handshake: Handshake) -> bool:
    return call.account == (handshake.account or handshake.management)


# --- answering


@api.AcceptHandshake.writes(handshake_named)
def accept_handshake(
    call: Call,
    req: api.AcceptHandshakeRequest,
    agreement: Agreement,
) -> api.AcceptHandshakeResponse:
    """Agree: join the organisation, or have all features enabled."""
    handshake = agreement.handshake
    if not _receives(call, handshake):
        raise no_permission()
    _must_become(handshake, ACCEPTED)
    if handshake.action == INVITE:
        _join(call, handshake)
    elif handshake.action == ENABLE:
        if handshake.state != OPEN:
            raise AwsError(
                "InvalidHandshakeTransitionException",
                "Not all invited accounts have approved all features yet.",
            )
        organizations = call.part(Organizations)
        organization = organizations.organization(call.tx, handshake.organization)
        organizations.save_organization(call.tx, organization._replace(feature_set=ALL_FEATURES))
    accepted = rows.put(call.tx, handshake, ACCEPTED, call.now)
    if handshake.action == APPROVE:
        _open_whole(call, accepted)
    return {"Handshake": shown(call, accepted)}


def _join(call: Call, handshake: Handshake) -> None:
    organizations = call.part(Organizations)
    if organizations.membership(call.tx, call.account) is not None:
        raise handshake_constraint(
            "ALREADY_IN_AN_ORGANIZATION", "The account is already a member of an organization."
        )
    organization = organizations.organization(call.tx, handshake.organization)
    name = organizations.accounts.name(call.tx, call.account) or call.account
    organizations.add_node(
        call.tx,
        organization,
        Node(
            *(organization.id, call.account, ACCOUNT, organization.root, name),
            *(attached_at_first(organization), handshake.tags, INVITED, call.now),
        ),
    )
    serve(call, organization, call.account)
    events.joined(call, organization, call.account, INVITED)


def _open_whole(call: Call, part: Handshake) -> None:
    """When the last account has approved, the management account may go on."""
    whole = rows.load(call.tx, part.parent, call.now)
    organization = call.part(Organizations).organization(call.tx, part.organization)
    others = [each for each in rows.sent(call.tx, organization, call.now) if each.parent == part.parent]
    if whole is not None and whole.state == REQUESTED and all(each.state == ACCEPTED for each in others):
        rows.put(call.tx, whole, OPEN, call.now)


@api.DeclineHandshake.writes(handshake_named)
def decline_handshake(
    call: Call,
    req: api.DeclineHandshakeRequest,
    agreement: Agreement,
) -> api.DeclineHandshakeResponse:
    """Refuse what another account asked for."""
    handshake = agreement.handshake
    if not _receives(call, handshake):
        raise no_permission()
    _must_become(handshake, rows.DECLINED)
    return {"Handshake": shown(call, rows.put(call.tx, handshake, rows.DECLINED, call.now))}


@api.CancelHandshake.writes(handshake_named)
def cancel_handshake(
    call: Call,
    req: api.CancelHandshakeRequest,
    agreement: Agreement,
) -> api.CancelHandshakeResponse:
    """Take back what the caller's organisation asked for."""
    handshake = agreement.handshake
    if call.account != handshake.management:
        raise no_permission()
    _must_become(handshake, rows.CANCELED)
    if handshake.action == ENABLE:
        organization = call.part(Organizations).organization(call.tx, handshake.organization)
        for part in rows.sent(call.tx, organization, call.now):
            if part.parent == handshake.id and part.state in PENDING:
                rows.put(call.tx, part, rows.CANCELED, call.now)
    return {"Handshake": shown(call, rows.put(call.tx, handshake, rows.CANCELED, call.now))}


# --- looking


@api.DescribeHandshake.reads(handshake_named)
def describe_handshake(
    call: Call,
    req: api.DescribeHandshakeRequest,
    agreement: Agreement,
) -> api.DescribeHandshakeResponse:
    """A handshake that the caller's account has sent or received."""
    return {"Handshake": shown(call, agreement.handshake)}


def _filtered(found: Iterable[Handshake], wanted: api.HandshakeFilter) -> list[Handshake]:
    action, parent = wanted.get("ActionType"), wanted.get("ParentHandshakeId")
    if action is not None and parent is not None:
        raise invalid_input("MAX_LIMIT_EXCEEDED_FILTER", "You can specify only one filter parameter.")
    return [each for each in found if action in (None, each.action) and parent in (None, each.parent)]


@api.ListHandshakesForAccount.reads(own_account)
def list_handshakes_for_account(
    call: Call,
    req: api.ListHandshakesForAccountRequest,
    own: Resource,
) -> api.ListHandshakesForAccountResponse:
    """The handshakes that the caller's account has received, answered ones for 30 days more."""
    found = _filtered(rows.received(call.tx, call.account, call.now), req.get("Filter", {}))
    listed, more = page("ListHandshakesForAccount", req, found, lambda each: each.id)
    return {"Handshakes": [shown(call, each) for each in listed], **more}  # type: ignore[typeddict-item]


@api.ListHandshakesForOrganization.reads(asked(Access.READ))
def list_handshakes_for_organization(
    call: Call, req: api.ListHandshakesForOrganizationRequest, target: Target
) -> api.ListHandshakesForOrganizationResponse:
    """The handshakes that the organisation has sent, answered ones for 30 days more."""
    found = _filtered(rows.sent(call.tx, target.organization, call.now), req.get("Filter", {}))
    listed, more = page("ListHandshakesForOrganization", req, found, lambda each: each.id)
    return {"Handshakes": [shown(call, each) for each in listed], **more}  # type: ignore[typeddict-item]
