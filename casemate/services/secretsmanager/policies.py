"""GetResourcePolicy, PutResourcePolicy, DeleteResourcePolicy, ListResourcePolicies, ValidateResourcePolicy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from casemate.api import secretsmanager
from casemate.engine.policy import Policy, PolicyError, parse, with_names
from casemate.engine.policy.public import is_public
from casemate.errors import AwsError
from casemate.gate.authorise import decide
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.secretsmanager import quotas, replication
from casemate.services.secretsmanager.refusals import invalid_parameter, invalid_token, malformed_policy
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.targets import account_wide, named_secret

DEFAULT = "default"
"""The one policy of a secret."""


class _Accepted(NamedTuple):
    """A policy that may be a secret's. principals: as SecretRow's."""

    document: str
    principals: str
    policy: Policy


def _accepted(call: Call, document: str) -> _Accepted:
    """Raises MalformedPolicyDocumentException, also for a policy that names users or roles who do not exist."""
    try:
        policy = parse(document, "resource")
    except PolicyError as error:
        raise malformed_policy(error.message) from None
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise malformed_policy("This resource policy contains an unsupported principal.")
    named = with_names(document, cast("Mapping[str, str]", ids))
    return _Accepted(document, json.dumps(ids) if ids else "", parse(named, "resource"))


def _must_be_default(request: Mapping[str, Any]) -> None:
    """Raises InvalidParameterException."""
    if request.get("PolicyName", DEFAULT) != DEFAULT:
        raise invalid_parameter("You can only modify the resource policy whose name is default.")


@secretsmanager.GetResourcePolicy.reads(named_secret, quota=quotas.POLICIES)
def get_resource_policy(
    call: Call, req: secretsmanager.GetResourcePolicyRequest, secret: Secret
) -> secretsmanager.GetResourcePolicyResponse:
    """The secret's policy as it was put, if it has one; who is no more is shown by their unique id."""
    secret.must_not_be_deleted()
    if req.get("PolicyName", DEFAULT) != DEFAULT:
        raise AwsError(
            "ResourceNotFoundException", "Secrets Manager can't find the specified resource policy."
        )
    row = secret.row
    answer: dict[str, Any] = {"ARN": row.arn, "Name": row.name, "PolicyName": DEFAULT}
    if row.policy:
        answer["ResourcePolicy"] = _shown(call, row)
    return cast("secretsmanager.GetResourcePolicyResponse", answer)


def _shown(call: Call, row: SecretRow) -> str:
    if not row.principals:
        return row.policy
    return with_names(row.policy, call.gate.directory.principal_names(call.tx, row.named))


@secretsmanager.ListResourcePolicies.reads(named_secret)
def list_resource_policies(
    call: Call, req: secretsmanager.ListResourcePoliciesRequest, secret: Secret
) -> secretsmanager.ListResourcePoliciesResponse:
    """The name of the secret's policy, if it has one."""
    secret.must_not_be_deleted()
    if "NextToken" in req:
        raise invalid_token()
    return {"ResourcePolicies": [{"PolicyName": DEFAULT}] if secret.row.policy else []}


@secretsmanager.PutResourcePolicy.writes(named_secret, quota=quotas.POLICIES)
def put_resource_policy(
    call: Call, req: secretsmanager.PutResourcePolicyRequest, secret: Secret
) -> secretsmanager.PutResourcePolicyResponse:
    """Replace the secret's policy; where that is asked for, not by one that gives the public access."""
    secret.must_be_changeable()
    _must_be_default(req)
    put = _accepted(call, req["ResourcePolicy"])
    if req.get("BlockPublicPolicy") and is_public(put.document):
        raise AwsError(
            "PublicPolicyException",
            "The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad "
            "access to the secret.",
        )
    _save(call, secret.row._replace(policy=put.document, principals=put.principals))
    return {"ARN": secret.arn, "Name": secret.row.name, "PolicyName": DEFAULT}


@secretsmanager.DeleteResourcePolicy.writes(named_secret, quota=quotas.POLICIES)
def delete_resource_policy(
    call: Call, req: secretsmanager.DeleteResourcePolicyRequest, secret: Secret
) -> secretsmanager.DeleteResourcePolicyResponse:
    """Remove the secret's policy; that it has none is no error."""
    secret.must_be_changeable()
    _must_be_default(req)
    _save(call, secret.row._replace(policy="", principals=""))
    return {"ARN": secret.arn, "Name": secret.row.name, "PolicyName": DEFAULT}


def _save(call: Call, row: SecretRow) -> None:
    call.part(Secrets).save(call.tx, replication.followed(call, row._replace(changed=call.now)))


def _validated(call: Call, request: Mapping[str, Any]) -> Resource:
    """The secret that the policy is for; without one, the account."""
    return named_secret(call, request) if "SecretId" in request else account_wide(call, request)


@secretsmanager.ValidateResourcePolicy.writes(
    _validated,
    Need("secretsmanager:ValidateResourcePolicy"),
    Need("secretsmanager:PutResourcePolicy"),
    quota=quotas.POLICIES,
    read_only=True,
)
def validate_resource_policy(
    call: Call, req: secretsmanager.ValidateResourcePolicyRequest, target: Resource
) -> secretsmanager.ValidateResourcePolicyResponse:
    """Whether a policy would give the public access, or take from the caller the permission to put another one."""
    put = _accepted(call, req["ResourcePolicy"])
    errors: list[secretsmanager.ValidationErrorsEntry] = []
    if is_public(put.document):
        errors.append(
            {
                "CheckName": "PublicAccess",
                "ErrorMessage": "The resource policy grants broad access to the secret.",
            }
        )
    if isinstance(target, Secret):
        after = Secret(target.row, put.policy)
        if not decide(call, "secretsmanager:PutResourcePolicy", after, req).allowed:
            errors.append(
                {
                    "CheckName": "CallerLockout",
                    "ErrorMessage": "The resource policy would not allow you to put another one.",
                }
            )
    return {"PolicyValidationPassed": not errors, "ValidationErrors": errors}
