"""Replicas in other Regions: making them, what they follow, and what is refused of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from secrets_support import (
    NO_SECRET,
    ON_REPLICA,
    REGION,
    REPLICA_REGION,
    SecretsServer,
    inline,
    policy,
    refused,
    statement,
    user_arn,
)


def replicated(secretsmanager: SecretsServer, **more: Any) -> Any:
    """A secret with a replica in REPLICA_REGION."""
    made = secretsmanager.secret(AddReplicaRegions=[{"Region": REPLICA_REGION}], **more)
    assert made["ReplicationStatus"] == [
        {"Region": REPLICA_REGION, "KmsKeyId": "alias/aws/secretsmanager", "Status": "InSync"}
    ]
    return made


def test_a_replica_has_what_its_primary_has(secretsmanager: SecretsServer) -> None:
    admin, there = secretsmanager.of(), secretsmanager.of(region=REPLICA_REGION)
    made = replicated(secretsmanager, Description="one", Tags=[{"Key": "a", "Value": "b"}])
    name = {"SecretId": made["Name"]}
    found = there.get_secret_value(**name)
    assert found["SecretString"] == "first"
    assert found["VersionId"] == made["VersionId"]
    assert found["ARN"] == made["ARN"].replace(REGION, REPLICA_REGION)
    shown = there.describe_secret(**name)
    assert (shown["PrimaryRegion"], shown["Description"]) == (REGION, "one")
    assert shown["Tags"] == [{"Key": "a", "Value": "b"}]
    assert "ReplicationStatus" not in shown
    assert admin.describe_secret(**name)["PrimaryRegion"] == REGION


def test_a_replica_follows_every_change(secretsmanager: SecretsServer) -> None:
    admin, there = secretsmanager.of(), secretsmanager.of(region=REPLICA_REGION)
    made = replicated(secretsmanager)
    name = {"SecretId": made["Name"]}
    admin.put_secret_value(**name, SecretString="second")
    admin.update_secret(**name, SecretBinary=b"third", Description="changed")
    admin.tag_resource(**name, Tags=[{"Key": "a", "Value": "b"}])
    document = policy(statement({"AWS": user_arn("nobody")}, "secretsmanager:GetSecretValue"))
    admin.put_resource_policy(**name, ResourcePolicy=document)
    admin.update_secret_version_stage(**name, VersionStage="gold", MoveToVersionId=made["VersionId"])
    assert there.get_secret_value(**name)["SecretBinary"] == b"third"
    assert there.get_secret_value(**name, VersionStage="AWSPREVIOUS")["SecretString"] == "second"
    assert there.get_secret_value(**name, VersionStage="gold")["SecretString"] == "first"
    shown = there.describe_secret(**name)
    assert (shown["Description"], shown["Tags"]) == ("changed", [{"Key": "a", "Value": "b"}])
    assert "nobody" in there.get_resource_policy(**name)["ResourcePolicy"]
    nobody = secretsmanager.of("nobody", region=REPLICA_REGION)
    assert nobody.get_secret_value(**name)["SecretBinary"] == b"third"
    elsewhere = secretsmanager.of(region="us-west-2").list_secrets(
        Filters=[{"Key": "name", "Values": [made["Name"]]}]
    )
    assert elsewhere["SecretList"] == []


def test_what_is_refused_of_a_replica(secretsmanager: SecretsServer) -> None:
    there = secretsmanager.of(region=REPLICA_REGION)
    made = replicated(secretsmanager)
    name = {"SecretId": made["Name"]}
    refused_here: list[tuple[Any, dict[str, Any]]] = [
        (there.put_secret_value, {"SecretString": "x"}),
        (there.update_secret, {"Description": "x"}),
        (there.update_secret, {"SecretString": "x"}),
        (there.update_secret_version_stage, {"VersionStage": "x", "MoveToVersionId": made["VersionId"]}),
        (there.tag_resource, {"Tags": [{"Key": "x"}]}),
        (there.untag_resource, {"TagKeys": ["x"]}),
        (there.put_resource_policy, {"ResourcePolicy": "{}"}),
        (there.delete_resource_policy, {}),
        (there.delete_secret, {}),
        (there.delete_secret, {"ForceDeleteWithoutRecovery": True}),
        (there.replicate_secret_to_regions, {"AddReplicaRegions": [{"Region": "us-west-1"}]}),
        (there.remove_regions_from_replication, {"RemoveReplicaRegions": ["us-west-1"]}),
    ]
    for operation, request in refused_here:
        with refused("InvalidRequestException", ON_REPLICA):
            operation(**name, **request)
    key = secretsmanager.key(region=REPLICA_REGION)
    there.update_secret(**name, KmsKeyId=key)
    assert there.describe_secret(**name)["KmsKeyId"] == key
    secretsmanager.of().put_secret_value(**name, SecretString="under the new key")
    assert there.list_secret_version_ids(**name)["Versions"][-1]["KmsKeyIds"] == [key]
    assert secretsmanager.of().describe_secret(**name)["ReplicationStatus"][0]["KmsKeyId"] == key


def test_a_primary_with_replicas_is_not_deleted(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = {"SecretId": replicated(secretsmanager)["Name"]}
    for force in ({}, {"ForceDeleteWithoutRecovery": True}):
        with refused(
            "InvalidRequestException",
            f"You can't delete secret {name['SecretId']} that still has replica regions [{REPLICA_REGION}]",
        ):
            admin.delete_secret(**name, **force)
    with refused("InvalidParameterException", "The secret isn't replicated to the Region us-west-1."):
        admin.remove_regions_from_replication(**name, RemoveReplicaRegions=["us-west-1"])
    answer = admin.remove_regions_from_replication(**name, RemoveReplicaRegions=[REPLICA_REGION])
    assert answer["ReplicationStatus"] == []
    with refused("ResourceNotFoundException", NO_SECRET):
        secretsmanager.of(region=REPLICA_REGION).describe_secret(**name)
    assert "PrimaryRegion" not in admin.describe_secret(**name)
    admin.delete_secret(**name)


def test_a_replica_is_promoted(secretsmanager: SecretsServer) -> None:
    admin, there = secretsmanager.of(), secretsmanager.of(region=REPLICA_REGION)
    name = {"SecretId": replicated(secretsmanager)["Name"]}
    with refused(
        "InvalidRequestException",
        "You can stop the replication to a replica secret only, in the replica's Region.",
    ):
        admin.stop_replication_to_replica(**name)
    there.stop_replication_to_replica(**name)
    there.put_secret_value(**name, SecretString="its own")
    assert admin.get_secret_value(**name)["SecretString"] == "first"
    assert "ReplicationStatus" not in admin.describe_secret(**name)
    assert "PrimaryRegion" not in there.describe_secret(**name)


def test_a_name_that_is_taken_there(secretsmanager: SecretsServer) -> None:
    admin, there = secretsmanager.of(), secretsmanager.of(region=REPLICA_REGION)
    name = secretsmanager.secret()["Name"]
    there.create_secret(Name=name, SecretString="in the way")
    regions = [{"Region": REPLICA_REGION}]
    (failed,) = admin.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=regions)[
        "ReplicationStatus"
    ]
    assert failed["Status"] == "Failed"
    assert failed["StatusMessage"] == (
        f"Replication failed: Secret name {name} already exists in region {REPLICA_REGION}."
    )
    assert there.get_secret_value(SecretId=name)["SecretString"] == "in the way"
    admin.put_secret_value(SecretId=name, SecretString="second")
    assert there.get_secret_value(SecretId=name)["SecretString"] == "in the way"
    answer = admin.replicate_secret_to_regions(
        SecretId=name, AddReplicaRegions=regions, ForceOverwriteReplicaSecret=True
    )
    assert [each["Status"] for each in answer["ReplicationStatus"]] == ["InSync"]
    assert there.get_secret_value(SecretId=name)["SecretString"] == "second"


@pytest.mark.parametrize("region", ["xx-nowhere-1", "cn-north-1", REGION])
def test_regions_that_are_none(secretsmanager: SecretsServer, region: str) -> None:
    with refused("InvalidParameterException", "Invalid replica region."):
        secretsmanager.of().replicate_secret_to_regions(
            SecretId=secretsmanager.secret()["ARN"], AddReplicaRegions=[{"Region": region}]
        )


def test_a_replica_whose_key_refuses_is_told_of(secretsmanager: SecretsServer) -> None:
    admin, there = secretsmanager.of(), secretsmanager.of(region=REPLICA_REGION)
    kms = secretsmanager.of(region=REPLICA_REGION, service="kms")
    key = secretsmanager.key(region=REPLICA_REGION)
    name = secretsmanager.secret(AddReplicaRegions=[{"Region": REPLICA_REGION, "KmsKeyId": key}])["Name"]
    kms.disable_key(KeyId=key)
    admin.put_secret_value(SecretId=name, SecretString="second")
    (state,) = admin.describe_secret(SecretId=name)["ReplicationStatus"]
    assert (state["Status"], state["KmsKeyId"]) == ("Failed", key)
    assert state["StatusMessage"].startswith("Replication failed: Secrets Manager can't encrypt")
    assert admin.get_secret_value(SecretId=name)["SecretString"] == "second"
    kms.enable_key(KeyId=key)
    assert there.get_secret_value(SecretId=name)["SecretString"] == "first"
    admin.replicate_secret_to_regions(
        SecretId=name, AddReplicaRegions=[{"Region": REPLICA_REGION, "KmsKeyId": key}]
    )
    assert there.get_secret_value(SecretId=name)["SecretString"] == "second"


def test_the_primary_region_in_policies(secretsmanager: SecretsServer) -> None:
    name = replicated(secretsmanager)["Name"]
    other = secretsmanager.secret()["Name"]
    user = secretsmanager.limit(
        inline(
            "secretsmanager:DescribeSecret",
            condition={"StringEquals": {"secretsmanager:SecretPrimaryRegion": REGION}},
        )
    )
    assert user.describe_secret(SecretId=name)
    with refused("AccessDeniedException"):
        user.describe_secret(SecretId=other)


def test_what_has_become_a_secret_on_its_own_is_overwritten_only_where_that_is_asked_for(
    secretsmanager: SecretsServer,
) -> None:
    admin, there = secretsmanager.of(), secretsmanager.of(region=REPLICA_REGION)
    name = replicated(secretsmanager)["Name"]
    there.stop_replication_to_replica(SecretId=name)
    there.put_secret_value(SecretId=name, SecretString="its own")
    again = {"SecretId": name, "AddReplicaRegions": [{"Region": REPLICA_REGION}]}
    (state,) = admin.replicate_secret_to_regions(**again)["ReplicationStatus"]
    assert state["Status"] == "Failed"
    assert there.get_secret_value(SecretId=name)["SecretString"] == "its own"
    (state,) = admin.replicate_secret_to_regions(**again, ForceOverwriteReplicaSecret=True)[
        "ReplicationStatus"
    ]
    assert state["Status"] == "InSync"
    assert there.get_secret_value(SecretId=name)["SecretString"] == "first"


def test_another_secrets_replica_is_never_overwritten(secretsmanager: SecretsServer) -> None:
    name = replicated(secretsmanager)["Name"]
    elsewhere = secretsmanager.of(region="us-west-2")
    elsewhere.create_secret(Name=name, SecretString="of another Region")
    (state,) = elsewhere.replicate_secret_to_regions(
        SecretId=name, AddReplicaRegions=[{"Region": REPLICA_REGION}], ForceOverwriteReplicaSecret=True
    )["ReplicationStatus"]
    assert state["Status"] == "Failed"
    there = secretsmanager.of(region=REPLICA_REGION)
    assert there.get_secret_value(SecretId=name)["SecretString"] == "first"


def test_a_replicas_key_is_tried(secretsmanager: SecretsServer) -> None:
    admin, name = secretsmanager.of(), f"test/{uuid4()}"
    # Without a value, nothing else would tell that the key is none.
    wanted = [{"Region": REPLICA_REGION, "KmsKeyId": "alias/of-nothing"}]
    made = admin.create_secret(Name=name, AddReplicaRegions=wanted)
    (state,) = made["ReplicationStatus"]
    assert state["Status"] == "Failed"
    with refused("ResourceNotFoundException"):
        secretsmanager.of(region=REPLICA_REGION).describe_secret(SecretId=name)
