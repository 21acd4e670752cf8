"""ReplicateSecretToRegions, RemoveRegionsFromReplication, StopReplicationToReplica: a primary secret's replicas in
other Regions follow it, each under a KMS key of its Region. Source: "Replicate AWS Secrets Manager secrets across
Regions".

A replica is a secret of its own in its Region, with the same name and suffix. It is written in the transaction of the
change that it follows. Where its KMS key refuses, the change is made all the same, and the replica's status tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from casemate.api import secretsmanager
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of, regions
from casemate.services.secretsmanager import encryption, quotas
from casemate.services.secretsmanager.deletion import remove
from casemate.services.secretsmanager.refusals import invalid_parameter, invalid_request
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret, Version, moment
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.targets import named_secret
from casemate.services.secretsmanager.values import Value, pruned

_FOLLOWED = ("description", "tags", "policy", "principals", "labels", "changed", "rotation")
"""What a replica has from its primary secret."""

IN_SYNC, FAILED = "InSync", "Failed"


@secretsmanager.ReplicateSecretToRegions.writes(named_secret, quota=quotas.CHANGES)
def replicate_secret_to_regions(
    call: Call, req: secretsmanager.ReplicateSecretToRegionsRequest, secret: Secret
) -> secretsmanager.ReplicateSecretToRegionsResponse:
    """Make replicas of a secret in other Regions, or make good those that failed."""
    secret.must_be_changeable()
    overwrite = req.get("ForceOverwriteReplicaSecret", False)
    row = added(call, secret.row, req["AddReplicaRegions"], overwrite=overwrite)
    call.part(Secrets).save(call.tx, row)
    return {"ARN": row.arn, "ReplicationStatus": status(row)}


@secretsmanager.RemoveRegionsFromReplication.writes(named_secret, quota=quotas.CHANGES)
def remove_regions_from_replication(
    call: Call, req: secretsmanager.RemoveRegionsFromReplicationRequest, secret: Secret
) -> secretsmanager.RemoveRegionsFromReplicationResponse:
    """Delete a secret's replicas in some Regions, at once."""
    secret.must_be_changeable()
    row, secrets = secret.row, call.part(Secrets)
    for region in req["RemoveReplicaRegions"]:
        if region not in row.replicas:
            raise invalid_parameter(f"The secret isn't replicated to the Region {region}.")
        replica = _replica(call, row, region)
        if replica is not None:
            secrets.delete(call.tx, replica)
        row = _without(row, region)
    secrets.save(call.tx, row._replace(changed=call.now))
    return {"ARN": row.arn, "ReplicationStatus": status(row)}


@secretsmanager.StopReplicationToReplica.writes(named_secret, quota=quotas.CHANGES)
def stop_replication_to_replica(
    call: Call, req: secretsmanager.StopReplicationToReplicaRequest, secret: Secret
) -> secretsmanager.StopReplicationToReplicaResponse:
    """Make a replica a secret on its own, which follows its primary secret no longer."""
    secret.must_not_be_deleted()
    row, secrets = secret.row, call.part(Secrets)
    if not row.is_replica:
        raise invalid_request(
            "You can stop the replication to a replica secret only, in the replica's Region."
        )
    primary = secrets.load(call.tx, row.account, row.primary_region, row.name)
    if primary is not None:
        secrets.save(call.tx, _without(primary.row, row.region))
    # How the primary secret is rotated stays its own affair.
    secrets.save(call.tx, row._replace(primary_region="", rotation={}, changed=call.now))
    return {"ARN": row.arn}


def added(
    call: Call, row: SecretRow, wanted: Iterable[secretsmanager.ReplicaRegionType], *, overwrite: bool
) -> SecretRow:
    """The primary secret's row with these replicas, which are stored. overwrite: also in the place of another secret
    of the name. Raises InvalidParameterException."""
    replicas = dict(row.replicas)
    for each in wanted:
        region = each.get("Region", "")
        if (
            region not in regions()
            or partition_of(region) != partition_of(row.region)
            or region == row.region
        ):
            raise invalid_parameter("Invalid replica region.")
        key_id = encryption.own_name(call, each.get("KmsKeyId", ""), region)
        replicas[region] = _made(call, row, region, key_id, overwrite)
    return row._replace(replicas=replicas, primary_region=row.region)


