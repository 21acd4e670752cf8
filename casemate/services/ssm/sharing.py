"""PutResourcePolicy, GetResourcePolicies, DeleteResourcePolicy: parameters shared with other accounts. Source:
"Working with shared parameters in Parameter Store"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from casemate.api import ssm
from casemate.engine.policy import Policy, PolicyError, parse
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.random_ids import new_uuid
from casemate.services.ssm.naming import SERVICE, any_name, parameter_arn
from casemate.services.ssm.pages import begin, more
from casemate.services.ssm.parameter import TYPE, Parameter
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.rows import ADVANCED, Share
from casemate.services.ssm.secure import DEFAULT_KEY
from casemate.services.ssm.targets import Absent, Target, need

MOST = 10
LONGEST = 1024
"""Bytes of a policy."""

_ACTIONS = frozenset(
    f"ssm:{name}" for name in ("describeparameters", "getparameter", "getparameterhistory", "getparameters")
)
_PAGE = 50


def shareable(call: Call, request: Mapping[str, Any]) -> Target:
    """ResourceArn: a parameter of the account. What else Systems Manager could share there is none of."""
    text: str = request["ResourceArn"]
    prefix = parameter_arn(call.account, call.region, "/")
    missing = AwsError("ResourceNotFoundException", "The specified resource could not be found.")
    try:
        named = any_name(text, call.account, call.region)
    except AwsError:
        named = None
    if named is None or not text.startswith(prefix) or named.selector or named.place.path.startswith(SERVICE):
        raise AwsError(
            "ResourcePolicyInvalidParameterException",
            "The resource ARN isn't valid: it must be the ARN of a parameter of this account and Region.",
        )
    parameter = call.part(Parameters).find(call, named.place)
    if parameter is None:
        return Target(named, Absent(named.place.arn, call.account, type=TYPE, missing=missing), None)
    return Target(named, parameter, parameter)


@ssm.PutResourcePolicy.writes(shareable, need("ssm:PutResourcePolicy"))
def put_resource_policy(
    call: Call, req: ssm.PutResourcePolicyRequest, target: Target
) -> ssm.PutResourcePolicyResponse:
    """Let others read an advanced parameter: a new policy, or with its PolicyId and PolicyHash another text of
    one."""
    parameter = target.found
    _must_be_shareable(parameter)
    document = req["Policy"]
    principals = _accepted(call, parameter, document)
    shares = list(parameter.row.shares)
    policy_id = req.get("PolicyId")
    if policy_id is None:
        if len(shares) == MOST:
            raise AwsError(
                "ResourcePolicyLimitExceededException", f"A parameter can have a maximum of {MOST} policies."
            )
        policy_id = new_uuid()
    else:
        shares.remove(_matching(parameter, policy_id, req.get("PolicyHash")))
    made = Share(policy_id, sha256(document.encode()).hexdigest(), document, principals)
    call.part(Parameters).save(call.tx, parameter.row._replace(shares=(*shares, made)))
    return {"PolicyId": made.id, "PolicyHash": made.hash}


@ssm.DeleteResourcePolicy.writes(shareable, need("ssm:DeleteResourcePolicy"))
def delete_resource_policy(
    call: Call, req: ssm.DeleteResourcePolicyRequest, target: Target
) -> ssm.DeleteResourcePolicyResponse:
    """Take a policy away."""
    row = target.found.row
    gone = _matching(target.found, req["PolicyId"], req["PolicyHash"])
    kept = tuple(each for each in row.shares if each != gone)
    call.part(Parameters).save(call.tx, row._replace(shares=kept))
    return {}


@ssm.GetResourcePolicies.reads(shareable, need("ssm:GetResourcePolicies"))
def get_resource_policies(
    call: Call, req: ssm.GetResourcePoliciesRequest, target: Target
) -> ssm.GetResourcePoliciesResponse:
    """A parameter's policies by id."""
    most = req.get("MaxResults", _PAGE)
    after = begin("GetResourcePolicies", req)
    shares = sorted(each for each in target.found.row.shares if each.id > after)
    shown: list[ssm.GetResourcePoliciesResponseEntry] = [
        {"PolicyId": each.id, "PolicyHash": each.hash, "Policy": each.policy} for each in shares[:most]
    ]
    if len(shares) <= most:
        return {"Policies": shown}
    return {"Policies": shown, **more("GetResourcePolicies", shares[most - 1].id)}  # type: ignore[typeddict-item]


def _must_be_shareable(parameter: Parameter) -> None:
    version = parameter.current
    if version.tier != ADVANCED:
        raise AwsError(
            "ResourcePolicyInvalidParameterException",
            "The parameter can't be shared: it must be in the advanced parameter tier.",
        )
    if version.key_id == DEFAULT_KEY:
        raise AwsError(
            "ResourcePolicyInvalidParameterException",
            "The parameter can't be shared: it must be encrypted with a customer managed key.",
        )


def _matching(parameter: Parameter, policy_id: str, policy_hash: str | None) -> Share:
    found = next((each for each in parameter.row.shares if each.id == policy_id), None)
    if found is None:
        raise AwsError(
            "ResourcePolicyNotFoundException",
            "No policies with the specified policy ID and hash could be found.",
        )
    if found.hash != policy_hash:
        raise AwsError(
            "ResourcePolicyConflictException", "The hash provided in the call doesn't match the stored hash."
        )
    return found


def _accepted(call: Call, parameter: Parameter, document: str) -> dict[str, str]:
    """The unique ids of those whom a policy names by ARN, if it may become one of the parameter's."""
    if len(document.encode()) > LONGEST:
        raise AwsError(
            "ResourcePolicyLimitExceededException", f"A policy can't be greater than {LONGEST} bytes in size."
        )
    try:
        policy = parse(document, "resource")
    except PolicyError as error:
        raise _malformed(error.message) from None
    _check_statements(parameter, document, policy)
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise _malformed("The policy names a principal that does not exist.")
    return {arn: found for arn, found in ids.items() if found is not None}


def _check_statements(parameter: Parameter, document: str, policy: Policy) -> None:
    for statement in policy.statements:
        if statement.actions.negated or not set(statement.actions.texts) <= _ACTIONS:
            raise _malformed(
                "A parameter is shared for ssm:DescribeParameters, ssm:GetParameter, ssm:GetParameterHistory and "
                "ssm:GetParameters only."
            )
    stated = json.loads(document)["Statement"]
    for each in stated if isinstance(stated, list) else [stated]:
        if each.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]}) and not each.get("Condition"):
            raise _malformed("A policy that is for everybody must have a condition.")
        if each.get("Resource") not in (parameter.arn, [parameter.arn]):
            raise _malformed("The Resource of each statement must be the ARN of the parameter.")


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedResourcePolicyDocumentException", message)
