"""DescribeEffectivePolicy: what the management policies of a type are, all in all, for an account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from casemate.api import organizations as api
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.organizations import views
from casemate.services.organizations.documents import loaded
from casemate.services.organizations.inheritance import effective
from casemate.services.organizations.model import ACCOUNT, kind_of
from casemate.services.organizations.refusals import invalid_input
from casemate.services.organizations.state import Organizations
from casemate.services.organizations.targets import Access, Target, asked, target_named

_own = asked(Access.MEMBER, target_named)
_other = asked(Access.READ, target_named)


def effective_for(call: Call, request: Mapping[str, Any]) -> Target:
    """TargetId, the caller's own account by default; another one's is its organisation's to see."""
    wanted = request.get("TargetId", call.account)
    resolve = _own if wanted == call.account else _other
    return resolve(call, {**request, "TargetId": wanted})


@api.DescribeEffectivePolicy.reads(effective_for)
def describe_effective_policy(
    call: Call, req: api.DescribeEffectivePolicyRequest, target: Target
) -> api.DescribeEffectivePolicyResponse:
    """The policies of a type over an account, merged from the root down."""
    organizations, organization, node = call.part(Organizations), target.organization, target.node
    assert node is not None
    if kind_of(node.id) != ACCOUNT:
        raise invalid_input("TARGET_NOT_SUPPORTED", "You can't perform the operation on a root or an OU.")
    policy_type = req["PolicyType"]
    levels: list[list[dict[str, Any]]] = []
    updated = 0.0
    if policy_type in organization.policy_types:
        for each in organizations.branch(call.tx, organization, node):
            found = (organizations.policy(call.tx, organization, policy_id) for policy_id in each.policies)
            policies = [policy for policy in found if policy is not None and policy.type == policy_type]
            levels.append([_document(policy_type, policy.content) for policy in policies])
            updated = max([updated, *(policy.updated for policy in policies)])
    if not any(levels):
        raise AwsError(
            "EffectivePolicyNotFoundException", "The account doesn't have an effective policy of this type."
        )
    return {
        "EffectivePolicy": {
            "PolicyContent": json.dumps(effective(levels), separators=(",", ":")),
            "LastUpdatedTimestamp": views.moment(updated),
            "TargetId": node.id,
            "PolicyType": policy_type,
        }
    }


def _document(policy_type: str, content: str) -> dict[str, Any]:
    document = loaded(content)
    tags = document.get("tags")
    if policy_type == "TAG_POLICY" and isinstance(tags, dict):
        # Tag keys are the same whatever their case; how they are to be written is a setting of theirs.
        document["tags"] = {
            key if key.startswith("@@") else key.lower(): value for key, value in tags.items()
        }
    return document
