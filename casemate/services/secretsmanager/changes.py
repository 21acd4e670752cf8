"""PutSecretValue, UpdateSecret, UpdateSecretVersionStage."""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import Any, cast

from casemate.api import secretsmanager
from casemate.gate.call import Call
from casemate.services.secretsmanager import encryption, labels, quotas, replication
from casemate.services.secretsmanager.creation import must_not_be_held_elsewhere
from casemate.services.secretsmanager.labels import CURRENT, PENDING, PREVIOUS
from casemate.services.secretsmanager.refusals import (
    invalid_parameter,
    invalid_request,
    no_version,
    token_in_use,
)
from casemate.services.secretsmanager.rotating import tell
from casemate.services.secretsmanager.rotation import abandoned, by_hand, call_off, plan, rotation_of
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.targets import named_secret
from casemate.services.secretsmanager.values import repeats, token_in, value_in, with_labels, with_value


@secretsmanager.PutSecretValue.writes(named_secret, quota=quotas.CHANGES)
def put_secret_value(
    call: Call, req: secretsmanager.PutSecretValueRequest, secret: Secret
) -> secretsmanager.PutSecretValueResponse:
    """Add a value as a new version, to which AWSCURRENT moves unless other staging labels are given."""
    secret.must_be_changeable()
    value = value_in(req)
    if value is None:
        raise invalid_request("You must provide either SecretString or SecretBinary.")
    row, token = secret.row, token_in(req)
    if "RotationToken" in req:
        _check_token(row, req["RotationToken"])
    if not repeats(call, row, token, value):
        stages = req.get("VersionStages", [CURRENT])
        if not row.versions and CURRENT not in stages:
            # A first value is always current.
            stages = [*stages, CURRENT]
        row = with_value(call, _rotated_by_hand(call, row, token, stages), token, value, stages)
        call.part(Secrets).save(call.tx, replication.followed(call, row, {token: value}))
    return {
        "ARN": row.arn,
        "Name": row.name,
        "VersionId": token,
        "VersionStages": labels.stages_of(row.labels, token),
    }


def _rotated_by_hand(call: Call, row: SecretRow, token: str, stages: Iterable[str]) -> SecretRow:
    """A new current value is as good as a rotation, and one that is in progress ends with it."""
    rotation = rotation_of(row)
    if CURRENT not in stages or rotation is None or token == rotation.pending:
        return row
    if rotation.pending:
        row = abandoned(row, rotation)
        call_off(call.tx, row)
        tell(call, row, "RotationAbandoned")
    row = by_hand(row, call.now)
    plan(call.tx, row)
    return row


def _check_token(row: SecretRow, token: str) -> None:
    """RotationToken: that of the rotation that is in progress. Raises InvalidParameterException."""
    rotation = rotation_of(row)
    if rotation is None or not rotation.token or not compare_digest(rotation.token, token):
        raise invalid_parameter("The RotationToken is not that of a rotation in progress.")


@secretsmanager.UpdateSecret.writes(named_secret, quota=quotas.CHANGES)
def update_secret(
    call: Call, req: secretsmanager.UpdateSecretRequest, secret: Secret
) -> secretsmanager.UpdateSecretResponse:
    """Change the description, the KMS key (under which the labelled versions can be read from then on, too), or the
    value, by a new version that becomes the current one."""
    must_not_be_held_elsewhere(req)
    value = value_in(req)
    secret.must_not_be_deleted()
    if secret.row.is_replica and ("Description" in req or value is not None):
        # Of a replica, only the key is its own.
        secret.must_be_changeable()
    row = secret.row._replace(changed=call.now, description=req.get("Description", secret.row.description))
    if "KmsKeyId" in req:
        row = _under(call, row, encryption.own_name(call, req["KmsKeyId"]))
    answer: dict[str, Any] = {"ARN": row.arn, "Name": row.name}
    values = {}
    if value is not None:
        token = answer["VersionId"] = token_in(req)
        if call.part(Secrets).has_version(call.tx, row, token):
            raise token_in_use(token, row.arn)
        row = with_value(call, _rotated_by_hand(call, row, token, (CURRENT,)), token, value)
        values = {token: value}
    call.part(Secrets).save(call.tx, replication.followed(call, row, values))
    return cast("secretsmanager.UpdateSecretResponse", answer)


def _under(call: Call, row: SecretRow, key_id: str) -> SecretRow:
    """The secret under another key: versions that are in use can be read by either key then, where the caller may use
    both. Source: "UpdateSecret"."""
    changed = row._replace(kms_key_id=key_id)
    encryption.must_be_usable(call, changed)
    secrets = call.part(Secrets)
    if key_id == row.kms_key_id:
        return changed
    for version_id in dict.fromkeys(row.labels.get(label, "") for label in (CURRENT, PENDING, PREVIOUS)):
        version = secrets.find_version(call, row, version_id) if version_id else None
        if version is not None:
            again = encryption.under_another_key(call, changed, version)
            if again is not None:
                secrets.save_version(call.tx, row, again)
    return changed


@secretsmanager.UpdateSecretVersionStage.writes(named_secret, quota=quotas.CHANGES)
def update_secret_version_stage(
    call: Call, req: secretsmanager.UpdateSecretVersionStageRequest, secret: Secret
) -> secretsmanager.UpdateSecretVersionStageResponse:
    """Attach a staging label to a version, move it from one to another, or remove it."""
    secret.must_be_changeable()
    row, stage = secret.row, req["VersionStage"]
    source, target = req.get("RemoveFromVersionId"), req.get("MoveToVersionId")
    holder = row.labels.get(stage)
    for named in (source, target):
        if named is not None and not _exists(call, row, named):
            raise no_version(named)
    if source is None and target is None:
        raise invalid_parameter("You must specify MoveToVersionId, RemoveFromVersionId, or both.")
    if source is not None and holder != source:
        raise invalid_parameter(
            f"The staging label {stage} is not currently attached to version {source}."
            if holder is None
            else f"The staging label {stage} is currently attached to version {holder}, and not to version {source}."
        )
    if target is not None and holder not in (None, target) and source is None:
        raise invalid_parameter(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to "
            f"version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    if target is None and stage == CURRENT:
        raise invalid_parameter(
            "You can only move staging label AWSCURRENT to a different secret version. It can't be completely "
            "removed."
        )
    changed = (
        labels.detached(row.labels, stage)
        if target is None
        else labels.attached(row.labels, target, (stage,))
    )
    row = with_labels(call, row, changed)
    call.part(Secrets).save(call.tx, replication.followed(call, row))
    return {"ARN": row.arn, "Name": row.name}


def _exists(call: Call, row: SecretRow, version_id: str) -> bool:
    """With a value, or with a label at least, as a rotation's version has before it has a value."""
    return version_id in row.labels.values() or call.part(Secrets).has_version(call.tx, row, version_id)
