"""CreateAccount, and what became of it; CloseAccount.

AWS makes and closes accounts in the background. Here it is done when the call returns, but its answer tells no more
than AWS's does: clients ask for the outcome.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable

from casemate.api import organizations as api
from casemate.clock import Clock
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import events, handshake_rows, limits, views
from casemate.services.organizations.model import (
    ACCOUNT,
    ALL_FEATURES,
    CREATED,
    Account,
    Creation,
    Node,
    Organization,
    new_id,
)
from casemate.services.organizations.organizing import attached_at_first, serve
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import (
    constraint,
    invalid_input,
    not_all_features,
    too_many_accounts,
)
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.tags import checked
from casemate.services.organizations.targets import Access, Target, account_named, and_tags, asked
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, schedule

log = logging.getLogger("casemate.organizations")

EXPIRE = "organizations.expire_closed_account"
"""The job that takes a closed account out of its organisation after 90 days."""

_EMAIL = re.compile(r"(?!\.)[!-~]+@(?![-.])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?<![-.])", re.ASCII)
_NOT_IN_LOCAL_NAME = frozenset("\"'()<>[]:;,\\|%&@")

_CREATION = "SELECT organization, id, name, requested, completed, account, reason FROM org_creations "


def must_have_room(call: Call, organization: Organization, refusal: AwsError) -> None:
    """Raises the refusal where one more account, or an invitation to one, would be too many."""
    accounts = len(call.part(Organizations).nodes(call.tx, organization, ACCOUNT))
    if accounts + handshake_rows.open_invitations(call.tx, organization, call.now) >= call.limit(
        limits.ACCOUNTS
    ):
        raise refusal


@api.CreateAccount.writes(asked(Access.MANAGEMENT), *and_tags("organizations:CreateAccount"))
def create_account(call: Call, req: api.CreateAccountRequest, target: Target) -> api.CreateAccountResponse:
    """Make an account in the organisation, with a role by which the management account administers it."""
    organizations, organization = call.part(Organizations), target.organization
    role = req.get("RoleName", "OrganizationAccountAccessRole")
    if role.startswith("AWSServiceRoleFor"):
        raise invalid_input("INVALID_ROLE_NAME", "A role name can't begin with the reserved prefix.")
    tags = checked(req.get("Tags", ()))
    must_have_room(call, organization, too_many_accounts())
    creation = Creation(organization.id, new_id("car-", 32), req["AccountName"], call.now, call.now, "", "")
    email = req["Email"]
    if not _is_email(email):
        creation = creation._replace(reason="INVALID_EMAIL")
    elif organizations.account_of(call.tx, email) is not None:
        creation = creation._replace(reason="EMAIL_ALREADY_EXISTS")
    else:
        account = _make(call, organizations, creation.name)
        creation = creation._replace(account=account)
        organizations.put_account(call.tx, Account(account, email, call.now))
        organizations.add_node(
            call.tx,
            organization,
            Node(
                *(organization.id, account, ACCOUNT, organization.root, creation.name),
                *(attached_at_first(organization), tags, CREATED, call.now),
            ),
        )
        organizations.accounts.let_administer(call.tx, account, role, organization.management, call.now)
        serve(call, organization, account)
    call.tx.run(
        "INSERT INTO org_creations (organization, id, name, requested, completed, account, reason) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        creation,
    )
    events.created(call, organization, creation)
    if creation.account:
        events.joined(call, organization, creation.account, CREATED)
    return {"CreateAccountStatus": views.creation(creation, done=False)}


def _is_email(email: str) -> bool:
    local = email.rpartition("@")[0]
    return _EMAIL.fullmatch(email) is not None and not _NOT_IN_LOCAL_NAME.intersection(local)


def _make(call: Call, organizations: Organizations, name: str) -> str:
    while True:
        account = str(100_000_000_000 + secrets.randbelow(900_000_000_000))
        if organizations.accounts.make(call.tx, account, name, call.now):
            return account


@api.DescribeCreateAccountStatus.reads(asked(Access.READ))
def describe_create_account_status(
    call: Call, req: api.DescribeCreateAccountStatusRequest, target: Target
) -> api.DescribeCreateAccountStatusResponse:
    """What became of a request to make an account."""
    row = call.tx.one(
        _CREATION + "WHERE organization = ? AND id = ?",
        (target.organization.id, req["CreateAccountRequestId"]),
    )
    if row is None:
        raise AwsError(
            "CreateAccountStatusNotFoundException",
            "You specified a create account request that doesn't exist.",
        )
    return {"CreateAccountStatus": views.creation(Creation(*row))}


@api.ListCreateAccountStatus.reads(asked(Access.READ))
def list_create_account_status(
    call: Call, req: api.ListCreateAccountStatusRequest, target: Target
) -> api.ListCreateAccountStatusResponse:
    """What became of all requests to make accounts, or of those in certain states."""
    rows = call.tx.all(_CREATION + "WHERE organization = ?", (target.organization.id,))
    shown = [views.creation(Creation(*row)) for row in rows]
    states = req.get("States") or ("IN_PROGRESS", "SUCCEEDED", "FAILED")
    found, more = page(
        "ListCreateAccountStatus",
        req,
        (each for each in shown if each.get("State") in states),
        lambda each: each.get("Id", ""),
    )
    return {"CreateAccountStatuses": found, **more}  # type: ignore[typeddict-item]


@api.CloseAccount.writes(asked(Access.MANAGEMENT, account_named))
def close_account(
    call: Call,
    req: api.CloseAccountRequest,
    target: Target,
) -> api.CloseAccountResponse:
    """Close a member account: nobody acts in it any more. After 90 days it is no more of the organisation."""
    organizations, node = call.part(Organizations), target.node
    assert node is not None
    if target.organization.feature_set != ALL_FEATURES:
        raise not_all_features()
    if node.id == target.organization.management:
        raise constraint("CANNOT_CLOSE_MANAGEMENT_ACCOUNT", "You can't close the management account.")
    known = organizations.known(call.tx, node.id)
    if known.closed is not None:
        raise AwsError(
            "AccountAlreadyClosedException", "You attempted to close an account that is already closed."
        )
    if any(account == node.id for account, _, _ in organizations.delegations(call.tx, target.organization)):
        raise AwsError(
            "ConflictException",
            "You must deregister the account as a delegated administrator before you can close it.",
        )
    organizations.put_account(call.tx, known._replace(closed=call.now))
    schedule(call.tx, EXPIRE, call.now + limits.CLOSED_FOR, {"account": node.id}, id=f"{EXPIRE} {node.id}")
    events.closed(call, target.organization, node.id)
    return {}


def expirer(store: Store, organizations: Organizations, clock: Clock) -> Callable[[Job], None]:
    """The job's handler. It takes out only what is closed still; running again does no harm."""

    def run(job: Job) -> None:
        account: str = job.payload["account"]

        def take_out(tx: Tx) -> str:
            found = organizations.membership(tx, account)
            known = organizations.account(tx, account)
            job.finish(tx)
            if found is None or known is None or known.closed is None:
                return ""
            organization, node = found
            organizations.remove_node(tx, node)
            events.departed(tx, clock.now(), organization, account, events.CLEANED)
            return organization.id

        organization_id = store.write(take_out)
        if organization_id:
            log.info("the closed account %s is no more of %s", account, organization_id)

    return run
