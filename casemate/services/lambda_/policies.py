"""AddPermission, RemovePermission, GetPolicy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.engine.policy import parse, with_names
from casemate.errors import AwsError
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.naming import LATEST, qualified
from casemate.services.lambda_.permissions import MOST_BYTES, document, statement
from casemate.services.lambda_.refusals import absent, conflict, invalid, other_revision
from casemate.services.lambda_.rows import Permissions
from casemate.services.lambda_.targets import Target, need, qualified_function

if TYPE_CHECKING:
    from casemate.gate.call import Call

_NONE = Permissions({}, {}, "")


def _permissions(target: Target) -> Permissions:
    """The policy of the qualifier. $LATEST has none of its own."""
    qualifier = target.named.qualifier
    if qualifier == LATEST:
        raise invalid(
            "We currently do not support adding policies for $LATEST. Please specify a version or an alias."
        )
    return target.found.row.policies.get(qualifier, _NONE)


def _save(call: Call, target: Target, permissions: Permissions) -> None:
    row, qualifier = target.found.row, target.named.qualifier
    policies = {name: each for name, each in row.policies.items() if name != qualifier}
    if permissions.statements:
        policies[qualifier] = permissions
    call.part(Functions).save(call.tx, row._replace(policies=policies))


@lambda_.AddPermission.writes(qualified_function, need("lambda:AddPermission"))
def add_permission(
    call: Call, req: lambda_.AddPermissionRequest, target: Target
) -> lambda_.AddPermissionResponse:
    """Let a service, an account or one of its users or roles use the function, a version or an alias of it: a
    statement of its resource policy."""
    permissions = _permissions(target)
    if req.get("RevisionId") not in (None, "", permissions.revision):
        raise other_revision("Policy")
    sid = req["StatementId"]
    if sid in permissions.statements:
        raise conflict(
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the "
            "existing statement."
        )
    made = statement(req, qualified(target.named.place, target.named.qualifier), call.region)
    ids = call.gate.directory.principal_ids(call.tx, parse(document({sid: made}), "resource"))
    if None in ids.values():
        raise invalid("The provided principal was invalid. Please check the principal and try again.")
    statements = {**permissions.statements, sid: made}
    length = len(document(statements).encode())
    if length > MOST_BYTES:
        raise AwsError(
            "PolicyLengthExceededException",
            f"The final policy size ({length}) is bigger than the limit ({MOST_BYTES}).",
            Type="User",
        )
    principals = {**permissions.principals, **{arn: each for arn, each in ids.items() if each is not None}}
    _save(call, target, Permissions(statements, principals, new_uuid()))
    return {"Statement": json.dumps(made, separators=(",", ":"), ensure_ascii=False)}


@lambda_.RemovePermission.writes(qualified_function, need("lambda:RemovePermission"))
def remove_permission(
    call: Call, req: lambda_.RemovePermissionRequest, target: Target
) -> lambda_.RemovePermissionResponse:
    """Take a statement out of the resource policy."""
    permissions = _permissions(target)
    if not permissions.statements:
        raise absent(f"No policy is found for: {target.resource.arn}")
    sid = req["StatementId"]
    if sid not in permissions.statements:
        raise absent(f"Statement {sid} is not found in resource policy.")
    if req.get("RevisionId") not in (None, "", permissions.revision):
        raise other_revision("Policy")
    kept = {name: each for name, each in permissions.statements.items() if name != sid}
    named = document(kept)
    principals = {arn: each for arn, each in permissions.principals.items() if json.dumps(arn) in named}
    _save(call, target, Permissions(kept, principals, new_uuid()))
    return {}


@lambda_.GetPolicy.reads(qualified_function, need("lambda:GetPolicy"))
def get_policy(call: Call, req: lambda_.GetPolicyRequest, target: Target) -> lambda_.GetPolicyResponse:
    """The resource policy of the function, a version or an alias; who is no more is shown by their unique id."""
    permissions = target.found.row.policies.get(target.named.qualifier, _NONE)
    if not permissions.statements:
        raise absent("The resource you requested does not exist.")
    text = document(permissions.statements)
    if permissions.principals:
        text = with_names(text, call.gate.directory.principal_names(call.tx, permissions.principals))
    return {"Policy": text, "RevisionId": permissions.revision}
