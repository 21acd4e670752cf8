"""The condition keys of grants, in lower case. Source: "AWS KMS condition keys", "Controlling access to grants"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from casemate.gate.call import Call
from casemate.gate.resource import Value


def operation_of(call: Call) -> str:
    """The name of the operation that is called."""
    return call.route.operation.name if call.route is not None else ""


def context_of(request: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The encryption context that a request gives: CreateGrant gives it in the grant's constraints."""
    context: Mapping[str, str] | None = request.get("EncryptionContext")
    if context is None and "Constraints" in request:
        wanted = request["Constraints"]
        return {
            **wanted.get("EncryptionContextSubset", {}),
            **wanted.get("EncryptionContextEquals", {}),
        }
    return context


def _of_new(member: str) -> Callable[[Call, Mapping[str, Any]], Value]:
    """A member of CreateGrant's request: others have members of the same names."""

    def value(call: Call, request: Mapping[str, Any]) -> Value:
        found: Value = request.get(member) if operation_of(call) == "CreateGrant" else None
        return found

    return value


def _constraint_types(call: Call, request: Mapping[str, Any]) -> Value:
    types = tuple(request.get("Constraints", ())) if operation_of(call) == "CreateGrant" else ()
    return types[0] if len(types) == 1 else types or None


def _for_aws_resource(call: Call, _request: Mapping[str, Any]) -> Value:
    if operation_of(call) not in ("CreateGrant", "ListGrants", "RevokeGrant"):
        return None
    return "true" if call.via else "false"


OF_GRANTS: Mapping[str, Callable[[Call, Mapping[str, Any]], Value]] = {
    "kms:grantconstraintsourcearn": lambda _, request: request.get("Constraints", {}).get("SourceArn"),
    "kms:grantconstrainttype": _constraint_types,
    "kms:granteeprincipal": _of_new("GranteePrincipal"),
    "kms:granteeserviceprincipal": _of_new("GranteeServicePrincipal"),
    "kms:grantisforawsresource": _for_aws_resource,
    "kms:grantoperations": _of_new("Operations"),
    "kms:retiringprincipal": _of_new("RetiringPrincipal"),
    "kms:retiringserviceprincipal": _of_new("RetiringServicePrincipal"),
}
