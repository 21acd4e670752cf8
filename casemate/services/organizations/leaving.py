"""How an account leaves its organisation, whoever wants it to."""

from __future__ import annotations

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import events, limits
from casemate.services.organizations.model import CREATED, Node, Organization
from casemate.services.organizations.refusals import constraint
from casemate.services.organizations.state import Organizations


def depart(call: Call, organization: Organization, node: Node, method: str) -> None:
    """Take the account out of the organisation, with its tags and what is attached to it. method: as events tell it.

    Raises MasterCannotLeaveOrganizationException, and ConstraintViolationException for a delegated administrator and
    for an account that Organizations made less than four days ago. Source: "Considerations before removing an account
    from an organization".
    """
    organizations = call.part(Organizations)
    if node.id == organization.management:
        raise AwsError(
            "MasterCannotLeaveOrganizationException",
            "You can't remove a management account from an organization.",
        )
    if any(account == node.id for account, _, _ in organizations.delegations(call.tx, organization)):
        raise constraint(
            "CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG",
            "You must deregister the account as a delegated administrator before you can remove it from the "
            "organization.",
        )
    known = organizations.known(call.tx, node.id)
    if known.closed is not None:
        raise constraint(
            "ACCOUNT_CANNOT_LEAVE_ORGANIZATION", "A closed account can't leave the organization."
        )
    if (
        node.method == CREATED
        and known.created is not None
        and call.now < known.created + limits.REMOVABLE_AFTER
    ):
        raise constraint(
            "WAIT_PERIOD_ACTIVE",
            "This operation requires a wait period. You must wait until at least four days after the account was "
            "created.",
        )
    organizations.remove_node(call.tx, node)
    events.departed(call.tx, call.now, organization, node.id, method)
