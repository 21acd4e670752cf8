"""Trusted access of services, and accounts that administer a service for the organisation."""

from __future__ import annotations

import re

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import views
from casemate.services.organizations.model import ACCOUNT, Organization
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import constraint, invalid_input, not_all_features
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import Access, Target, account_named, asked

_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com", re.ASCII)

DELEGABLE_TO_ONE = frozenset(
    {
        *("guardduty", "macie", "securityhub", "detective", "inspector2", "fms", "ipam"),
        *("auditmanager", "storage-lens.s3", "sso"),
    }
)
"""Services that have one delegated administrator at most."""


def _service(name: str) -> str:
    if _SERVICE.fullmatch(name) is None:
        raise invalid_input(
            "UNRECOGNIZED_SERVICE_PRINCIPAL", "You specified an unrecognized service principal."
        )
    return name


def _must_have_all_features(organization: Organization) -> None:
    if organization.feature_set != "ALL":
        raise not_all_features()


def _enabled(call: Call, organization: Organization) -> dict[str, float]:
    rows = call.tx.all("SELECT service, enabled FROM org_services WHERE organization = ?", (organization.id,))
    return dict(rows)


@api.EnableAWSServiceAccess.writes(asked(Access.MANAGEMENT))
def enable_aws_service_access(
    call: Call, req: api.EnableAWSServiceAccessRequest, target: Target
) -> api.EnableAWSServiceAccessResponse:
    """Let a service work in the organisation's accounts."""
    _must_have_all_features(target.organization)
    call.tx.run(
        "INSERT INTO org_services (organization, service, enabled) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (target.organization.id, _service(req["ServicePrincipal"]), call.now),
    )
    return {}


@api.DisableAWSServiceAccess.writes(asked(Access.MANAGEMENT))
def disable_aws_service_access(
    call: Call, req: api.DisableAWSServiceAccessRequest, target: Target
) -> api.DisableAWSServiceAccessResponse:
    """Let a service work in the organisation's accounts no more; its delegated administrators are none any more."""
    organization, service = target.organization, _service(req["ServicePrincipal"])
    _must_have_all_features(organization)
    call.tx.run("DELETE FROM org_services WHERE organization = ? AND service = ?", (organization.id, service))
    organizations = call.part(Organizations)
    for account, of, _ in organizations.delegations(call.tx, organization):
        if of == service:
            organizations.remove_delegation(call.tx, organization, account, service)
    return {}


@api.ListAWSServiceAccessForOrganization.reads(asked(Access.READ))
def list_aws_service_access_for_organization(
    call: Call, req: api.ListAWSServiceAccessForOrganizationRequest, target: Target
) -> api.ListAWSServiceAccessForOrganizationResponse:
    """The services with trusted access, by name."""
    _must_have_all_features(target.organization)
    enabled = _enabled(call, target.organization)
    shown, more = page("ListAWSServiceAccessForOrganization", req, enabled, lambda service: service)
    services: list[api.EnabledServicePrincipal] = [
        {"ServicePrincipal": service, "DateEnabled": views.moment(enabled[service])} for service in shown
    ]
    return {"EnabledServicePrincipals": services, **more}  # type: ignore[typeddict-item]


