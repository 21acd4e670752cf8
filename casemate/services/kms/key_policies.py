"""What KMS checks of a key policy before it takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.engine.policy import Attached, Policy, PolicyError, Question, parse, prepare
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.conditions import lookup_for
from casemate.gate.resource import Resource
from casemate.services.kms.quotas import POLICY_SIZE

_EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


def accepted(call: Call, request: Mapping[str, Any], resource: Resource, arn: str) -> str:
    """The document in ``request["Policy"]``, if it may become the policy of the key.

    resource: what the request was authorised on; arn: the key's. Raises MalformedPolicyDocumentException, also for
    a policy that would not let the caller change it again unless the request says that this is meant, and
    LimitExceededException.
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
    if not request.get("BypassPolicyLockoutSafetyCheck") and not _may_change(
        call, request, resource, arn, policy
    ):
        raise AwsError(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        )
    return document


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
