"""DescribeSecret, ListSecretVersionIds: what is shown of a secret but for its values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from casemate.api import secretsmanager
from casemate.gate.call import Call
from casemate.gate.markers import read_marker, write_marker
from casemate.services.secretsmanager import labels, quotas, replication
from casemate.services.secretsmanager.refusals import invalid_token
from casemate.services.secretsmanager.rotation import rotation_of
from casemate.services.secretsmanager.rows import VERSION_COLUMNS, SecretRow
from casemate.services.secretsmanager.secret import Secret, moment
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.targets import named_secret


def details(
    row: SecretRow,
    accessed: float,
    *,
    listed: bool = False,
    replicas_accessed: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """A secret as DescribeSecret shows it, or as ListSecrets does. accessed: the day of its last use, 0 for never;
    replicas_accessed: the same of its replicas, by Region."""
    shown: dict[str, Any] = {
        "ARN": row.arn,
        "Name": row.name,
        "Description": row.description,
        "KmsKeyId": row.kms_key_id,
        **_rotation(row),
        "LastChangedDate": moment(row.changed),
        "LastAccessedDate": moment(accessed) if accessed else None,
        "DeletedDate": None if row.deletion is None else moment(row.deletion),
        "Tags": [{"Key": key, "Value": value} for key, value in row.tags.items()],
        "SecretVersionsToStages" if listed else "VersionIdsToStages": labels.by_version(row.labels),
        "OwningService": row.owner,
        "CreatedDate": moment(row.created),
        "PrimaryRegion": row.primary_region,
        "ReplicationStatus": [] if listed else replication.status(row, replicas_accessed or {}),
    }
    kept = {"RotationEnabled"} if listed else {"RotationEnabled", "Tags"}
    return {name: value for name, value in shown.items() if value or (name in kept and value is not None)}


def _rotation(row: SecretRow) -> dict[str, Any]:
    """Nothing of a secret that was never configured to be rotated."""
    rotation = rotation_of(row)
    if rotation is None:
        return {}
    rules = {
        "AutomaticallyAfterDays": rotation.rules.days or rotation.shown_days,
        "Duration": f"{rotation.rules.duration}h" if rotation.rules.duration else "",
        "ScheduleExpression": rotation.rules.schedule,
    }
    return {
        "RotationEnabled": rotation.enabled,
        "RotationLambdaARN": rotation.function,
        "RotationRules": {name: value for name, value in rules.items() if value},
        "LastRotatedDate": moment(rotation.last) if rotation.last else None,
        # The last second of the window.
        "NextRotationDate": moment(rotation.end - 1) if rotation.end else None,
    }


@secretsmanager.DescribeSecret.reads(named_secret, quota=quotas.READS)
def describe_secret(
    call: Call, req: secretsmanager.DescribeSecretRequest, secret: Secret
) -> secretsmanager.DescribeSecretResponse:
    """All that is known of a secret but for its values, also of one that is marked for deletion."""
    row = secret.row
    used = {region: replication.accessed(call, row, region) for region in row.replicas}
    return cast(
        "secretsmanager.DescribeSecretResponse", details(row, secret.accessed, replicas_accessed=used)
    )


_DEFAULT_KEY = "DefaultEncryptionKey"
"""How AWS shows aws/secretsmanager among a version's keys."""


@secretsmanager.ListSecretVersionIds.reads(named_secret)
def list_secret_version_ids(
    call: Call, req: secretsmanager.ListSecretVersionIdsRequest, secret: Secret
) -> secretsmanager.ListSecretVersionIdsResponse:
    """The versions that have a value, and a staging label unless deprecated ones are asked for."""
    limit: int = req.get("MaxResults", 100)
    row = secret.row
    after = _position(req.get("NextToken"))
    marks = ", ".join(VERSION_COLUMNS[:-1])
    found: list[dict[str, Any]] = []
    last = after
    secrets, tx = call.part(Secrets), call.tx
    stages = labels.by_version(row.labels)
    chosen, ids = "", list[str]()
    if not req.get("IncludeDeprecated"):
        ids = list(stages)
        chosen = f" AND id IN ({', '.join('?' * len(ids))})"
    rows = tx.all(
        f"SELECT {marks}, accessed FROM secret_versions WHERE account = ? AND region = ? AND name = ?{chosen} "
        "AND (created > ? OR (created = ? AND id > ?)) ORDER BY created, id LIMIT ?",
        (*row[:3], *ids, after[0], after[0], after[1], limit + 1),
    )
    more: dict[str, Any] = {}
    for *columns, used in rows:
        version = secrets.opened_version(tx, (*columns, b""), row.arn)
        if len(found) == limit:
            more = {"NextToken": write_marker("ListSecretVersionIds", f"{last[0]!r}\n{last[1]}")}
            break
        last = (version.created, version.id)
        entry: dict[str, Any] = {
            "VersionId": version.id,
            "VersionStages": stages.get(version.id),
            "LastAccessedDate": moment(used) if used else None,
            "CreatedDate": moment(version.created),
            "KmsKeyIds": [key.kms_key_id or _DEFAULT_KEY for key in version.keys],
        }
        found.append({name: value for name, value in entry.items() if value is not None})
    answer = {"Versions": found, "ARN": row.arn, "Name": row.name, **more}
    return cast("secretsmanager.ListSecretVersionIdsResponse", answer)


def _position(token: str | None) -> tuple[float, str]:
    if token is None:
        return -1.0, ""
    created, _, version_id = (read_marker("ListSecretVersionIds", token) or "").partition("\n")
    try:
        place = float(created)
    except ValueError:
        raise invalid_token() from None
    if not math.isfinite(place):
        raise invalid_token()
    return place, version_id
