"""Resource policies: which services may write to the account's log groups.

Source: "PutResourcePolicy", "Overview of managing access permissions to your CloudWatch Logs resources".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import logs
from casemate.engine.policy import PolicyError, parse
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs.policy_store import Policies, ResourcePolicy
from casemate.services.logs.refusals import bad_token, invalid
from casemate.services.logs.targets import anywhere

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.resource import Resource

MOST = 10


def _must_be_of_the_account(request: Mapping[str, Any]) -> None:
    if "resourceArn" in request or request.get("policyScope", "ACCOUNT") != "ACCOUNT":
        raise invalid("Resource policies of single resources are not supported.")
    if "expectedRevisionId" in request:
        raise invalid("expectedRevisionId is for resource policies of single resources.")


def _shown(policy: ResourcePolicy) -> logs.ResourcePolicy:
    return {
        "policyName": policy.name,
        "policyDocument": policy.document,
        "lastUpdatedTime": policy.updated,
        "policyScope": "ACCOUNT",
    }


@logs.PutResourcePolicy.writes(anywhere)
def put_resource_policy(
    call: Call, req: logs.PutResourcePolicyRequest, target: Resource
) -> logs.PutResourcePolicyResponse:
    """Let services write to the account's groups: a policy of that name, or another text of it."""
    _must_be_of_the_account(req)
    name, document = req.get("policyName"), req.get("policyDocument")
    if not name or not document:
        raise invalid("policyName and policyDocument are required.")
    try:
        parsed = parse(document, "resource")
    except PolicyError as error:
        raise invalid(f"Invalid resource policy: {error}") from None
    if parsed.version != "2012-10-17":
        raise invalid("Invalid resource policy: its Version must be 2012-10-17.")
    policies = call.part(Policies)
    others = [each for each in policies.all(call.tx, call.account, call.region) if each.name != name]
    if len(others) >= MOST:
        raise AwsError("LimitExceededException", "Resource limit exceeded.")
    policy = ResourcePolicy(name, document, int(call.now * 1000))
    policies.put(call.tx, call.account, call.region, policy)
    return {"resourcePolicy": _shown(policy)}


@logs.DeleteResourcePolicy.writes(anywhere)
def delete_resource_policy(
    call: Call, req: logs.DeleteResourcePolicyRequest, target: Resource
) -> logs.DeleteResourcePolicyResponse:
    """Take a policy away."""
    _must_be_of_the_account(req)
    name = req.get("policyName")
    if not name:
        raise invalid("policyName is required.")
    if not call.part(Policies).remove(call.tx, call.account, call.region, name):
        raise AwsError("ResourceNotFoundException", f"Policy with name [{name}] does not exist")
    return {}


@logs.DescribeResourcePolicies.reads(anywhere)
def describe_resource_policies(
    call: Call, req: logs.DescribeResourcePoliciesRequest, target: Resource
) -> logs.DescribeResourcePoliciesResponse:
    """The account's policies by name."""
    _must_be_of_the_account(req)
    token, limit = req.get("nextToken"), req.get("limit", 50)
    after = "" if token is None else read_marker("DescribeResourcePolicies", token)
    if after is None:
        raise bad_token()
    found = [
        each for each in call.part(Policies).all(call.tx, call.account, call.region) if each.name > after
    ]
    answer: logs.DescribeResourcePoliciesResponse = {
        "resourcePolicies": [_shown(each) for each in found[:limit]]
    }
    if len(found) > limit:
        answer["nextToken"] = write_marker("DescribeResourcePolicies", found[limit - 1].name)
    return answer
