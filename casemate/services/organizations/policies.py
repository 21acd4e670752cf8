"""CreatePolicy, UpdatePolicy, DescribePolicy, DeletePolicy, ListPolicies."""

from __future__ import annotations

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import limits, views
from casemate.services.organizations.documents import accepted
from casemate.services.organizations.model import ALL_FEATURES, FULL_ACCESS, Organization, PolicyRow, new_id
from casemate.services.organizations.pages import page
from casemate.services.organizations.refusals import constraint, invalid_input
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.tags import checked
from casemate.services.organizations.targets import Access, Target, and_tags, asked, policy_named


def must_have_all_features(organization: Organization) -> None:
    """Policies come with all features."""
    if organization.feature_set != ALL_FEATURES:
        raise AwsError(
            "PolicyTypeNotAvailableForOrganizationException",
            "This operation can be performed only when all features are enabled in the organization.",
        )


def changeable(target: Target) -> PolicyRow:
    """The policy that the request names, which is not AWS's own."""
    policy = target.policy_row
    assert policy is not None
    if policy.aws_managed:
        raise invalid_input("IMMUTABLE_POLICY", "You can't modify a policy that is managed by AWS.")
    return policy


def _duplicate() -> AwsError:
    return AwsError("DuplicatePolicyException", "A policy with the specified name and type already exists.")


@api.CreatePolicy.writes(asked(Access.DELEGABLE), *and_tags("organizations:CreatePolicy"))
def create_policy(call: Call, req: api.CreatePolicyRequest, target: Target) -> api.CreatePolicyResponse:
    """Make a policy of any type, attached to nothing yet."""
    organizations, organization = call.part(Organizations), target.organization
    must_have_all_features(organization)
    policy_type, name = req["Type"], req["Name"]
    content = accepted(policy_type, req["Content"])
    tags = checked(req.get("Tags", ()))
    others = organizations.policies(call.tx, organization, policy_type)
    if len(others) >= limits.most_policies(policy_type):
        raise constraint("POLICY_NUMBER_LIMIT_EXCEEDED", "You have exceeded the allowed number of policies.")
    if policy_type in FULL_ACCESS and name == FULL_ACCESS[policy_type].name:
        raise _duplicate()
    policy = PolicyRow(
        organization.id, new_id("p-", 10), policy_type, name, req["Description"], content, tags, call.now
    )
    if not organizations.add_policy(call.tx, organization, policy):
        raise _duplicate()
    return {"Policy": views.policy(organization, policy)}


@api.UpdatePolicy.writes(asked(Access.DELEGABLE, policy_named))
def update_policy(call: Call, req: api.UpdatePolicyRequest, target: Target) -> api.UpdatePolicyResponse:
    """Change a policy's name, description or document. Where it is attached, it binds as changed from the next call
    on."""
    organizations, organization = call.part(Organizations), target.organization
    policy = changeable(target)
    name = req.get("Name", policy.name)
    if name != policy.name:
        others = {each.name for each in organizations.policies(call.tx, organization, policy.type)}
        if policy.type in FULL_ACCESS:
            others.add(FULL_ACCESS[policy.type].name)
        if name in others:
            raise _duplicate()
    policy = policy._replace(
        name=name,
        description=req.get("Description", policy.description),
        content=accepted(policy.type, req["Content"]) if "Content" in req else policy.content,
        updated=call.now,
    )
    organizations.save_policy(call.tx, organization, policy)
    return {"Policy": views.policy(organization, policy)}


@api.DescribePolicy.reads(asked(Access.READ, policy_named))
def describe_policy(
    call: Call,
    req: api.DescribePolicyRequest,
    target: Target,
) -> api.DescribePolicyResponse:
    """A policy with its document."""
    assert target.policy_row is not None
    return {"Policy": views.policy(target.organization, target.policy_row)}


@api.DeletePolicy.writes(asked(Access.DELEGABLE, policy_named))
def delete_policy(call: Call, req: api.DeletePolicyRequest, target: Target) -> api.DeletePolicyResponse:
    """Delete a policy that is attached to nothing."""
    organizations = call.part(Organizations)
    policy = changeable(target)
    if any(policy.id in node.policies for node in organizations.nodes(call.tx, target.organization)):
        raise AwsError(
            "PolicyInUseException",
            "The policy is attached to one or more entities. You must detach it from all roots, OUs, and accounts "
            "before performing this operation.",
        )
    organizations.remove_policy(call.tx, policy)
    return {}


@api.ListPolicies.reads(asked(Access.READ))
def list_policies(call: Call, req: api.ListPoliciesRequest, target: Target) -> api.ListPoliciesResponse:
    """The policies of a type, AWS's own among them."""
    organization = target.organization
    found = call.part(Organizations).policies(call.tx, organization, req["Filter"])
    if req["Filter"] in FULL_ACCESS and organization.feature_set == ALL_FEATURES:
        found = [FULL_ACCESS[req["Filter"]], *found]
    shown, more = page("ListPolicies", req, found, lambda policy: policy.id)
    policies = [views.policy_summary(organization, policy) for policy in shown]
    return {"Policies": policies, **more}  # type: ignore[typeddict-item]
