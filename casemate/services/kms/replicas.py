"""ReplicateKey, UpdatePrimaryRegion: multi-Region keys, which have the same id and the same material in each of their
Regions. Source: "Multi-Region keys in AWS KMS"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from casemate.api import kms
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.regions import partition_of, regions
from casemate.services.kms import quotas
from casemate.services.kms.imported import unsettle
from casemate.services.kms.key import ENABLED, PENDING_IMPORT, Key
from casemate.services.kms.key_policies import accepted_or_usual
from casemate.services.kms.key_tags import merged
from casemate.services.kms.keys import Keys
from casemate.services.kms.lifecycle import description_in
from casemate.services.kms.naming import key_arn
from casemate.services.kms.refusals import invalid, no_key, unsupported
from casemate.services.kms.rotation import plan_rotation, related
from casemate.services.kms.targets import NewKey, absent, new_key, own_key


class Replication(NamedTuple):
    """A primary key, and the replica that is wanted of it."""

    primary: Key
    replica: NewKey


def replication(call: Call, request: Mapping[str, Any]) -> Replication:
    """ReplicateKey's: KeyId, and the replica as CreateKey's keys are."""
    return Replication(own_key(call, request), new_key(call, request))


def _must_be_primary(key: Key) -> None:
    """And in a state in which its related keys can change. Raises UnsupportedOperationException,
    KMSInvalidStateException, DisabledException."""
    if not key.row.is_primary:
        raise unsupported(f"{key.arn} is not a multi-Region primary key.")
    key.must_not_be_pending_deletion()
    key.must_not_be_pending_import()
    key.must_be_enabled()


@kms.ReplicateKey.writes(
    replication,
    Need("kms:ReplicateKey", lambda both: both.primary),
    Need("kms:CreateKey", lambda both: both.replica),
    Need("kms:TagResource", lambda both: both.replica.tagged),
    quota=quotas.replica,
)
def replicate_key(call: Call, req: kms.ReplicateKeyRequest, both: Replication) -> kms.ReplicateKeyResponse:
    """Make a replica of a primary key in another Region, with a policy, tags and a description of its own."""
    key, region = both.primary, req["ReplicaRegion"]
    _must_be_primary(key)
    if region not in regions() or partition_of(region) != partition_of(call.region):
        raise invalid(f"{region} is not a Region of this partition.")
    row = key.row
    arn = key_arn(row.account, region, row.id)
    put = accepted_or_usual(call, req, both.replica, row.account, region, row.id)
    imported = row.origin == "EXTERNAL"
    replica = row._replace(
        region=region,
        created=call.now,
        state=PENDING_IMPORT if imported else ENABLED,
        policy=put.policy,
        principals=put.principals,
        description=description_in(req),
        tags=merged({}, req.get("Tags", [])),
    )
    keys = call.part(Keys)
    quotas.must_be_within(
        call, quotas.KEYS, keys.count(call.tx, call.account, region) + 1, f"keys in {region}", region
    )
    if not keys.insert(call.tx, replica):
        raise AwsError("AlreadyExistsException", f"A key {arn} already exists.")
    for each, material in keys.material(call.tx, row):
        if imported:
            # When it expires, and what it is called, is said where it is imported.
            keys.put_material(call.tx, replica, each._replace(valid_to=None, description=""), b"")
        else:
            keys.put_material(call.tx, replica, each, material)
    for each in key.materials:
        if each.state:
            unsettle(keys, call.tx, related(keys, call.tx, row), each.id)
    made = keys.load(call.tx, row.account, region, row.id)
    assert made is not None
    call.resources = (*call.resources, made)
    tags: list[kms.Tag] = [{"TagKey": name, "TagValue": value} for name, value in replica.tags.items()]
    return {"ReplicaKeyMetadata": made.metadata(), "ReplicaPolicy": put.policy, "ReplicaTags": tags}


class PrimaryMove(NamedTuple):
    """The primary key, and the replica that is to be it."""

    primary: Key
    replica: Key


def primary_move(call: Call, request: Mapping[str, Any]) -> PrimaryMove:
    """UpdatePrimaryRegion's: KeyId, and its related key in PrimaryRegion."""
    primary = own_key(call, request)
    region = request["PrimaryRegion"]
    if primary.missing is not None:
        return PrimaryMove(primary, primary)
    key_id = primary.row.id
    replica = call.part(Keys).find(call, call.account, region, key_id)
    if replica is None:
        arn = key_arn(call.account, region, key_id)
        replica = absent(arn, call.account, no_key(arn))
    return PrimaryMove(primary, replica)


@kms.UpdatePrimaryRegion.writes(
    primary_move,
    Need("kms:UpdatePrimaryRegion", lambda move: move.primary),
    Need("kms:UpdatePrimaryRegion", lambda move: move.replica),
    quota=quotas.primary_move,
)
def update_primary_region(
    call: Call, req: kms.UpdatePrimaryRegionRequest, move: PrimaryMove
) -> kms.UpdatePrimaryRegionResponse:
    """Make a replica the primary key, and the primary key a replica."""
    _must_be_primary(move.primary)
    if move.replica.row.is_primary:
        raise unsupported(f"{move.replica.arn} is the primary key already.")
    move.replica.must_not_be_pending_deletion()
    move.replica.must_not_be_pending_import()
    move.replica.must_be_enabled()
    keys = call.part(Keys)
    for each in related(keys, call.tx, move.primary.row):
        keys.save(call.tx, each.row._replace(primary_region=req["PrimaryRegion"]))
    plan_rotation(call.tx, move.replica.row)
    return {}
