"""What KMS checks of a key policy before it takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.engine.policy import Attached, Policy, PolicyError, Question, parse, prepare, with_names
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.conditions import lookup_for
from casemate.gate.resource import Resource
from casemate.services.kms.keys import default_policy
from casemate.services.kms.naming import key_arn
from casemate.services.kms.quotas import POLICY_SIZE
from casemate.services.kms.rows import KeyRow

_NOBODY = "Policy contains a statement with one or more invalid principals."
_EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


class Accepted(NamedTuple):
    """A key policy's document; principals: as KeyRow's."""

    policy: str
    principals: str


def accepted(call: Call, request: Mapping[str, Any], resource: Resource, arn: str) -> Accepted:
    """The document in ``request["Policy"]``, if it may become the policy of the key.

    resource: what the request was authorised on; arn: the key's. Raises LimitExceededException, and
    MalformedPolicyDocumentException also for a policy that names users or roles who do not exist, or would not let
    the caller change it again, unless the request says that this is meant.
    """
    document: str = request["Policy"]
    most = int(call.limit(POLICY_SIZE)) * 1024
    if len(document.encode()) > most:
        raise AwsError("LimitExceededException", f"Key policy size exceeds the limit of {most} bytes.")
    try:
        policy = parse(document, "key")
    except PolicyError as error:
        raise AwsError("MalformedPolicyDocumentException", error.message) from None
    _must_not_be_overly_permissive(policy)
    ids = call.gate.directory.principal_ids(call.tx, policy)
    if None in ids.values():
        raise AwsError("MalformedPolicyDocumentException", _NOBODY)
    if not request.get("BypassPolicyLockoutSafetyCheck") and not _may_change(
        call, request, resource, arn, policy
    ):
        raise AwsError(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        )
    return Accepted(document, json.dumps(ids) if ids else "")


def accepted_or_usual(
    call: Call, request: Mapping[str, Any], resource: Resource, account: str, region: str, key_id: str
) -> Accepted:
    """The policy of a new key: the request's, checked as ``accepted`` does, or KMS's default."""
    if "Policy" in request:
        return accepted(call, request, resource, key_arn(account, region, key_id))
    return Accepted(default_policy(account, region), "")


def shown(call: Call, row: KeyRow) -> str:
    """A key's policy as it was put, but for users and roles who have another ARN by now, or are no more."""
    return with_names(row.policy, call.gate.directory.principal_names(call.tx, row.named))


def _must_not_be_overly_permissive(policy: Policy) -> None:
    """A set operator that lets everything through which does not have the key. Source: "AWS KMS condition keys"."""
    for condition in (each for statement in policy.statements for each in statement.conditions):
        if not condition.operator.startswith("ForAllValues:"):
            continue
        for prefix, what in (("kms:encryptioncontext:", "encryption context"), ("aws:requesttag/", "tag")):
            if condition.key.startswith(prefix):
                raise AwsError(
                    "MalformedPolicyDocumentException",
                    "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition "
                    f"key matches requests without the specified {what} or with an unspecified {what}. To fix, "
                    "remove ForAllValues.",
                )


def _may_change(call: Call, request: Mapping[str, Any], resource: Resource, arn: str, policy: Policy) -> bool:
    """Whether the policy alone lets the caller put another one, be it by handing the decision to the account's
    identity policies."""
    identity = call.identity
    residual = prepare(
        Question(
            principal=identity.principal,
            attached=Attached(identity=(parse(_EVERYTHING, "identity"),)),
            action="kms:PutKeyPolicy",
            resource=arn,
            resource_account=call.account,
            resource_policy=policy,
            guarded=True,
            known=identity.known,
        )
    )
    return residual.decide(lookup_for(call, resource, request)).allowed
