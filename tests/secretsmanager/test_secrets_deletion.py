"""DeleteSecret, RestoreSecret, the recovery window's end, and the versions that a secret keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from secrets_support import MARKED, NO_SECRET, SecretsServer, refused, secrets_server


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretsServer]:
    """A server whose clock these tests move, forwards only."""
    with secrets_server(tmp_path_factory.mktemp("timed-secrets")) as running:
        yield running


def test_a_marked_secret_is_out_of_use_and_can_be_restored(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret()
    deleted = admin.delete_secret(SecretId=made["ARN"], RecoveryWindowInDays=7)
    assert (deleted["ARN"], deleted["Name"]) == (made["ARN"], made["Name"])
    shown = admin.describe_secret(SecretId=made["ARN"])
    assert shown["DeletedDate"] == deleted["DeletionDate"]
    assert deleted["DeletionDate"] - shown["LastChangedDate"] == timedelta(days=7)
    name = {"SecretId": made["Name"]}
    refused_now: list[tuple[Any, dict[str, Any]]] = [
        (admin.get_secret_value, name),
        (admin.put_secret_value, {**name, "SecretString": "x"}),
        (admin.update_secret, {**name, "Description": "x"}),
        (
            admin.update_secret_version_stage,
            {**name, "VersionStage": "x", "MoveToVersionId": made["VersionId"]},
        ),
        (admin.tag_resource, {**name, "Tags": []}),
        (admin.untag_resource, {**name, "TagKeys": []}),
        (admin.get_resource_policy, name),
        (admin.list_resource_policies, name),
        (admin.put_resource_policy, {**name, "ResourcePolicy": "{}"}),
        (admin.delete_resource_policy, name),
        (admin.replicate_secret_to_regions, {**name, "AddReplicaRegions": [{"Region": "eu-west-1"}]}),
        (admin.remove_regions_from_replication, {**name, "RemoveReplicaRegions": ["eu-west-1"]}),
        (admin.stop_replication_to_replica, name),
        (admin.delete_secret, name),
    ]
    for operation, request in refused_now:
        with refused("InvalidRequestException", MARKED):
            operation(**request)
    with refused(
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    ):
        admin.create_secret(Name=made["Name"], SecretString="x")
    assert admin.list_secret_version_ids(**name)["Versions"]
    restored = admin.restore_secret(**name)
    assert (restored["ARN"], restored["Name"]) == (made["ARN"], made["Name"])
    assert admin.get_secret_value(**name)["SecretString"] == "first"
    assert "DeletedDate" not in admin.describe_secret(**name)
    admin.restore_secret(**name)


def test_the_window_is_7_to_30_days(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    name = secretsmanager.secret()["Name"]
    for days in (0, 6, 31):
        with refused(
            "InvalidParameterException",
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ):
            admin.delete_secret(SecretId=name, RecoveryWindowInDays=days)
    with refused(
        "InvalidParameterException",
        "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
    ):
        admin.delete_secret(SecretId=name, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)
    deleted = admin.delete_secret(SecretId=name)["DeletionDate"]
    changed = admin.describe_secret(SecretId=name)["LastChangedDate"]
    assert deleted - changed == timedelta(days=30)


def test_by_force_it_is_gone_at_once(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    made = secretsmanager.secret()
    admin.delete_secret(SecretId=made["Name"])
    admin.delete_secret(SecretId=made["Name"], ForceDeleteWithoutRecovery=True)
    for operation in (
        admin.get_secret_value,
        admin.describe_secret,
        admin.restore_secret,
        admin.delete_secret,
    ):
        with refused("ResourceNotFoundException", NO_SECRET):
            operation(SecretId=made["Name"])
    # What is not there can be deleted by force.
    absent = admin.delete_secret(SecretId="never-was", ForceDeleteWithoutRecovery=True)
    assert absent["Name"] == "never-was"
    with refused("AccessDeniedException"):
        secretsmanager.of("nobody").delete_secret(SecretId="never-was", ForceDeleteWithoutRecovery=True)
    again = admin.create_secret(Name=made["Name"], SecretString="anew")
    assert again["ARN"] != made["ARN"]
    assert len(admin.list_secret_version_ids(SecretId=made["Name"], IncludeDeprecated=True)["Versions"]) == 1


def test_when_the_window_is_over_the_secret_is_gone(timed: SecretsServer) -> None:
    admin = timed.of()
    gone, kept = timed.secret(), timed.secret()
    for each in (gone, kept):
        admin.delete_secret(SecretId=each["ARN"], RecoveryWindowInDays=7)
    timed.advance("6d")
    admin.restore_secret(SecretId=kept["ARN"])
    assert admin.describe_secret(SecretId=gone["ARN"])
    timed.advance("1d")
    with refused("ResourceNotFoundException", NO_SECRET):
        admin.describe_secret(SecretId=gone["ARN"])
    assert admin.get_secret_value(SecretId=kept["ARN"])["SecretString"] == "first"
    assert admin.create_secret(Name=gone["Name"], SecretString="anew")["ARN"] != gone["ARN"]
    end = time.monotonic() + 20
    while not (events := timed.events("EndSecretVersionDelete")):
        assert time.monotonic() < end
    assert [event["resources"][0]["ARN"] for event in events] == [gone["ARN"]]
    assert events[0]["eventType"] == "AwsServiceEvent"


def test_the_oldest_of_too_many_versions_go_once_they_are_a_day_old(timed: SecretsServer) -> None:
    admin = timed.of()
    made = timed.secret("0")
    first = {"SecretId": made["ARN"], "VersionId": made["VersionId"]}
    admin.update_secret_version_stage(
        SecretId=made["ARN"], VersionStage="kept", MoveToVersionId=made["VersionId"]
    )
    old = [
        admin.put_secret_value(SecretId=made["ARN"], SecretString=str(number))["VersionId"]
        for number in range(1, 104)
    ]
    listed = admin.list_secret_version_ids(SecretId=made["ARN"], IncludeDeprecated=True, MaxResults=100)
    rest = admin.list_secret_version_ids(
        SecretId=made["ARN"], IncludeDeprecated=True, NextToken=listed["NextToken"]
    )
    assert len(listed["Versions"]) + len(rest["Versions"]) == 104
    timed.advance("25h")
    admin.put_secret_value(SecretId=made["ARN"], SecretString="new")
    left = admin.list_secret_version_ids(SecretId=made["ARN"], IncludeDeprecated=True)["Versions"]
    ids = {each["VersionId"] for each in left}
    assert len(ids) == 100
    assert made["VersionId"] in ids
    assert not ids & set(old[:5])
    assert set(old[5:]) < ids
    assert admin.get_secret_value(**first)["SecretString"] == "0"


def test_the_day_of_the_last_use_is_told(timed: SecretsServer) -> None:
    admin = timed.of()
    used, unused = timed.secret(), timed.secret()
    admin.put_secret_value(SecretId=used["ARN"], SecretString="second")
    admin.get_secret_value(SecretId=used["ARN"], VersionStage="AWSPREVIOUS")
    with refused("ResourceNotFoundException"):
        admin.get_secret_value(SecretId=unused["ARN"], VersionStage="AWSPREVIOUS")
    # Whoever asks when a KMS key was last used has the audit read up to now.
    key = timed.key()
    timed.of(service="kms").get_key_last_usage(KeyId=key)
    shown = admin.describe_secret(SecretId=used["ARN"])
    midnight = shown["LastAccessedDate"]
    assert midnight.timestamp() % 86_400 == 0
    assert shown["LastChangedDate"] - midnight < timedelta(days=1)
    versions = admin.list_secret_version_ids(SecretId=used["ARN"])["Versions"]
    assert [each.get("LastAccessedDate") for each in versions] == [midnight, None]
    assert "LastAccessedDate" not in admin.describe_secret(SecretId=unused["ARN"])
    listed = admin.list_secrets(SortBy="last-accessed-date", SortOrder="desc")["SecretList"]
    assert listed[0]["LastAccessedDate"] == midnight
