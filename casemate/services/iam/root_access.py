"""EnableOrganizationsRootSessions, EnableOrganizationsRootCredentialsManagement, their Disable..., and
ListOrganizationsFeatures: what an organisation may do with its members' root users, by sts:AssumeRoot.

Source: "Centrally manage root access for member accounts".
"""

from __future__ import annotations

from dataclasses import replace

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.organization import Oversight
from casemate.gate.resource import Resource
from casemate.services.iam.entities import RootAccess, unique_id
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import account_wide
from casemate.store.database import Tx

SERVICE = "iam.amazonaws.com"
SESSIONS, CREDENTIALS = "RootSessions", "RootCredentialsManagement"


def features_of(entities: Entities, tx: Tx, organization: Oversight) -> tuple[str, ...]:
    """What is enabled in an organisation, by name."""
    found = entities.find(tx, RootAccess, organization.management, organization.id)
    return () if found is None else tuple(found.features)


def _organization(call: Call) -> Oversight:
    """The caller's, which they administer for IAM. Raises what AWS's API reference lists."""
    found = call.gate.organizations.oversight(call.account, call.tx)
    if found is None:
        raise AwsError("OrganizationNotFoundException", "The account is not in an organization.")
    if not found.administered_by(call.account, SERVICE):
        raise AwsError(
            "AccountNotManagementOrDelegatedAdministratorException",
            "The account is neither the management account nor a delegated administrator of IAM.",
        )
    if not found.all_features:
        raise AwsError(
            "OrganizationNotInAllFeaturesModeException",
            "The organization does not have all features enabled.",
        )
    if SERVICE not in found.trusted:
        raise AwsError("ServiceAccessNotEnabledException", f"Trusted access is not enabled for {SERVICE}.")
    return found


def _switch(call: Call, feature: str, *, on: bool) -> tuple[str, list[str]]:
    """The organisation's id, and what is enabled in it then."""
    organization, entities = _organization(call), call.part(Entities)
    found = entities.find(call.tx, RootAccess, organization.management, organization.id)
    features = set() if found is None else set(found.features)
    wanted = sorted(features | {feature} if on else features - {feature})
    if found is not None:
        entities.save(call.tx, replace(found, features=wanted))
    else:
        row = RootAccess(
            account=organization.management,
            name=organization.id,
            id=unique_id(RootAccess.PREFIX),
            created=call.now,
            features=wanted,
        )
        entities.add(call.tx, row)
    return organization.id, wanted


@iam.EnableOrganizationsRootSessions.writes(account_wide)
def enable_root_sessions(
    call: Call, req: iam.EnableOrganizationsRootSessionsRequest, target: Resource
) -> iam.EnableOrganizationsRootSessionsResponse:
    """Let privileged tasks on members' resources be done by sessions of their root users."""
    organization, features = _switch(call, SESSIONS, on=True)
    return {"OrganizationId": organization, "EnabledFeatures": features}  # type: ignore[typeddict-item]


@iam.DisableOrganizationsRootSessions.writes(account_wide)
def disable_root_sessions(
    call: Call, req: iam.DisableOrganizationsRootSessionsRequest, target: Resource
) -> iam.DisableOrganizationsRootSessionsResponse:
    """No more such tasks."""
    organization, features = _switch(call, SESSIONS, on=False)
    return {"OrganizationId": organization, "EnabledFeatures": features}  # type: ignore[typeddict-item]


@iam.EnableOrganizationsRootCredentialsManagement.writes(account_wide)
def enable_root_credentials_management(
    call: Call, req: iam.EnableOrganizationsRootCredentialsManagementRequest, target: Resource
) -> iam.EnableOrganizationsRootCredentialsManagementResponse:
    """Let members' root users' credentials be looked at, made and deleted by sessions of those users."""
    organization, features = _switch(call, CREDENTIALS, on=True)
    return {"OrganizationId": organization, "EnabledFeatures": features}  # type: ignore[typeddict-item]


@iam.DisableOrganizationsRootCredentialsManagement.writes(account_wide)
def disable_root_credentials_management(
    call: Call, req: iam.DisableOrganizationsRootCredentialsManagementRequest, target: Resource
) -> iam.DisableOrganizationsRootCredentialsManagementResponse:
    """Leave members' root users to themselves again."""
    organization, features = _switch(call, CREDENTIALS, on=False)
    return {"OrganizationId": organization, "EnabledFeatures": features}  # type: ignore[typeddict-item]


@iam.ListOrganizationsFeatures.reads(account_wide)
def list_organizations_features(
    call: Call, req: iam.ListOrganizationsFeaturesRequest, target: Resource
) -> iam.ListOrganizationsFeaturesResponse:
    """What is enabled of it."""
    organization = _organization(call)
    features = list(features_of(call.part(Entities), call.tx, organization))
    return {"OrganizationId": organization.id, "EnabledFeatures": features}  # type: ignore[typeddict-item]
