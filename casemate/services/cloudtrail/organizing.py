"""An organisation's trail: who may have one. Source: "Creating a trail for an organization", "Prepare for creating a
trail for your organization".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import iam, organizations
from casemate.errors import AwsError
from casemate.services.cloudtrail.naming import SERVICE
from casemate.services.cloudtrail.refusals import not_management

if TYPE_CHECKING:
    from casemate.gate.call import Call

_ROLE = "AWSServiceRoleForCloudTrail"


def organization_of(call: Call) -> str:
    """The id of the organisation for whose accounts the caller may make a trail. Its management account has the
    service-linked role afterwards. Raises what AWS's API reference lists."""
    found = call.gate.organizations.oversight(call.account, call.tx)
    if found is None:
        raise AwsError("OrganizationsNotInUseException", "The account is not a member of an organization.")
    if not found.administered_by(call.account, SERVICE):
        raise not_management()
    if not found.all_features:
        raise AwsError(
            "OrganizationNotInAllFeaturesModeException",
            "All features of the organization must be enabled.",
        )
    if SERVICE not in found.trusted:
        raise AwsError(
            "CloudTrailAccessNotEnabledException",
            "Trusted access between CloudTrail and AWS Organizations must be enabled.",
        )
    _, refusal = organizations.DescribeOrganization.weigh(call, {})
    if refusal is not None:
        raise _insufficient("organizations:DescribeOrganization")
    if call.gate.directory.role(found.management, _ROLE, call.tx) is None:
        if call.account != found.management:
            raise AwsError(
                "NoManagementAccountSLRExistsException",
                f"The management account does not have the service-linked role {_ROLE}.",
            )
        try:
            iam.CreateServiceLinkedRole.ask(
                call, {"AWSServiceName": SERVICE}, via="cloudtrail", region="us-east-1"
            )
        except AwsError as error:
            if error.status >= 500:
                raise
            raise _insufficient("iam:CreateServiceLinkedRole") from None
    return found.id


def _insufficient(action: str) -> AwsError:
    return AwsError(
        "InsufficientDependencyServiceAccessPermissionException",
        f"The caller needs the permission {action} for a trail of an organization.",
    )
