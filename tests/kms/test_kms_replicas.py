"""Multi-Region keys by a real client: the same key in several Regions, each with a life of its own."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from kms_support import ACCOUNT, DELEGATION, REGION, ROOT, Kms, key_policy, refused, statement, user_arn

from casemate.services.kms.keys import default_policy

IRELAND, TOKYO = "eu-west-1", "ap-northeast-1"


def arn(region: str, key_id: str) -> str:
    return f"arn:aws:kms:{region}:{ACCOUNT}:key/{key_id}"


def metadata(kms: Kms, region: str, key_id: str) -> Any:
    return kms.of(region=region).describe_key(KeyId=key_id)["KeyMetadata"]


def replicated(kms: Kms, *regions: str, **more: Any) -> str:
    """A primary key's id, with replicas in those Regions."""
    key_id = str(kms.key(MultiRegion=True, **more)["KeyId"])
    for region in regions:
        kms.of().replicate_key(KeyId=key_id, ReplicaRegion=region)
    return key_id


def test_related_keys_open_each_others_ciphertexts(kms: Kms) -> None:
    key_id = replicated(kms, IRELAND, TOKYO)
    assert re.fullmatch(r"mrk-[0-9a-f]{32}", key_id)
    for sealing in (REGION, IRELAND, TOKYO):
        blob = kms.of(region=sealing).encrypt(
            KeyId=key_id, Plaintext=b"everywhere", EncryptionContext={"a": "b"}
        )["CiphertextBlob"]
        for opening in (REGION, IRELAND, TOKYO):
            opened = kms.of(region=opening).decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})
            assert opened["Plaintext"] == b"everywhere"
            assert opened["KeyId"] == arn(opening, key_id), "it is the Region's own key that opened it"
        with refused("InvalidCiphertextException"):
            kms.of(region=TOKYO).decrypt(CiphertextBlob=blob)
        with refused("AccessDeniedException"):
            kms.of(region="us-west-2").decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})


