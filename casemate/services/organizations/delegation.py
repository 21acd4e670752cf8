"""The organisation's resource-based delegation policy. Source: "Delegated administrator for AWS Organizations"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import organizations as api
from casemate.engine.policy import PolicyError, parse
from casemate.gate.call import Call
from casemate.services.organizations.model import Organization, new_id
from casemate.services.organizations.refusals import invalid_input
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.tags import checked
from casemate.services.organizations.targets import (
    Access,
    Target,
    and_tags,
    asked,
    delegation_arn,
    delegation_policy,
)

DELEGABLE = frozenset(
    f"organizations:{action}".lower()
    for action in (
        *("AttachPolicy", "CreatePolicy", "DeletePolicy", "DescribeAccount", "DescribeCreateAccountStatus"),
        *(
            "DescribeEffectivePolicy",
            "DescribeHandshake",
            "DescribeOrganization",
            "DescribeOrganizationalUnit",
        ),
        *(
            "DescribePolicy",
            "DescribeResourcePolicy",
            "DetachPolicy",
            "DisablePolicyType",
            "EnablePolicyType",
        ),
        *("ListAccounts", "ListAccountsForParent", "ListAWSServiceAccessForOrganization", "ListChildren"),
        *("ListCreateAccountStatus", "ListDelegatedAdministrators", "ListDelegatedServicesForAccount"),
        *("ListHandshakesForAccount", "ListHandshakesForOrganization", "ListOrganizationalUnitsForParent"),
        *("ListParents", "ListPolicies", "ListPoliciesForTarget", "ListRoots", "ListTagsForResource"),
        *("ListTargetsForPolicy", "TagResource", "UntagResource", "UpdatePolicy"),
    )
)
"""What a delegation policy may name. What more a wildcard names is not delegated by it."""


def _may_be_delegated(action: str) -> bool:
    if "*" in action or "?" in action:
        return action.startswith("organizations:")
    return action in DELEGABLE


def _shown(organization: Organization) -> api.ResourcePolicy:
    return {
        "ResourcePolicySummary": {"Id": organization.delegation_id, "Arn": delegation_arn(organization)},
        "Content": organization.delegation,
    }


@api.PutResourcePolicy.writes(asked(Access.MANAGEMENT), *and_tags("organizations:PutResourcePolicy"))
def put_resource_policy(
    call: Call, req: api.PutResourcePolicyRequest, target: Target
) -> api.PutResourcePolicyResponse:
    """Let member accounts manage policies, as the document says."""
    organizations, organization = call.part(Organizations), target.organization
    try:
        policy = parse(req["Content"], "resource")
    except PolicyError as error:
        raise invalid_input("INVALID_RESOURCE_POLICY_JSON", error.message) from None
    for kind, name in policy.principals():
        if kind != "AWS" or (name.isdigit() and organizations.node(call.tx, organization, name) is None):
            raise invalid_input(
                "INVALID_PRINCIPAL", "You specified an invalid principal element in the policy."
            )
    named = (action for statement in policy.statements for action in statement.actions.texts)
    if not all(map(_may_be_delegated, named)):
        raise invalid_input(
            "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY", "You specified an action that can't be delegated."
        )
    tags = checked(req.get("Tags", ()), organization.delegation_tags)
    organization = organization._replace(
        delegation_id=organization.delegation_id or new_id("rp-", 8),
        delegation=req["Content"],
        delegation_tags=tags,
    )
    organizations.save_organization(call.tx, organization)
    return {"ResourcePolicy": _shown(organization)}


@api.DescribeResourcePolicy.reads(asked(Access.READ, delegation_policy))
def describe_resource_policy(
    call: Call,
    req: Mapping[str, Any],
    target: Target,
) -> api.DescribeResourcePolicyResponse:
    """The delegation policy."""
    return {"ResourcePolicy": _shown(target.organization)}


@api.DeleteResourcePolicy.writes(asked(Access.MANAGEMENT, delegation_policy))
def delete_resource_policy(
    call: Call, req: Mapping[str, Any], target: Target
) -> api.DeleteResourcePolicyResponse:
    """Let no member account manage policies."""
    gone = target.organization._replace(delegation_id="", delegation="", delegation_tags={})
    call.part(Organizations).save_organization(call.tx, gone)
    return {}
