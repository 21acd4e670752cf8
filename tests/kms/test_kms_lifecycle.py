"""A key's life by a real client: made, described, listed, disabled, to be deleted, had back."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from kms_support import ABSENT_ID, ACCOUNT, OTHER_ACCOUNT, REGION, Kms, refused


def metadata(kms: Kms, key_id: str) -> Any:
    return kms.of().describe_key(KeyId=key_id)["KeyMetadata"]


def test_a_new_keys_metadata(kms: Kms) -> None:
    made = kms.key(Description="for tests")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made["KeyId"])
    assert re.fullmatch(r"[0-9a-f]{64}", made["CurrentKeyMaterialId"])
    assert abs(datetime.now(UTC) - made["CreationDate"]) < timedelta(minutes=1)
    varying = ("KeyId", "CurrentKeyMaterialId", "CreationDate")
    assert {name: value for name, value in made.items() if name not in varying} == {
        "AWSAccountId": ACCOUNT,
        "Arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{made['KeyId']}",
        "Enabled": True,
        "Description": "for tests",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": False,
    }
    assert metadata(kms, made["KeyId"]) == made, "DescribeKey shows what CreateKey showed"
    assert metadata(kms, made["Arn"]) == made


def test_the_explicit_defaults_are_taken(kms: Kms) -> None:
    made = kms.key(
        KeySpec="SYMMETRIC_DEFAULT", KeyUsage="ENCRYPT_DECRYPT", Origin="AWS_KMS", MultiRegion=False
    )
    assert made["KeyState"] == "Enabled"
    assert made["Description"] == ""


def test_parameters_that_contradict_each_other(kms: Kms) -> None:
    with refused("ValidationException"):
        kms.key(KeySpec="SYMMETRIC_DEFAULT", CustomerMasterKeySpec="SYMMETRIC_DEFAULT")
    with refused(
        "ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT."
    ):
        kms.key(KeyUsage="SIGN_VERIFY")


def test_keys_that_are_not_there(kms: Kms) -> None:
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"
    for name in (ABSENT_ID, arn):
        with refused("NotFoundException", f"Key '{arn}' does not exist"):
            kms.of().describe_key(KeyId=name)
    multi_region = "mrk-" + "0" * 32
    with refused(
        "NotFoundException", f"Key 'arn:aws:kms:{REGION}:{ACCOUNT}:key/{multi_region}' does not exist"
    ):
        kms.of().describe_key(KeyId=multi_region)
    alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/none"
    for name in ("alias/none", alias):
        with refused("NotFoundException", f"Alias {alias} is not found."):
            kms.of().describe_key(KeyId=name)


def test_names_that_name_nothing(kms: Kms) -> None:
    for name in ("fake-key-id", "134f2428cec14b25a1ae9048164dba47", "mrk-fake-key-id", "alias/", " "):
        with refused("NotFoundException", f"Invalid keyId '{name}'"):
            kms.of().describe_key(KeyId=name)
    with refused("NotFoundException", "Invalid arn eu-west-1"):
        kms.of().describe_key(KeyId=f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{ABSENT_ID}")
    for name in (
        "arn:aws:kms",
        f"arn:aws:s3:{REGION}:{ACCOUNT}:key/{ABSENT_ID}",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:grant/{ABSENT_ID}",
        f"arn:aws-cn:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}",
    ):
        with refused("InvalidArnException"):
            kms.of().describe_key(KeyId=name)


def test_keys_live_in_their_region(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    with refused("NotFoundException", f"Key 'arn:aws:kms:eu-west-1:{ACCOUNT}:key/{key_id}' does not exist"):
        kms.of(region="eu-west-1").describe_key(KeyId=key_id)
    chinese = kms.of(region="cn-north-1").create_key()["KeyMetadata"]["Arn"]
    assert chinese.startswith(f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/"), (
        "ARNs have their Region's partition"
    )


def test_list_keys_in_pages(kms: Kms) -> None:
    region = "ap-south-1"
    client = kms.of(region=region)
    made = {client.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
    pages = []
    marker: dict[str, str] = {}
    while True:
        page = client.list_keys(Limit=2, **marker)
        pages.append(page["Keys"])
        if not page["Truncated"]:
            assert "NextMarker" not in page
            break
        marker = {"Marker": page["NextMarker"]}
    assert [len(page) for page in pages] == [2, 2, 1]
    listed = [entry for page in pages for entry in page]
    assert {entry["KeyId"] for entry in listed} == made
    assert listed[0]["KeyArn"] == f"arn:aws:kms:{region}:{ACCOUNT}:key/{listed[0]['KeyId']}"
    whole = client.list_keys()
    assert (whole["Keys"], whole["Truncated"]) == (listed, False)
    assert client.list_keys(ResourceOwners=["SELF"])["Keys"] == listed
    assert client.list_keys(ResourceOwners=["OTHER_ACCOUNTS_VIA_RAM"])["Keys"] == []
    nul = base64.urlsafe_b64encode(b"ListKeys\n\0").decode()
    for wrong in ("x", "AAAA", "äöü", first_marker(client) + "x", first_marker(client)[:-3], nul):
        with refused("InvalidMarkerException"):
            client.list_keys(Marker=wrong)
    with refused("InvalidMarkerException"):
        client.list_aliases(Marker=first_marker(client))
    with refused("ValidationException"):
        client.list_keys(Limit=1001)


def first_marker(client: Any) -> str:
    return str(client.list_keys(Limit=1)["NextMarker"])


def test_a_disabled_key_encrypts_nothing(kms: Kms) -> None:
    key = kms.key()
    blob = kms.of().encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    kms.of().disable_key(KeyId=key["Arn"])
    assert metadata(kms, key["KeyId"])["KeyState"] == "Disabled"
    assert metadata(kms, key["KeyId"])["Enabled"] is False
    text = f"{key['Arn']} is disabled."
    for use in uses(kms, key["KeyId"], blob):
        with refused("DisabledException", text):
            use()
    kms.of().disable_key(KeyId=key["KeyId"])
    kms.of().enable_key(KeyId=key["KeyId"])
    kms.of().enable_key(KeyId=key["KeyId"])
    assert metadata(kms, key["KeyId"])["Enabled"] is True
    assert kms.of().decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def uses(kms: Kms, key_id: str, blob: bytes) -> list[Any]:
    client = kms.of()
    return [
        lambda: client.encrypt(KeyId=key_id, Plaintext=b"x"),
        lambda: client.decrypt(CiphertextBlob=blob),
        lambda: client.re_encrypt(CiphertextBlob=blob, DestinationKeyId=key_id),
        lambda: client.generate_data_key(KeyId=key_id, KeySpec="AES_256"),
        lambda: client.generate_data_key_without_plaintext(KeyId=key_id, KeySpec="AES_256"),
    ]


def test_a_key_pending_deletion_can_be_had_back(kms: Kms) -> None:
    key = kms.key()
    arn, key_id = key["Arn"], key["KeyId"]
    client = kms.of()
    blob = client.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    client.create_alias(AliasName=f"alias/doomed-{key_id}", TargetKeyId=key_id)
    answer = client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert (answer["KeyId"], answer["KeyState"], answer["PendingWindowInDays"]) == (arn, "PendingDeletion", 7)
    due = answer["DeletionDate"] - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < due <= timedelta(days=7)
    shown = metadata(kms, key_id)
    assert (shown["KeyState"], shown["Enabled"]) == ("PendingDeletion", False)
    assert shown["DeletionDate"] == answer["DeletionDate"]
    text = f"{arn} is pending deletion."
    changes: list[Any] = [
        lambda: client.enable_key(KeyId=key_id),
        lambda: client.disable_key(KeyId=key_id),
        lambda: client.schedule_key_deletion(KeyId=key_id),
        lambda: client.tag_resource(KeyId=key_id, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda: client.untag_resource(KeyId=key_id, TagKeys=["a"]),
        lambda: client.create_alias(AliasName=f"alias/late-{key_id}", TargetKeyId=key_id),
        lambda: client.update_alias(AliasName=f"alias/doomed-{key_id}", TargetKeyId=key_id),
        lambda: client.update_key_description(KeyId=key_id, Description="late"),
    ]
    for use in (*uses(kms, key_id, blob), *changes):
        with refused("KMSInvalidStateException", text):
            use()
    # What AWS allows all the same.
    policy = client.get_key_policy(KeyId=key_id)["Policy"]
    client.put_key_policy(KeyId=key_id, Policy=policy)
    client.list_resource_tags(KeyId=key_id)
    client.delete_alias(AliasName=f"alias/doomed-{key_id}")
    assert client.cancel_key_deletion(KeyId=key_id)["KeyId"] == arn
    shown = metadata(kms, key_id)
    assert shown["KeyState"] == "Disabled"
    assert "DeletionDate" not in shown
    with refused("KMSInvalidStateException", f"{arn} is not pending deletion."):
        client.cancel_key_deletion(KeyId=key_id)
    client.enable_key(KeyId=key_id)
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_the_waiting_period(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    for days in (1, 6, 31, 365):
        with refused("ValidationException", "PendingWindowInDays must be between 7 and 30"):
            kms.of().schedule_key_deletion(KeyId=key_id, PendingWindowInDays=days)
    assert kms.of().schedule_key_deletion(KeyId=key_id)["PendingWindowInDays"] == 30


def test_the_description_can_be_replaced(kms: Kms) -> None:
    key_id = kms.key(Description="before")["KeyId"]
    kms.of().update_key_description(KeyId=key_id, Description="after")
    assert metadata(kms, key_id)["Description"] == "after"
    with refused("ValidationException"):
        kms.of().update_key_description(KeyId=key_id, Description="nul \0 byte")


def test_changes_take_a_key_of_the_callers_own(kms: Kms) -> None:
    key = kms.key()
    kms.of().create_alias(AliasName=f"alias/own-{key['KeyId']}", TargetKeyId=key["KeyId"])
    with refused("NotFoundException", f"Invalid keyId 'alias/own-{key['KeyId']}'"):
        kms.of().disable_key(KeyId=f"alias/own-{key['KeyId']}")
    with refused("InvalidArnException"):
        kms.of().disable_key(KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/own-{key['KeyId']}")
    for arn in (key["Arn"], f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"):
        with refused(
            "AccessDeniedException",
            f"User: arn:aws:iam::{OTHER_ACCOUNT}:user/stranger is not authorized to perform: kms:DisableKey "
            f"on resource: {arn} because no resource-based policy allows the kms:DisableKey action",
        ):
            kms.of("stranger").disable_key(KeyId=arn)
