"""InviteAccountToOrganization, EnableAllFeatures: what an organisation asks of accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import handshake_rows as rows
from casemate.services.organizations import limits
from casemate.services.organizations.creation import must_have_room
from casemate.services.organizations.handshake_rows import (
    ACCEPTED,
    APPROVE,
    ENABLE,
    INVITE,
    OPEN,
    PENDING,
    REQUESTED,
)
from casemate.services.organizations.handshakes import shown
from casemate.services.organizations.model import (
    ACCOUNT,
    ALL_FEATURES,
    INVITED,
    Handshake,
    Organization,
    new_id,
)
from casemate.services.organizations.refusals import handshake_constraint, invalid_input, too_many_accounts
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.tags import checked
from casemate.services.organizations.targets import Access, Target, and_tags, asked


@api.InviteAccountToOrganization.writes(
    asked(Access.MANAGEMENT), *and_tags("organizations:InviteAccountToOrganization")
)
def invite_account_to_organization(
    call: Call, req: api.InviteAccountToOrganizationRequest, target: Target
) -> api.InviteAccountToOrganizationResponse:
    """Ask an account to join. Nothing is sent by email: the account finds it by ListHandshakesForAccount."""
    organizations, organization = call.part(Organizations), target.organization
    party = req["Target"]
    account = email = ""
    if party["Type"] == "ACCOUNT":
        account = party["Id"]
        if organizations.accounts.name(call.tx, account) is None:
            raise invalid_input("INVALID_PARTY_TYPE_TARGET", "You specified an account that doesn't exist.")
    elif party["Type"] == "EMAIL":
        email = party["Id"]
        known = organizations.account_of(call.tx, email)
        if known is None:
            raise invalid_input(
                "INVALID_EMAIL_ADDRESS_TARGET", "No account has the email that you specified."
            )
        account = known.id
    else:
        raise invalid_input("INVALID_PARTY_TYPE_TARGET", "You can invite an ACCOUNT or an EMAIL.")
    tags = checked(req.get("Tags", ()))
    sent = rows.sent(call.tx, organization, call.now)
    if any(each.action == ENABLE and each.state in PENDING for each in sent):
        raise handshake_constraint(
            "INVITE_DISABLED_DURING_ENABLE_ALL_FEATURES",
            "You can't issue new invitations while the organization is in the process of enabling all features.",
        )
    membership = organizations.membership(call.tx, account)
    if membership is not None and membership[0].id == organization.id:
        raise handshake_constraint(
            "ALREADY_IN_AN_ORGANIZATION", "The account is already a member of your organization."
        )
    if any(each.action == INVITE and each.account == account and each.state in PENDING for each in sent):
        raise AwsError(
            "DuplicateHandshakeException", "A handshake with the same action and target already exists."
        )
    day = [each for each in sent if each.action == INVITE and each.requested > call.now - 86400]
    if sum(each.state != ACCEPTED for each in day) >= max(
        limits.INVITATIONS_A_DAY, call.limit(limits.ACCOUNTS)
    ):
        raise handshake_constraint(
            "HANDSHAKE_RATE_LIMIT_EXCEEDED",
            "You have exceeded the number of handshakes that you can send in one day.",
        )
    must_have_room(call, organization, too_many_accounts("HandshakeConstraintViolationException"))
    handshake = _new(
        call,
        organization,
        INVITE,
        limits.INVITATION_FOR,
        account=account,
        email=email,
        notes=req.get("Notes", ""),
    )._replace(tags=tags)
    rows.add(call.tx, handshake)
    return {"Handshake": shown(call, handshake)}


def _new(call: Call, organization: Organization, action: str, seconds: float, **more: str) -> Handshake:
    texts = {"account": "", "email": "", "notes": "", "parent": "", **more}
    return Handshake(
        id=new_id("h-", 10),
        organization=organization.id,
        management=organization.management,
        action=action,
        state=REQUESTED,
        requested=call.now,
        expires=call.now + seconds,
        resolved=None,
        tags={},
        **texts,
    )


@api.EnableAllFeatures.writes(asked(Access.MANAGEMENT))
def enable_all_features(
    call: Call,
    req: Mapping[str, Any],
    target: Target,
) -> api.EnableAllFeaturesResponse:
    """Begin to enable all features in an organisation that was made for consolidated billing alone."""
    organization = target.organization
    if organization.feature_set == ALL_FEATURES:
        raise handshake_constraint(
            "ORGANIZATION_ALREADY_HAS_ALL_FEATURES", "The organization has already enabled all features."
        )
    sent = rows.sent(call.tx, organization, call.now)
    if any(each.action == ENABLE and each.state in PENDING for each in sent):
        raise handshake_constraint(
            "ORGANIZATION_IS_ALREADY_PENDING_ALL_FEATURES_MIGRATION",
            "The organization has already started the process to enable all features.",
        )
    nodes = call.part(Organizations).nodes(call.tx, organization, ACCOUNT)
    invited = [node.id for node in nodes if node.method == INVITED and node.id != organization.management]
    whole = _new(call, organization, ENABLE, limits.ALL_FEATURES_FOR)
    if not invited:
        whole = whole._replace(state=OPEN)
    rows.add(call.tx, whole)
    for account in invited:
        part = _new(call, organization, APPROVE, limits.ALL_FEATURES_FOR, account=account, parent=whole.id)
        rows.add(call.tx, part)
    return {"Handshake": shown(call, whole)}