def test_a_single_region_keys_ciphertexts_stay_in_their_region(kms: Kms) -> None:
    blob = kms.of().encrypt(KeyId=kms.key()["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException"):
        kms.of(region=IRELAND).decrypt(CiphertextBlob=blob)


def test_what_is_told_of_related_keys(kms: Kms) -> None:
    key_id = replicated(kms)
    made = kms.of().replicate_key(
        KeyId=key_id,
        ReplicaRegion=IRELAND,
        Description="in Ireland",
        Tags=[{"TagKey": "place", "TagValue": "Dublin"}],
    )
    replica = made["ReplicaKeyMetadata"]
    assert replica == metadata(kms, IRELAND, key_id)
    assert made["ReplicaTags"] == [{"TagKey": "place", "TagValue": "Dublin"}]
    assert made["ReplicaPolicy"] == default_policy(ACCOUNT, IRELAND)
    assert (replica["Arn"], replica["Description"]) == (arn(IRELAND, key_id), "in Ireland")
    primary = metadata(kms, REGION, key_id)
    ends = [{"Arn": arn(region, key_id), "Region": region} for region in (REGION, IRELAND)]
    assert primary["MultiRegion"] is replica["MultiRegion"] is True
    assert primary["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": ends[0],
        "ReplicaKeys": ends[1:],
    }
    assert replica["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "REPLICA",
        "PrimaryKey": ends[0],
        "ReplicaKeys": ends[1:],
    }
    assert primary["CurrentKeyMaterialId"] == replica["CurrentKeyMaterialId"]
    assert primary["Description"] == "", "descriptions are not shared"


def test_policies_states_and_aliases_are_each_keys_own(kms: Kms) -> None:
    key_id = replicated(kms, IRELAND)
    ireland = kms.of(region=IRELAND)
    ireland.create_alias(AliasName="alias/replica-only", TargetKeyId=key_id)
    with refused("NotFoundException"):
        kms.of().describe_key(KeyId="alias/replica-only")
    ireland.disable_key(KeyId=key_id)
    with refused("DisabledException"):
        ireland.encrypt(KeyId=key_id, Plaintext=b"x")
    blob = kms.of().encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    ireland.enable_key(KeyId=key_id)
    ireland.put_key_policy(
        KeyId=key_id, Policy=json.dumps(key_policy(statement(user_arn("admin"), "kms:PutKeyPolicy")))
    )
    with refused("AccessDeniedException"):
        ireland.decrypt(CiphertextBlob=blob)
    assert kms.of().decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_rotation_is_shared_and_the_primary_keys_matter(kms: Kms) -> None:
    key_id = replicated(kms, IRELAND)
    ireland = kms.of(region=IRELAND)
    before = ireland.encrypt(KeyId=key_id, Plaintext=b"before")["CiphertextBlob"]
    with refused("UnsupportedOperationException"):
        ireland.enable_key_rotation(KeyId=key_id)
    with refused("UnsupportedOperationException"):
        ireland.rotate_key_on_demand(KeyId=key_id)
    kms.of().enable_key_rotation(KeyId=key_id, RotationPeriodInDays=100)
    kms.of().rotate_key_on_demand(KeyId=key_id)
    assert (
        metadata(kms, IRELAND, key_id)["CurrentKeyMaterialId"]
        == metadata(kms, REGION, key_id)["CurrentKeyMaterialId"]
    )
    assert ireland.get_key_rotation_status(KeyId=key_id)["RotationPeriodInDays"] == 100
    after = ireland.encrypt(KeyId=key_id, Plaintext=b"after")["CiphertextBlob"]
    assert kms.of().decrypt(CiphertextBlob=before)["Plaintext"] == b"before"
    assert kms.of().decrypt(CiphertextBlob=after)["Plaintext"] == b"after"
    kms.events("RotateKey", arn(IRELAND, key_id), 1)
    kms.events("RotateKey", arn(REGION, key_id), 1)


def test_related_keys_rotate_by_themselves_wherever_the_primary_key_is(timed: Kms) -> None:
    key_id = replicated(timed, IRELAND)
    timed.of().enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    timed.of().update_primary_region(KeyId=key_id, PrimaryRegion=IRELAND)
    timed.of().schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    timed.advance("8d")
    with refused("NotFoundException"):
        timed.of().describe_key(KeyId=key_id)
    timed.advance("82d1h")
    rotations = timed.of(region=IRELAND).list_key_rotations(KeyId=key_id)["Rotations"]
    assert [each["RotationType"] for each in rotations] == ["AUTOMATIC"]


def test_the_primary_key_can_move(kms: Kms) -> None:
    key_id = replicated(kms, IRELAND, TOKYO)
    kms.of().update_primary_region(KeyId=key_id, PrimaryRegion=TOKYO)
    told = metadata(kms, IRELAND, key_id)["MultiRegionConfiguration"]
    assert told["PrimaryKey"]["Region"] == TOKYO
    assert {each["Region"] for each in told["ReplicaKeys"]} == {REGION, IRELAND}
    assert metadata(kms, REGION, key_id)["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
    with refused("UnsupportedOperationException"):
        kms.of().replicate_key(KeyId=key_id, ReplicaRegion="us-west-2")
    kms.of(region=TOKYO).replicate_key(KeyId=key_id, ReplicaRegion="us-west-2")
    with refused("UnsupportedOperationException"):
        kms.of(region=TOKYO).update_primary_region(KeyId=key_id, PrimaryRegion=TOKYO)
    with refused("NotFoundException"):
        kms.of(region=TOKYO).update_primary_region(KeyId=key_id, PrimaryRegion="eu-north-1")


def test_a_primary_key_is_deleted_after_its_replicas(timed: Kms) -> None:
    key_id = replicated(timed, IRELAND)
    pending = timed.of().schedule_key_deletion(KeyId=key_id, PendingWindowInDays=9)
    assert pending["KeyState"] == "PendingReplicaDeletion"
    assert pending["PendingWindowInDays"] == 9
    assert "DeletionDate" not in pending
    told = metadata(timed, REGION, key_id)
    assert (told["KeyState"], told["PendingDeletionWindowInDays"]) == ("PendingReplicaDeletion", 9)
    assert "DeletionDate" not in told
    with refused("KMSInvalidStateException"):
        timed.of().encrypt(KeyId=key_id, Plaintext=b"x")
    timed.advance("30d")
    assert metadata(timed, REGION, key_id)["KeyState"] == "PendingReplicaDeletion"
    timed.of(region=IRELAND).schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    timed.advance("7d1h")
    with refused("NotFoundException"):
        timed.of(region=IRELAND).describe_key(KeyId=key_id)
    told = metadata(timed, REGION, key_id)
    assert told["KeyState"] == "PendingDeletion"
    assert told["MultiRegionConfiguration"]["ReplicaKeys"] == []
    timed.advance("9d")
    with refused("NotFoundException"):
        timed.of().describe_key(KeyId=key_id)


def test_a_pending_primary_key_can_be_had_back(kms: Kms) -> None:
    key_id = replicated(kms, IRELAND)
    kms.of().schedule_key_deletion(KeyId=key_id)
    with refused("KMSInvalidStateException"):
        kms.of().replicate_key(KeyId=key_id, ReplicaRegion=TOKYO)
    kms.of().cancel_key_deletion(KeyId=key_id)
    told = metadata(kms, REGION, key_id)
    assert told["KeyState"] == "Disabled"
    assert "PendingDeletionWindowInDays" not in told


def test_refusals(kms: Kms) -> None:
    client = kms.of()
    single = kms.key()["KeyId"]
    with refused("UnsupportedOperationException"):
        client.replicate_key(KeyId=single, ReplicaRegion=IRELAND)
    key_id = replicated(kms, IRELAND)
    for region in (IRELAND, REGION):
        with refused("AlreadyExistsException"):
            client.replicate_key(KeyId=key_id, ReplicaRegion=region)
    for region in ("mars-north-1", "cn-north-1"):
        with refused("ValidationException"):
            client.replicate_key(KeyId=key_id, ReplicaRegion=region)
    with refused("MalformedPolicyDocumentException"):
        client.replicate_key(KeyId=key_id, ReplicaRegion=TOKYO, Policy="{}")
    client.disable_key(KeyId=key_id)
    with refused("DisabledException"):
        client.replicate_key(KeyId=key_id, ReplicaRegion=TOKYO)
    with refused("DisabledException"):
        client.update_primary_region(KeyId=key_id, PrimaryRegion=IRELAND)


def test_both_keys_policies_must_let_the_primary_key_move(kms: Kms) -> None:
    key_id = replicated(kms, IRELAND)
    closed = key_policy(
        DELEGATION, {**statement(user_arn("admin"), "kms:UpdatePrimaryRegion"), "Effect": "Deny"}
    )
    kms.of(region=IRELAND).put_key_policy(KeyId=key_id, Policy=json.dumps(closed))
    with refused("AccessDeniedException"):
        kms.of().update_primary_region(KeyId=key_id, PrimaryRegion=IRELAND)


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"kms:ReplicaRegion": IRELAND}}, True),
        ({"StringEquals": {"kms:ReplicaRegion": TOKYO}}, False),
        ({"StringEquals": {"kms:MultiRegionKeyType": "PRIMARY"}}, True),
        ({"StringEquals": {"kms:MultiRegionKeyType": "REPLICA"}}, False),
        ({"Bool": {"kms:MultiRegion": "true"}}, True),
    ],
)
def test_condition_keys_of_replication(kms: Kms, condition: Any, allowed: bool) -> None:
    policy = key_policy(
        statement(user_arn("admin"), "kms:PutKeyPolicy"),
        statement(ROOT, "kms:ReplicateKey", Condition=condition),
    )
    key_id = kms.key(policy, MultiRegion=True)["KeyId"]
    if allowed:
        kms.of().replicate_key(KeyId=key_id, ReplicaRegion=IRELAND)
    else:
        with refused("AccessDeniedException"):
            kms.of().replicate_key(KeyId=key_id, ReplicaRegion=IRELAND)