def _made(call: Call, row: SecretRow, region: str, key_id: str, overwrite: bool) -> Mapping[str, str]:
    """A replica's state, which is stored unless it failed."""
    secrets = call.part(Secrets)
    there = secrets.load(call.tx, row.account, region, row.name)
    if there is not None and not _is_replica_of(there.row, row):
        # Whatever follows it, or is followed by it, would be left behind.
        tied = bool(there.row.replicas) or there.row.is_replica
        if not overwrite or tied:
            return _failed(key_id, f"Secret name {row.name} already exists in region {region}.")
    replica = row._replace(
        region=region, kms_key_id=key_id, primary_region=row.region, replicas={}, deletion=None, versions=0
    )
    try:
        with call.tx.savepoint():
            if key_id:
                encryption.must_be_usable(call, replica)
            if there is not None:
                remove(secrets, call.tx, there.row)
            held = secrets.count(call.tx, row.account, region)
            quotas.must_be_within(call, quotas.SECRETS, held + 1, "secrets in the Region", region)
            secrets.insert(call.tx, replica)
            for version in secrets.versions(call.tx, row):
                if version.id in row.labels.values():
                    value = Value(encryption.opened(call, row, Version(version, row.arn)), version.binary)
                    replica = _with_version(call, replica, version.id, value, version.created)
            secrets.save(call.tx, replica)
    except AwsError as error:
        return _failed(key_id, error.message)
    return {"kms_key_id": key_id, "status": IN_SYNC}


def followed(call: Call, row: SecretRow, values: Mapping[str, Value] | None = None) -> SecretRow:
    """The primary secret's row, once its replicas are as it is. values: what is new, by version."""
    if not row.replicas:
        return row
    replicas = dict(row.replicas)
    for region, state in row.replicas.items():
        if state["status"] == IN_SYNC:
            replicas[region] = _follow(call, row, region, state, values or {})
    return row._replace(replicas=replicas)


def _follow(
    call: Call, row: SecretRow, region: str, state: Mapping[str, str], values: Mapping[str, Value]
) -> Mapping[str, str]:
    replica = _replica(call, row, region)
    if replica is None:
        return _failed(state["kms_key_id"], "The replica does not exist any more.")
    replica = replica._replace(**{name: getattr(row, name) for name in _FOLLOWED})
    try:
        with call.tx.savepoint():
            for version_id, value in values.items():
                replica = _with_version(call, replica, version_id, value, call.now)
            call.part(Secrets).save(call.tx, replica)
    except AwsError as error:
        return _failed(replica.kms_key_id, error.message)
    return {"kms_key_id": replica.kms_key_id, "status": IN_SYNC}


def _with_version(call: Call, replica: SecretRow, version_id: str, value: Value, created: float) -> SecretRow:
    secrets = call.part(Secrets)
    version = encryption.sealed(call, replica, version_id, value.content, value.binary)
    secrets.add_version(call.tx, replica, version._replace(created=created))
    return pruned(call, secrets, replica._replace(versions=replica.versions + 1))


def _replica(call: Call, row: SecretRow, region: str) -> SecretRow | None:
    """The replica of a primary secret; not what has taken its place meanwhile."""
    there = call.part(Secrets).load(call.tx, row.account, region, row.name)
    return there.row if there is not None and _is_replica_of(there.row, row) else None


def _is_replica_of(there: SecretRow, row: SecretRow) -> bool:
    """Not what was one, and is a secret on its own now."""
    return there.suffix == row.suffix and there.primary_region == row.region


def _without(row: SecretRow, region: str) -> SecretRow:
    others = {name: state for name, state in row.replicas.items() if name != region}
    return row._replace(replicas=others, primary_region=row.region if others else "")


def _failed(key_id: str, why: str) -> Mapping[str, str]:
    return {"kms_key_id": key_id, "status": FAILED, "message": f"Replication failed: {why}"}


def accessed(call: Call, row: SecretRow, region: str) -> float:
    """The day of a replica's last use, 0 for never."""
    there = call.part(Secrets).find(call, row.account, region, row.name)
    return 0.0 if there is None else there.accessed


def status(
    row: SecretRow, used: Mapping[str, float] | None = None
) -> list[secretsmanager.ReplicationStatusType]:
    """As the operations show it. used: the day of each replica's last use, by Region."""
    shown = []
    for region, state in row.replicas.items():
        last = (used or {}).get(region)
        entry: dict[str, Any] = {
            "Region": region,
            "KmsKeyId": state["kms_key_id"] or encryption.MANAGED,
            "Status": state["status"],
            "StatusMessage": state.get("message"),
            "LastAccessedDate": moment(last) if last else None,
        }
        shown.append(
            cast(
                "secretsmanager.ReplicationStatusType",
                {name: value for name, value in entry.items() if value is not None},
            )
        )
    return shown
