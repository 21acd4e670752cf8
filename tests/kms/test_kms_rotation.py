"""Rotation by a real client, through years of the server's clock."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from kms_support import OTHER_ACCOUNT, Kms, key_policy, refused, statement, user_arn


def materials(kms: Kms, key_id: str) -> list[dict[str, Any]]:
    listed = kms.of().list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    found: list[dict[str, Any]] = listed["Rotations"]
    return found


def current(kms: Kms, key_id: str) -> str:
    return str(kms.of().describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"])


def test_a_key_rotates_every_year(timed: Kms) -> None:
    client = timed.of()
    key = timed.key()
    first = client.encrypt(KeyId=key["KeyId"], Plaintext=b"first")
    client.enable_key_rotation(KeyId=key["KeyId"])
    status = client.get_key_rotation_status(KeyId=key["KeyId"])
    assert (status["KeyId"], status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (
        key["Arn"],
        True,
        365,
    )
    assert abs(status["NextRotationDate"] - timed.now() - timedelta(days=365)) < timedelta(minutes=5)

    timed.advance("364d")
    assert len(materials(timed, key["KeyId"])) == 1, "its year is not over"
    timed.advance("1d1h")
    assert current(timed, key["KeyId"]) != key["CurrentKeyMaterialId"]
    second = client.encrypt(KeyId=key["KeyId"], Plaintext=b"second")

    # Two more years in one step are two rotations, each at its date.
    timed.advance("730d")
    rotations = client.list_key_rotations(KeyId=key["KeyId"])
    assert not rotations["Truncated"]
    dates = [each["RotationDate"] for each in rotations["Rotations"]]
    assert [later - earlier for earlier, later in pairwise(dates)] == [timedelta(days=365)] * 2
    assert [each["RotationType"] for each in rotations["Rotations"]] == ["AUTOMATIC"] * 3
    assert [each["KeyMaterialState"] for each in rotations["Rotations"]] == ["NON_CURRENT"] * 2 + ["CURRENT"]
    assert all(each["KeyId"] == key["Arn"] for each in rotations["Rotations"])
    assert rotations["Rotations"][2]["KeyMaterialId"] == current(timed, key["KeyId"])

    # What the old material has sealed still opens, and tells by which it was.
    opened = client.decrypt(CiphertextBlob=first["CiphertextBlob"])
    assert (opened["Plaintext"], opened["KeyMaterialId"]) == (b"first", key["CurrentKeyMaterialId"])
    assert client.decrypt(CiphertextBlob=second["CiphertextBlob"])["Plaintext"] == b"second"
    again = client.re_encrypt(CiphertextBlob=first["CiphertextBlob"], DestinationKeyId=key["KeyId"])
    assert again["SourceKeyMaterialId"] == key["CurrentKeyMaterialId"]
    assert again["DestinationKeyMaterialId"] == current(timed, key["KeyId"])
    events = timed.events("RotateKey", key["Arn"], 3)
    assert events[0]["eventType"] == "AwsServiceEvent"
    assert events[0]["serviceEventDetails"]["rotationType"] == "AUTOMATIC"
    assert events[0]["serviceEventDetails"]["previousKeyMaterialId"] == key["CurrentKeyMaterialId"]


def test_the_first_material_is_listed_when_asked_for(kms: Kms) -> None:
    key = kms.key()
    assert kms.of().list_key_rotations(KeyId=key["KeyId"])["Rotations"] == []
    assert materials(kms, key["KeyId"]) == [
        {
            "KeyId": key["Arn"],
            "KeyMaterialId": key["CurrentKeyMaterialId"],
            "KeyMaterialState": "CURRENT",
        }
    ]


def test_another_period_counts_from_now_and_the_same_one_changes_nothing(timed: Kms) -> None:
    client = timed.of()
    key_id = timed.key()["KeyId"]
    client.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    planned = client.get_key_rotation_status(KeyId=key_id)["NextRotationDate"]
    timed.advance("30d")
    client.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    assert client.get_key_rotation_status(KeyId=key_id)["NextRotationDate"] == planned
    client.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=2560)
    later = client.get_key_rotation_status(KeyId=key_id)
    assert later["RotationPeriodInDays"] == 2560
    assert later["NextRotationDate"] - planned == pytest.approx(
        timedelta(days=2500), abs=timedelta(minutes=5)
    )
    timed.advance("90d")
    assert len(materials(timed, key_id)) == 1


def test_rotation_can_be_turned_off(timed: Kms) -> None:
    client = timed.of()
    key_id = timed.key()["KeyId"]
    assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
    client.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    client.disable_key_rotation(KeyId=key_id)
    status = client.get_key_rotation_status(KeyId=key_id)
    assert status["KeyRotationEnabled"] is False
    assert "NextRotationDate" not in status
    assert "RotationPeriodInDays" not in status
    timed.advance("200d")
    assert len(materials(timed, key_id)) == 1


def test_a_disabled_key_makes_up_for_its_rotation_when_it_is_enabled(timed: Kms) -> None:
    client = timed.of()
    key_id = timed.key()["KeyId"]
    client.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    client.disable_key(KeyId=key_id)
    timed.advance("200d")
    assert len(materials(timed, key_id)) == 1, "a disabled key does not rotate"
    client.enable_key(KeyId=key_id)
    timed.advance("1m")
    assert len(materials(timed, key_id)) == 2, "what was missed is one rotation"
    timed.advance("90d")
    assert len(materials(timed, key_id)) == 3


def test_a_key_that_is_to_be_deleted_does_not_rotate(timed: Kms) -> None:
    client = timed.of()
    key_id = timed.key()["KeyId"]
    client.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=90)
    timed.advance("80d")
    client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=30)
    assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
    timed.advance("20d")
    client.cancel_key_deletion(KeyId=key_id)
    assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
    assert len(materials(timed, key_id)) == 1


def test_on_demand_up_to_its_limit(kms: Kms) -> None:
    client = kms.of()
    key = kms.key()
    blob = client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for _ in range(25):
        assert client.rotate_key_on_demand(KeyId=key["KeyId"])["KeyId"] == key["Arn"]
    with refused("LimitExceededException"):
        client.rotate_key_on_demand(KeyId=key["KeyId"])
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    pages = list(
        client.get_paginator("list_key_rotations").paginate(
            KeyId=key["KeyId"], PaginationConfig={"PageSize": 10}
        )
    )
    found = [each for page in pages for each in page["Rotations"]]
    assert [len(page["Rotations"]) for page in pages] == [10, 10, 5]
    assert len({each["KeyMaterialId"] for each in found}) == 25
    assert {each["RotationType"] for each in found} == {"ON_DEMAND"}
    assert client.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is False
    assert kms.events("RotateKey", key["Arn"], 25)[0]["serviceEventDetails"]["rotationType"] == "ON_DEMAND"


def test_on_demand_leaves_the_schedule_alone(kms: Kms) -> None:
    client = kms.of()
    key_id = kms.key()["KeyId"]
    client.enable_key_rotation(KeyId=key_id)
    before = client.get_key_rotation_status(KeyId=key_id)
    client.rotate_key_on_demand(KeyId=key_id)
    after = client.get_key_rotation_status(KeyId=key_id)
    assert after["NextRotationDate"] == before["NextRotationDate"]


@pytest.mark.parametrize("operation", ["enable_key_rotation", "disable_key_rotation", "rotate_key_on_demand"])
def test_states_that_refuse_a_change(kms: Kms, operation: str) -> None:
    client = kms.of()
    key = kms.key()
    client.disable_key(KeyId=key["KeyId"])
    with refused("DisabledException", f"{key['Arn']} is disabled."):
        getattr(client, operation)(KeyId=key["KeyId"])
    client.schedule_key_deletion(KeyId=key["KeyId"])
    with refused("KMSInvalidStateException", f"{key['Arn']} is pending deletion."):
        getattr(client, operation)(KeyId=key["KeyId"])


def test_a_period_is_2560_days_at_most(kms: Kms) -> None:
    with refused("ValidationException"):
        kms.of().enable_key_rotation(KeyId=kms.key()["KeyId"], RotationPeriodInDays=2561)


def test_markers_are_checked(kms: Kms) -> None:
    with refused("InvalidMarkerException"):
        kms.of().list_key_rotations(KeyId=kms.key()["KeyId"], Marker="made-up")


def test_a_policy_can_bound_the_period(kms: Kms) -> None:
    bound = statement(
        user_arn("reader"),
        "kms:EnableKeyRotation",
        Condition={"NumericLessThanEquals": {"kms:RotationPeriodInDays": "180"}},
    )
    key_id = kms.key(key_policy(statement(user_arn("admin"), "kms:*"), bound))["KeyId"]
    with refused("AccessDeniedException"):
        kms.of("reader").enable_key_rotation(KeyId=key_id)
    kms.of("reader").enable_key_rotation(KeyId=key_id, RotationPeriodInDays=180)


def test_other_accounts_may_look_at_the_status_alone(kms: Kms) -> None:
    shared = key_policy(
        statement(user_arn("admin"), "kms:*"), statement(f"arn:aws:iam::{OTHER_ACCOUNT}:root", "kms:*")
    )
    arn = kms.key(shared)["Arn"]
    stranger = kms.of("stranger")
    assert stranger.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"] is False
    for operation in (
        "enable_key_rotation",
        "disable_key_rotation",
        "rotate_key_on_demand",
        "list_key_rotations",
    ):
        with refused("AccessDeniedException"):
            getattr(stranger, operation)(KeyId=arn)


def test_aliases_are_not_taken(kms: Kms) -> None:
    kms.of().create_alias(AliasName="alias/rotation", TargetKeyId=kms.key()["KeyId"])
    with refused("NotFoundException"):
        kms.of().get_key_rotation_status(KeyId="alias/rotation")
