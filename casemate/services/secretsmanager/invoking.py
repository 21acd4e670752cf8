"""The rotation function: how it is called, as AWS's functions expect it, and whether it can be.

The function's resource policy must allow secretsmanager.amazonaws.com, on behalf of the secret. Source: "Lambda
rotation function execution role permissions", "Rotation by Lambda function".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from casemate.api import lambda_
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as, perform
from casemate.gate.call import Call
from casemate.services.secretsmanager.rows import SecretRow

if TYPE_CHECKING:
    from casemate.gate.gate import Gate

SERVICE = "secretsmanager.amazonaws.com"
CREATE, SET, TRY, FINISH = "createSecret", "setSecret", "testSecret", "finishSecret"
STEPS = (CREATE, SET, TRY, FINISH)


class StepFailed(Exception):
    """A step did not succeed; its text says why, without anything that the function said of its own data."""


def actor(row: SecretRow) -> Actor:
    """Secrets Manager, on behalf of a secret."""
    return Actor(SERVICE, row.account, row.region, source_arn=row.arn)


def must_be_invocable(call: Call, row: SecretRow, function: str) -> None:
    """By whoever asks, and by Secrets Manager. Raises AccessDeniedException."""
    request: lambda_.InvocationRequest = {"FunctionName": function, "InvocationType": "DryRun"}
    try:
        lambda_.Invoke.ask(call, request, via="secretsmanager")
        lambda_.Invoke.ask(act_as(call, actor(row)), request)
    except AwsError:
        raise AwsError(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
            f"access to the principal {SERVICE}.",
        ) from None


def take(gate: Gate, row: SecretRow, function: str, step: str, version: str, token: str) -> None:
    """Have the function do a step of a rotation, and wait for it. Raises StepFailed."""
    event = {"SecretId": row.arn, "ClientRequestToken": version, "Step": step, "RotationToken": token}
    request: lambda_.InvocationRequest = {
        "FunctionName": function,
        "InvocationType": "RequestResponse",
        "Payload": json.dumps(event).encode(),
    }
    try:
        answer = perform(gate, actor(row), lambda call: lambda_.Invoke.ask(call, request), reads=True)
    except AwsError as error:
        raise StepFailed(f"{step}: the function could not be invoked: {error.code}") from error
    if answer.get("FunctionError"):
        raise StepFailed(f"{step}: {_error_type(answer.get('Payload', b''))}")


def _error_type(payload: bytes) -> str:
    """What kind of error the function ended with. Its message may hold a secret, and stays in the function's log."""
    try:
        kind = json.loads(payload)["errorType"]
    except (ValueError, KeyError, TypeError):
        kind = None
    return f"the function ended with {kind}" if isinstance(kind, str) else "the function ended with an error"