@api.RegisterDelegatedAdministrator.writes(asked(Access.MANAGEMENT, account_named))
def register_delegated_administrator(
    call: Call, req: api.RegisterDelegatedAdministratorRequest, target: Target
) -> api.RegisterDelegatedAdministratorResponse:
    """Let a member account administer a service; with that it may read all of the organisation."""
    organizations, organization, node = call.part(Organizations), target.organization, target.node
    assert node is not None
    service = _service(req["ServicePrincipal"])
    _must_have_all_features(organization)
    if node.id == organization.management:
        raise constraint(
            "CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR",
            "You cannot register master account/yourself as delegated administrator for your organization.",
        )
    if organizations.known(call.tx, node.id).closed is not None:
        raise constraint(
            "CANNOT_REGISTER_SUSPENDED_ACCOUNT_AS_DELEGATED_ADMINISTRATOR",
            "You cannot register a suspended account as a delegated administrator.",
        )
    if service not in _enabled(call, organization):
        raise constraint(
            "SERVICE_ACCESS_NOT_ENABLED",
            "You must enable service access before you register a delegated administrator.",
        )
    there = [account for account, of, _ in organizations.delegations(call.tx, organization) if of == service]
    if node.id in there:
        raise AwsError(
            "AccountAlreadyRegisteredException",
            "The provided account is already a delegated administrator for your organization.",
        )
    if there and service.removesuffix(".amazonaws.com") in DELEGABLE_TO_ONE:
        raise constraint(
            "DELEGATED_ADMINISTRATOR_EXISTS_FOR_THIS_SERVICE",
            "The service already has a delegated administrator. You must deregister it first.",
        )
    organizations.add_delegation(call.tx, organization, node.id, service, call.now)
    return {}


def _not_registered() -> AwsError:
    return AwsError(
        "AccountNotRegisteredException",
        "The provided account is not a registered delegated administrator for your organization.",
    )


@api.DeregisterDelegatedAdministrator.writes(asked(Access.MANAGEMENT, account_named))
def deregister_delegated_administrator(
    call: Call, req: api.DeregisterDelegatedAdministratorRequest, target: Target
) -> api.DeregisterDelegatedAdministratorResponse:
    """Let an account administer a service no more."""
    organizations, organization, node = call.part(Organizations), target.organization, target.node
    assert node is not None
    service = _service(req["ServicePrincipal"])
    delegations = organizations.delegations(call.tx, organization)
    if not any((account, of) == (node.id, service) for account, of, _ in delegations):
        raise _not_registered()
    organizations.remove_delegation(call.tx, organization, node.id, service)
    return {}


@api.ListDelegatedAdministrators.reads(asked(Access.READ))
def list_delegated_administrators(
    call: Call, req: api.ListDelegatedAdministratorsRequest, target: Target
) -> api.ListDelegatedAdministratorsResponse:
    """The accounts that administer some service, or the one that is asked for."""
    organizations, organization = call.part(Organizations), target.organization
    wanted = req.get("ServicePrincipal")
    since: dict[str, float] = {}
    for account, service, enabled in organizations.delegations(call.tx, organization):
        if wanted in (None, service):
            since[account] = min(enabled, since.get(account, enabled))
    nodes = [node for node in organizations.nodes(call.tx, organization, ACCOUNT) if node.id in since]
    shown, more = page("ListDelegatedAdministrators", req, nodes, lambda node: node.id)
    administrators: list[api.DelegatedAdministrator] = []
    for node in shown:
        account_view = {**views.account(call, organization, node)}
        del account_view["Paths"]
        administrators.append(
            {**account_view, "DelegationEnabledDate": views.moment(since[node.id])}  # type: ignore[typeddict-item]
        )
    return {"DelegatedAdministrators": administrators, **more}  # type: ignore[typeddict-item]


@api.ListDelegatedServicesForAccount.reads(asked(Access.READ, account_named))
def list_delegated_services_for_account(
    call: Call, req: api.ListDelegatedServicesForAccountRequest, target: Target
) -> api.ListDelegatedServicesForAccountResponse:
    """The services that an account administers, by name."""
    assert target.node is not None
    delegations = call.part(Organizations).delegations(call.tx, target.organization)
    since = {service: enabled for account, service, enabled in delegations if account == target.node.id}
    if not since:
        raise _not_registered()
    shown, more = page("ListDelegatedServicesForAccount", req, since, lambda service: service)
    services: list[api.DelegatedService] = [
        {"ServicePrincipal": service, "DelegationEnabledDate": views.moment(since[service])}
        for service in shown
    ]
    return {"DelegatedServices": services, **more}  # type: ignore[typeddict-item]
