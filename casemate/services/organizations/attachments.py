"""AttachPolicy, DetachPolicy, ListPoliciesForTarget, ListTargetsForPolicy, EnablePolicyType, DisablePolicyType.

Source: "Number of policies that you can attach to an entity", "Enabling a policy type", "Disabling a policy type".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.organizations import limits, views
from casemate.services.organizations.model import (
    FULL_ACCESS,
    RCP,
    SCP,
    Node,
    Organization,
    PolicyRow,
    node_arn,
)
from casemate.services.organizations.pages import page
from casemate.services.organizations.policies import must_have_all_features
from casemate.services.organizations.refusals import constraint, invalid_input
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import (
    Access,
    Target,
    asked,
    policy_named,
    root_named,
    target_named,
)

_policy = asked(Access.DELEGABLE, policy_named)
_target = asked(Access.DELEGABLE, target_named)


def attachment(call: Call, request: Mapping[str, Any]) -> Target:
    """AttachPolicy's and DetachPolicy's: the policy and, as ``further``, what it is attached to."""
    found = _policy(call, request)
    found.further = _target(call, request)
    found.further.policy_type = found.policy_type
    return found


def _needs(action: str) -> tuple[Need, Need]:
    return Need(action), Need(action, lambda target: target.further)


def _both(found: Target) -> tuple[PolicyRow, Node]:
    assert found.policy_row is not None
    assert found.further is not None
    assert found.further.node is not None
    return found.policy_row, found.further.node


def _must_be_enabled(organization: Organization, policy_type: str) -> None:
    if policy_type not in organization.policy_types:
        raise AwsError(
            "PolicyTypeNotEnabledException", "This operation can be performed only for enabled policy types."
        )


def _of_type(call: Call, organization: Organization, node: Node, policy_type: str) -> list[PolicyRow]:
    organizations = call.part(Organizations)
    policies = (organizations.policy(call.tx, organization, policy_id) for policy_id in node.policies)
    return [policy for policy in policies if policy is not None and policy.type == policy_type]


@api.AttachPolicy.writes(attachment, *_needs("organizations:AttachPolicy"))
def attach_policy(call: Call, req: api.AttachPolicyRequest, found: Target) -> api.AttachPolicyResponse:
    """Attach a policy to a root, a unit or an account. It binds from the next call on."""
    organization = found.organization
    policy, node = _both(found)
    _must_be_enabled(organization, policy.type)
    if policy.id in node.policies:
        raise AwsError(
            "DuplicatePolicyAttachmentException",
            "The selected policy is already attached to the specified target.",
        )
    if len(_of_type(call, organization, node, policy.type)) >= limits.most_attached(policy.type):
        raise constraint(
            "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
            "You have reached the maximum number of policies of this type that can be attached to the target.",
        )
    attached = node._replace(policies=(*node.policies, policy.id))
    call.part(Organizations).save_node(call.tx, organization, attached)
    return {}


@api.DetachPolicy.writes(attachment, *_needs("organizations:DetachPolicy"))
def detach_policy(call: Call, req: api.DetachPolicyRequest, found: Target) -> api.DetachPolicyResponse:
    """Detach a policy. An SCP must stay, and RCPFullAWSAccess always does."""
    organization = found.organization
    policy, node = _both(found)
    _must_be_enabled(organization, policy.type)
    if policy.id not in node.policies:
        raise AwsError(
            "PolicyNotAttachedException",
            "The policy isn't attached to the specified target in the specified root.",
        )
    if policy.aws_managed and policy.type == RCP:
        raise invalid_input("NON_DETACHABLE_POLICY", "You can't detach this AWS managed policy.")
    if policy.type == SCP and len(_of_type(call, organization, node, SCP)) == 1:
        raise constraint(
            "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
            "You cannot remove the last policy attached to the specified target. You must always have at least one "
            "attached at all times.",
        )
    left = node._replace(policies=tuple(each for each in node.policies if each != policy.id))
    call.part(Organizations).save_node(call.tx, organization, left)
    return {}


@api.ListPoliciesForTarget.reads(asked(Access.READ, target_named))
def list_policies_for_target(
    call: Call, req: api.ListPoliciesForTargetRequest, target: Target
) -> api.ListPoliciesForTargetResponse:
    """The policies of a type that are attached to the very root, unit or account."""
    assert target.node is not None
    found = _of_type(call, target.organization, target.node, req["Filter"])
    shown, more = page("ListPoliciesForTarget", req, found, lambda policy: policy.id)
    policies = [views.policy_summary(target.organization, policy) for policy in shown]
    return {"Policies": policies, **more}  # type: ignore[typeddict-item]


@api.ListTargetsForPolicy.reads(asked(Access.READ, policy_named))
def list_targets_for_policy(
    call: Call, req: api.ListTargetsForPolicyRequest, target: Target
) -> api.ListTargetsForPolicyResponse:
    """The roots, units and accounts that a policy is attached to."""
    organization, policy = target.organization, target.policy_row
    assert policy is not None
    nodes = call.part(Organizations).nodes(call.tx, organization)
    found = [node for node in nodes if policy.id in node.policies]
    shown, more = page("ListTargetsForPolicy", req, found, lambda node: node.id)
    targets: list[api.PolicyTargetSummary] = [
        {
            "TargetId": node.id,
            "Arn": node_arn(organization, node.kind, node.id),
            "Name": node.name,
            "Type": cast("api.TargetType", node.kind),
        }
        for node in shown
    ]
    return {"Targets": targets, **more}  # type: ignore[typeddict-item]


@api.EnablePolicyType.writes(asked(Access.DELEGABLE, root_named))
def enable_policy_type(
    call: Call, req: api.EnablePolicyTypeRequest, target: Target
) -> api.EnablePolicyTypeResponse:
    """Let policies of a type be attached. Of SCPs and RCPs, AWS's own policy is then attached everywhere."""
    organization, policy_type = target.organization, req["PolicyType"]
    must_have_all_features(organization)
    if policy_type in organization.policy_types:
        raise AwsError("PolicyTypeAlreadyEnabledException", "The specified policy type is already enabled.")
    types = tuple(sorted((*organization.policy_types, policy_type)))
    return _with_types(call, target, organization._replace(policy_types=types), policy_type, enable=True)


@api.DisablePolicyType.writes(asked(Access.DELEGABLE, root_named))
def disable_policy_type(
    call: Call, req: api.DisablePolicyTypeRequest, target: Target
) -> api.DisablePolicyTypeResponse:
    """Let no policies of a type bind. All of them are detached; they are not attached again when the type is enabled
    again."""
    organization, policy_type = target.organization, req["PolicyType"]
    _must_be_enabled(organization, policy_type)
    types = tuple(each for each in organization.policy_types if each != policy_type)
    return _with_types(call, target, organization._replace(policy_types=types), policy_type, enable=False)


def _with_types(
    call: Call, target: Target, organization: Organization, policy_type: str, *, enable: bool
) -> api.EnablePolicyTypeResponse:
    organizations = call.part(Organizations)
    organizations.save_organization(call.tx, organization)
    own = FULL_ACCESS.get(policy_type)
    for node in organizations.nodes(call.tx, organization):
        gone = {policy.id for policy in _of_type(call, organization, node, policy_type)}
        policies = tuple(each for each in node.policies if each not in gone)
        if enable and own is not None:
            policies = (*policies, own.id)
        if policies != node.policies:
            organizations.save_node(call.tx, organization, node._replace(policies=policies))
    assert target.node is not None
    return {"Root": views.root(organization, target.node)}
