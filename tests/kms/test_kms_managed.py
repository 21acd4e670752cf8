"""AWS managed keys: made on first use, used through their service, changed by nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kms_support import ACCOUNT, REGION, Kms, refused

from casemate.services.kms.managed import MANAGED


def described(kms: Kms, alias: str, region: str = REGION) -> Any:
    return kms.of(region=region).describe_key(KeyId=alias)["KeyMetadata"]


def test_describing_one_makes_it(kms: Kms) -> None:
    region = "eu-central-1"
    client = kms.of(region=region)
    assert client.list_aliases()["Aliases"] == []
    key = described(kms, "alias/aws/ssm", region)
    assert key == described(kms, "alias/aws/ssm", region), "it is made once"
    assert key["KeyManager"] == "AWS"
    assert key["KeyState"] == "Enabled"
    assert key["Description"] == "Default key that protects my SSM parameters when no other key is defined"
    aliases = client.list_aliases()["Aliases"]
    assert [(each["AliasName"], each["TargetKeyId"]) for each in aliases] == [("alias/aws/ssm", key["KeyId"])]
    assert described(kms, f"arn:aws:kms:{region}:{ACCOUNT}:alias/aws/ssm", region) == key
    status = client.get_key_rotation_status(KeyId=key["KeyId"])
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 365)


def test_its_policy_names_its_service_and_account(kms: Kms) -> None:
    key_id = described(kms, "alias/aws/ebs")["KeyId"]
    through, directly = json.loads(kms.of().get_key_policy(KeyId=key_id)["Policy"])["Statement"]
    assert through["Condition"] == {
        "StringEquals": {"kms:CallerAccount": ACCOUNT, "kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
    }
    assert directly["Action"] == ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"]


@pytest.mark.parametrize("alias", sorted(MANAGED))
def test_each_service_has_one(kms: Kms, alias: str) -> None:
    assert described(kms, alias, "us-west-2")["KeyManager"] == "AWS"


def test_a_name_of_no_service_names_no_key(kms: Kms) -> None:
    with refused("NotFoundException"):
        described(kms, "alias/aws/teapot")


def test_use_alone_does_not_make_it(kms: Kms) -> None:
    with refused("NotFoundException"):
        kms.of(region="eu-west-2").encrypt(KeyId="alias/aws/s3", Plaintext=b"x")
    listed = kms.of(region="eu-west-2").list_aliases()["Aliases"]
    assert "alias/aws/s3" not in [alias["AliasName"] for alias in listed]


def _put(client: Any, key: str) -> None:
    client.put_key_policy(KeyId=key, Policy="{}")


@pytest.mark.parametrize(
    "change",
    [
        lambda client, key: client.encrypt(KeyId=key, Plaintext=b"x"),
        lambda client, key: client.generate_data_key(KeyId=key, KeySpec="AES_256"),
        lambda client, key: client.schedule_key_deletion(KeyId=key),
        lambda client, key: client.disable_key(KeyId=key),
        lambda client, key: client.enable_key_rotation(KeyId=key),
        lambda client, key: client.disable_key_rotation(KeyId=key),
        lambda client, key: client.rotate_key_on_demand(KeyId=key),
        lambda client, key: client.update_key_description(KeyId=key, Description="mine"),
        lambda client, key: client.tag_resource(KeyId=key, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda client, key: client.create_alias(AliasName="alias/mine", TargetKeyId=key),
        _put,
    ],
)
def test_nobody_uses_it_directly_or_changes_it(kms: Kms, change: Callable[[Any, str], object]) -> None:
    key_id = described(kms, "alias/aws/s3")["KeyId"]
    with refused("AccessDeniedException"):
        change(kms.of(), key_id)


def test_other_accounts_cannot_name_it(kms: Kms) -> None:
    arn = described(kms, "alias/aws/s3")["Arn"]
    with refused("AccessDeniedException"):
        kms.of("stranger").describe_key(KeyId=arn)
    with refused("AccessDeniedException"):
        kms.of("stranger").describe_key(KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/sqs")
    assert all(each["AliasName"] != "alias/aws/sqs" for each in kms.of().list_aliases()["Aliases"])


def test_it_rotates_every_year(timed: Kms) -> None:
    key_id = described(timed, "alias/aws/s3")["KeyId"]
    timed.advance("366d")
    rotations = timed.of().list_key_rotations(KeyId=key_id)["Rotations"]
    assert [each["RotationType"] for each in rotations] == ["AUTOMATIC"]
