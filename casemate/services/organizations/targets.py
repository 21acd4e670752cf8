"""What a request acts on, and whether its account may ask for that at all.

Three things must hold: the account's part in the organisation (``Access``), the caller's permission, which the gate
finds out, and that the thing exists. A member account's principals get a part of the management account's by being a
delegated administrator: by registration for some service, which lets them read, or by the organisation's delegation
policy, which then must allow, as their own policies must. Source: "Delegated administrator for AWS
Organizations".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from casemate.engine.policy import parse
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need, Resolver
from casemate.gate.resource import Resource, Value
from casemate.services.organizations.model import (
    ACCOUNT,
    Node,
    Organization,
    PolicyRow,
    kind_of,
    node_arn,
    policy_arn,
)
from casemate.services.organizations.refusals import (
    no_account,
    no_child,
    no_parent,
    no_permission,
    no_policy,
    no_root,
    no_target,
    no_unit,
    not_in_use,
)
from casemate.services.organizations.state import Organizations


class Access(Enum):
    """Whose accounts may ask for it."""

    MANAGEMENT = "the management account's"
    DELEGABLE = "and of those whom the delegation policy lets"
    READ = "and of all delegated administrators"
    MEMBER = "all of the organisation's"


class Target(Resource):
    """What an operation acts on, as policies see it. node, policy_row: the row of it, as far as it is one; further:
    what a second permission is needed on; policy_type: for organizations:PolicyType."""

    __slots__ = ("_organization", "_tags", "further", "node", "policy_row", "policy_type", "tags_asked")

    def __init__(
        self,
        arn: str,
        account: str,
        organization: Organization | None,
        *,
        delegation: bool = False,
        missing: AwsError | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        policy = None
        if delegation and organization is not None:
            account = organization.management
            policy = parse(organization.delegation, "resource").named(delegation_arn(organization))
        super().__init__(arn, account, policy=policy, missing=missing)
        self._organization = organization
        self._tags = tags or {}
        self.further: Target | None = None
        self.node: Node | None = None
        self.policy_type = ""
        self.tags_asked = False
        self.policy_row: PolicyRow | None = None

    @property
    def organization(self) -> Organization:
        """For handlers, which run only where there is one."""
        assert self._organization is not None
        return self._organization

    def tags(self) -> Mapping[str, str]:
        return self._tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        if key == "organizations:policytype":
            return (
                self.policy_type or request.get("PolicyType") or request.get("Filter") or request.get("Type")
            )
        if key == "organizations:serviceprincipal":
            service: str | None = request.get("ServicePrincipal")
            return service
        tags = request.get("Tags", ())
        if key == "aws:tagkeys":
            return request.get("TagKeys") or [tag["Key"] for tag in tags] or None
        if key.startswith("aws:requesttag/"):
            wanted = key[15:]
            return next((tag["Value"] for tag in tags if tag["Key"].lower() == wanted), None)
        return None


def and_tags(action: str) -> tuple[Need, Need]:
    """What an operation needs that may tag what it makes."""
    return Need(action), Need(
        "organizations:TagResource", lambda target: target if target.tags_asked else None
    )


def delegation_arn(organization: Organization) -> str:
    """The ARN of the delegation policy, there or not."""
    return organization.arn_of("resourcepolicy", organization.delegation_id or "rp-none")


Found = Callable[
    [Call, Organization, Mapping[str, Any]], tuple[str, Node | PolicyRow | None, AwsError | None]
]
"""What the request names: its ARN; its row, if it is one; the error when there is no such thing."""


def asked(access: Access, found: Found | None = None) -> Resolver[Target]:
    """The resolver of operations of an access on what the request names; without ``found``, on nothing of its
    own."""

    def resolve(call: Call, request: Mapping[str, Any]) -> Target:
        organizations = call.part(Organizations)
        membership = organizations.membership(call.tx, call.account)
        if membership is None:
            return Target("*", call.account, None, missing=not_in_use())
        organization, _ = membership
        arn, row, missing = ("*", None, None) if found is None else found(call, organization, request)
        delegation = False
        if not _may(call, access, organization):
            delegation = bool(organization.delegation) and access in (Access.DELEGABLE, Access.READ)
            if not delegation:
                missing = no_permission()
        target = Target(
            arn,
            call.account,
            organization,
            delegation=delegation,
            missing=missing,
            tags=None if row is None else row.tags,
        )
        target.tags_asked = bool(request.get("Tags"))
        if isinstance(row, Node):
            target.node = row
        elif row is not None:
            target.policy_row = row
            target.policy_type = row.type
        return target

    return resolve


def _may(call: Call, access: Access, organization: Organization) -> bool:
    if call.account == organization.management or access is Access.MEMBER:
        return True
    if access is not Access.READ:
        return False
    delegates = call.part(Organizations).delegations(call.tx, organization)
    return any(account == call.account for account, _, _ in delegates)


def _node(member: str, missing: Callable[[], AwsError], kind: str = "") -> Found:
    def found(
        call: Call, organization: Organization, request: Mapping[str, Any]
    ) -> tuple[str, Node | None, AwsError | None]:
        node_id = request[member]
        node = call.part(Organizations).node(call.tx, organization, node_id)
        if node is not None and kind and node.kind != kind:
            node = None
        arn = node_arn(organization, kind_of(node_id), node_id)
        return arn, node, missing() if node is None else None

    return found


account_named = _node("AccountId", no_account, ACCOUNT)
unit_named = _node("OrganizationalUnitId", no_unit)
parent_named = _node("ParentId", no_parent)
child_named = _node("ChildId", no_child)
root_named = _node("RootId", no_root)
target_named = _node("TargetId", no_target)


def policy_named(
    call: Call, organization: Organization, request: Mapping[str, Any]
) -> tuple[str, PolicyRow | None, AwsError | None]:
    """PolicyId, the organisation's or AWS's own."""
    policy_id = request["PolicyId"]
    policy = call.part(Organizations).policy(call.tx, organization, policy_id)
    if policy is None:
        # Nothing tells the type, which is in the ARN, of what is not there.
        return organization.arn_of("policy", "*", policy_id), None, no_policy()
    return policy_arn(organization, policy), policy, None


def tagged(
    call: Call, organization: Organization, request: Mapping[str, Any]
) -> tuple[str, Any, AwsError | None]:
    """ResourceId: a node, a policy, or the delegation policy."""
    resource_id = request["ResourceId"]
    if resource_id.startswith("p-"):
        arn, policy, missing = policy_named(call, organization, {"PolicyId": resource_id})
        if policy is None or policy.aws_managed:
            return arn, None, no_target()
        return arn, policy, missing
    if resource_id.startswith("rp-"):
        arn = organization.arn_of("resourcepolicy", resource_id)
        return arn, None, None if resource_id == organization.delegation_id else no_target()
    if resource_id.startswith("rt-"):
        return organization.arn_of("transfer", resource_id), None, no_target()
    return target_named(call, organization, {"TargetId": resource_id})


def delegation_policy(
    call: Call,
    organization: Organization,
    request: Mapping[str, Any],
) -> tuple[str, None, AwsError | None]:
    """The organisation's delegation policy."""
    missing = None
    if not organization.delegation:
        missing = AwsError(
            "ResourcePolicyNotFoundException",
            "We can't find a resource policy request with the parameter that you specified.",
        )
    return delegation_arn(organization), None, missing
