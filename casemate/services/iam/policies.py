"""CreatePolicy, GetPolicy, ListPolicies, ListEntitiesForPolicy, DeletePolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.api import iam
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam.attachments import place_of
from casemate.services.iam.documents import accepted, size
from casemate.services.iam.entities import Entity, Group, Link, ManagedPolicy, Role, User, Version, unique_id
from casemate.services.iam.making import make
from casemate.services.iam.managed_policies import aws_managed
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import POLICY_SIZE
from casemate.services.iam.refusals import conflict, limit_exceeded
from casemate.services.iam.shapes import policy_shape
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.targets import (
    NewTarget,
    Target,
    all_policies,
    named_policy,
    new_policy,
    own_policy,
    when_tagged,
)

_RELATIONS: Mapping[str, str] = {"PermissionsPolicy": "policy", "PermissionsBoundary": "boundary"}
"""PolicyUsageFilter's."""


def accepted_version(document: str) -> str:
    """A managed policy's document. Raises MalformedPolicyDocument, LimitExceeded."""
    accepted(document, "identity")
    if size([document]) > POLICY_SIZE:
        raise limit_exceeded("PolicySize", POLICY_SIZE)
    return document


@iam.CreatePolicy.writes(new_policy, Need("iam:CreatePolicy"), Need("iam:TagPolicy", when_tagged))
def create_policy(
    call: Call, req: iam.CreatePolicyRequest, target: NewTarget[ManagedPolicy]
) -> iam.CreatePolicyResponse:
    """A customer managed policy, with the document as its version v1."""
    entities = call.part(Entities)
    document = accepted_version(req["PolicyDocument"])
    policy = ManagedPolicy(
        account=call.account,
        name=req["PolicyName"],
        path=req.get("Path", "/"),
        id=unique_id(ManagedPolicy.PREFIX),
        created=call.now,
        tags=merged({}, req.get("Tags", [])),
        description=req.get("Description", ""),
        versions={"v1": Version(document, call.now)},
        updated=call.now,
    )
    make(call, policy)
    return {"Policy": policy_shape(call.tx, entities, call.account, policy, whole=True)}


@iam.GetPolicy.reads(named_policy)
def get_policy(call: Call, req: iam.GetPolicyRequest, target: Target[ManagedPolicy]) -> iam.GetPolicyResponse:
    """A managed policy without its document."""
    entities = call.part(Entities)
    return {"Policy": policy_shape(call.tx, entities, call.account, target.entity, whole=True)}


@iam.ListPolicies.reads(all_policies)
def list_policies(call: Call, req: iam.ListPoliciesRequest, target: Resource) -> iam.ListPoliciesResponse:
    """AWS's and the account's managed policies by name."""
    entities = call.part(Entities)
    scope, prefix = req.get("Scope", "All"), req.get("PathPrefix", "/")
    policies: list[ManagedPolicy] = []
    if scope != "AWS":
        policies += entities.page(call.tx, ManagedPolicy, call.account, prefix=prefix)
    if scope != "Local":
        policies += [policy for policy in aws_managed().values() if policy.path.startswith(prefix)]
    relations = (
        [_RELATIONS[req["PolicyUsageFilter"]]] if "PolicyUsageFilter" in req else ["policy", "boundary"]
    )
    if req.get("OnlyAttached") or "PolicyUsageFilter" in req:
        used = entities.targets(call.tx, call.account, relations)
        policies = [policy for policy in policies if policy.arn in used]
    shown, more = Page(call, req).of(policies, lambda policy: place_of(policy.arn))
    shapes = [policy_shape(call.tx, entities, call.account, policy, whole=False) for policy in shown]
    return {"Policies": shapes, **more}  # type: ignore[typeddict-item]


@iam.ListEntitiesForPolicy.reads(named_policy)
def list_entities_for_policy(
    call: Call, req: iam.ListEntitiesForPolicyRequest, target: Target[ManagedPolicy]
) -> iam.ListEntitiesForPolicyResponse:
    """The users, groups and roles that a managed policy is attached to, or whose boundary it is."""
    kinds: tuple[type[Entity], ...] = (Group, Role, User)
    wanted = req.get("EntityFilter")
    usage = req.get("PolicyUsageFilter")
    relations = [_RELATIONS[usage]] if usage is not None else ["policy", "boundary"]
    found: dict[str, Entity] = {}
    for kind in kinds:
        if wanted is not None and wanted.lower() != kind.KIND:
            continue
        for relation in relations:
            link = Link(relation, target.arn)
            for entity in call.part(Entities).referring(call.tx, kind, call.account, link):
                if entity.path.startswith(req.get("PathPrefix", "/")):
                    found[entity.id] = entity
    shown, more = Page(call, req).of(found.values(), lambda entity: f"{entity.KIND} {entity.handle}")
    answer: dict[str, Any] = {"PolicyGroups": [], "PolicyRoles": [], "PolicyUsers": [], **more}
    for entity in shown:
        name = entity.KIND.capitalize()
        answer[f"Policy{name}s"].append({f"{name}Name": entity.name, f"{name}Id": entity.id})
    return answer  # type: ignore[return-value]


@iam.DeletePolicy.writes(own_policy)
def delete_policy(
    call: Call, req: iam.DeletePolicyRequest, target: Target[ManagedPolicy]
) -> iam.DeletePolicyResponse:
    """Delete a policy that is used nowhere, with its only version."""
    entities = call.part(Entities)
    if any(
        entities.count_referring(call.tx, call.account, Link(relation, target.arn))
        for relation in _RELATIONS.values()
    ):
        raise conflict("Cannot delete a policy attached to entities.")
    if len(target.entity.versions) > 1:
        raise conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy."
        )
    entities.remove(call.tx, target.entity)
    return {}
