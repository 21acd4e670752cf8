"""RotateSecret, CancelRotateSecret. Source: "RotateSecret", "Rotate AWS Secrets Manager secrets"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from casemate.api import secretsmanager
from casemate.gate.call import Call
from casemate.services.secretsmanager import encryption, labels, quotas, replication, windows
from casemate.services.secretsmanager.creation import must_not_be_held_elsewhere
from casemate.services.secretsmanager.invoking import must_be_invocable
from casemate.services.secretsmanager.labels import CURRENT, PENDING
from casemate.services.secretsmanager.refusals import invalid_parameter, invalid_request
from casemate.services.secretsmanager.rotating import begin_turn, tell
from casemate.services.secretsmanager.rotation import (
    Rotation,
    begun,
    call_off,
    in_progress,
    plan,
    rotation_of,
    scheduled,
    try_out,
    with_rotation,
)
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.targets import named_secret
from casemate.services.secretsmanager.values import token_in
from casemate.services.secretsmanager.windows import BadRules, Rules


@secretsmanager.RotateSecret.writes(named_secret, quota=quotas.ROTATIONS)
def rotate_secret(
    call: Call, req: secretsmanager.RotateSecretRequest, secret: Secret
) -> secretsmanager.RotateSecretResponse:
    """Configure how a secret is rotated, and rotate it now; or only try whether its function can log in."""
    secret.must_be_changeable()
    must_not_be_held_elsewhere(req)
    row, token = secret.row, token_in(req)
    before = rotation_of(row)
    answer = {"ARN": row.arn, "Name": row.name, "VersionId": token}
    if before is not None and token in (before.pending, row.labels.get(CURRENT)):
        # It was asked for before.
        return cast("secretsmanager.RotateSecretResponse", answer)
    function = req.get("RotationLambdaARN") or (before.function if before is not None else "")
    if not function:
        raise invalid_request("No Lambda rotation function ARN is associated with this secret.")
    if in_progress(row):
        raise invalid_request("A previous rotation isn't complete. That rotation will be reattempted.")
    must_be_invocable(call, row, function)
    rotation = (before or Rotation(function))._replace(function=function, enabled=True)
    if "RotationRules" in req:
        rotation = rotation._replace(rules=_rules(req["RotationRules"], call.now), shown_days=0)
    rotation = scheduled(rotation, call.now)
    row = row._replace(changed=call.now)
    if req.get("RotateImmediately", True):
        row = begun(row, rotation, token)
        begin_turn(call, row)
    else:
        row = _to_be_tried(call, with_rotation(row, rotation), token)
        call.part(Secrets).save(call.tx, replication.followed(call, row))
        try_out(call.tx, row, token, call.now)
        tell(call, row, "TestRotationStarted")
        answer = {"ARN": row.arn, "Name": row.name}
    plan(call.tx, row)
    return cast("secretsmanager.RotateSecretResponse", answer)


def _rules(given: Mapping[str, Any], now: float) -> Rules:
    """Raises InvalidParameterException."""
    days, schedule = given.get("AutomaticallyAfterDays", 0), given.get("ScheduleExpression", "")
    if bool(days) == bool(schedule):
        raise invalid_parameter(
            "You must specify either AutomaticallyAfterDays or ScheduleExpression in RotationRules, but not both."
        )
    rules = Rules(days, schedule, int(given.get("Duration", "0h")[:-1]))
    if "Duration" in given and not rules.duration:
        raise invalid_parameter("The rotation window must be an hour at least.")
    try:
        windows.check(rules, now)
    except BadRules as error:
        raise invalid_parameter(str(error)) from None
    return rules


def _to_be_tried(call: Call, row: SecretRow, version: str) -> SecretRow:
    """With a pending version that has the current value, for as long as it takes to log in by it."""
    secrets, current = call.part(Secrets), row.labels.get(CURRENT, "")
    there = secrets.find_version(call, row, current) if current else None
    if there is not None:
        content = encryption.opened(call, row, there)
        made = encryption.sealed(call, row, version, content, there.row.binary)
        secrets.add_version(call.tx, row, made)
        row = row._replace(versions=row.versions + 1)
    return row._replace(labels=labels.attached(row.labels, version, (PENDING,)))


@secretsmanager.CancelRotateSecret.writes(named_secret, quota=quotas.ROTATIONS)
def cancel_rotate_secret(
    call: Call, req: secretsmanager.CancelRotateSecretRequest, secret: Secret
) -> secretsmanager.CancelRotateSecretResponse:
    """Rotate a secret no longer by itself. One that is in progress ends as it is, with AWSPENDING where it is."""
    secret.must_be_changeable()
    row = secret.row
    rotation = rotation_of(row)
    answer: dict[str, Any] = {"ARN": row.arn, "Name": row.name}
    if rotation is not None:
        if rotation.pending:
            answer["VersionId"] = rotation.pending
        off = rotation._replace(enabled=False, pending="", token="", attempts=0, start=0.0, end=0.0)
        row = with_rotation(row._replace(changed=call.now), off)
        call.part(Secrets).save(call.tx, replication.followed(call, row))
        call_off(call.tx, row)
    return cast("secretsmanager.CancelRotateSecretResponse", answer)
