"""Aliases by a real client."""

from __future__ import annotations

from typing import Any

import pytest
from kms_support import (
    ABSENT_ID,
    ACCOUNT,
    DELEGATION,
    OTHER_ACCOUNT,
    REGION,
    Kms,
    key_policy,
    refused,
    statement,
    user_arn,
)


def arn_of(alias: str, region: str = REGION) -> str:
    return f"arn:aws:kms:{region}:{ACCOUNT}:{alias}"


def test_an_alias_names_a_key_until_it_names_another(kms: Kms) -> None:
    first, second = kms.key(), kms.key()
    client, alias = kms.of(), "alias/app/moving_1"
    client.create_alias(AliasName=alias, TargetKeyId=first["Arn"])
    for name in (alias, arn_of(alias)):
        assert client.describe_key(KeyId=name)["KeyMetadata"]["Arn"] == first["Arn"]
        assert client.encrypt(KeyId=name, Plaintext=b"x")["KeyId"] == first["Arn"]
    client.update_alias(AliasName=alias, TargetKeyId=second["KeyId"])
    assert client.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == second["Arn"]
    assert [each["AliasName"] for each in client.list_aliases(KeyId=first["KeyId"])["Aliases"]] == []
    (entry,) = client.list_aliases(KeyId=second["Arn"])["Aliases"]
    assert (entry["AliasName"], entry["AliasArn"]) == (alias, arn_of(alias))
    assert entry["TargetKeyId"] == second["KeyId"]
    assert entry["LastUpdatedDate"] >= entry["CreationDate"]
    client.update_alias(AliasName=alias, TargetKeyId=second["KeyId"])
    client.delete_alias(AliasName=alias)
    with refused("NotFoundException", f"Alias {arn_of(alias)} is not found."):
        client.describe_key(KeyId=alias)


def test_an_alias_exists_once_in_a_region(kms: Kms) -> None:
    key, alias = kms.key(), "alias/once"
    kms.of().create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    with refused("AlreadyExistsException", f"An alias with the name {arn_of(alias)} already exists"):
        kms.of().create_alias(AliasName=alias, TargetKeyId=kms.key()["KeyId"])
    elsewhere = kms.of(region="eu-west-2")
    other = elsewhere.create_key()["KeyMetadata"]["KeyId"]
    elsewhere.create_alias(AliasName=alias, TargetKeyId=other)
    assert elsewhere.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == other
    stranger = kms.of("stranger")
    theirs = stranger.create_key()["KeyMetadata"]["KeyId"]
    stranger.create_alias(AliasName=alias, TargetKeyId=theirs)
    assert stranger.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == theirs


def test_what_an_alias_may_be_called(kms: Kms) -> None:
    key_id, client = kms.key()["KeyId"], kms.of()
    with refused(
        "ValidationException",
        'Alias must start with the prefix "alias/". Please see '
        "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
    ):
        client.create_alias(AliasName="app", TargetKeyId=key_id)
    with refused("ValidationException", "Invalid identifier"):
        client.create_alias(AliasName="alias/", TargetKeyId=key_id)
    with refused("ValidationException", "alias/a:b contains invalid characters for an alias"):
        client.create_alias(AliasName="alias/a:b", TargetKeyId=key_id)
    with refused("ValidationException"):
        client.create_alias(AliasName="alias/a b", TargetKeyId=key_id)
    for name in ("alias/aws/s3", "alias/aws"):
        with refused("NotAuthorizedException"):
            client.create_alias(AliasName=name, TargetKeyId=key_id)
        with refused("NotAuthorizedException"):
            client.delete_alias(AliasName=name)
    client.create_alias(AliasName="alias/awsome", TargetKeyId=key_id)


def test_an_alias_is_of_a_key(kms: Kms) -> None:
    client = kms.of()
    client.create_alias(AliasName="alias/target", TargetKeyId=kms.key()["KeyId"])
    for target in ("alias/target", arn_of("alias/target")):
        with refused("ValidationException", "Aliases must refer to keys. Not aliases"):
            client.create_alias(AliasName="alias/of-alias", TargetKeyId=target)
    absent = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"
    with refused("NotFoundException", f"Key '{absent}' does not exist"):
        client.create_alias(AliasName="alias/of-nothing", TargetKeyId=ABSENT_ID)
    with refused("NotFoundException", "Invalid keyId 'x'"):
        client.create_alias(AliasName="alias/of-nothing", TargetKeyId="x")
    foreign = kms.of("stranger").create_key()["KeyMetadata"]["Arn"]
    with refused("AccessDeniedException"):
        client.create_alias(AliasName="alias/of-others", TargetKeyId=foreign)
    with refused("AccessDeniedException"):
        client.update_alias(AliasName="alias/target", TargetKeyId=foreign)


def test_aliases_that_are_not_there(kms: Kms) -> None:
    key_id = kms.key()["KeyId"]
    text = f"Alias {arn_of('alias/absent')} is not found."
    with refused("NotFoundException", text):
        kms.of().update_alias(AliasName="alias/absent", TargetKeyId=key_id)
    with refused("NotFoundException", text):
        kms.of().delete_alias(AliasName="alias/absent")


def test_a_key_has_50_aliases_at_most(kms: Kms) -> None:
    client, key_id = kms.of(), kms.key()["KeyId"]
    other = kms.key()["KeyId"]
    for number in range(50):
        client.create_alias(AliasName=f"alias/many/{number:02}", TargetKeyId=key_id)
    with refused("LimitExceededException"):
        client.create_alias(AliasName="alias/many/50", TargetKeyId=key_id)
    client.create_alias(AliasName="alias/many/50", TargetKeyId=other)
    with refused("LimitExceededException"):
        client.update_alias(AliasName="alias/many/50", TargetKeyId=key_id)
    names = [f"alias/many/{number:02}" for number in range(50)]
    assert listed(client, KeyId=key_id, Limit=20) == names
    client.delete_alias(AliasName="alias/many/00")
    client.update_alias(AliasName="alias/many/50", TargetKeyId=key_id)
    assert listed(client, KeyId=key_id) == [*names[1:], "alias/many/50"]


def listed(client: Any, **parameters: Any) -> list[str]:
    """All aliases, page by page."""
    names: list[str] = []
    while True:
        page = client.list_aliases(**parameters)
        names += [each["AliasName"] for each in page["Aliases"]]
        if not page["Truncated"]:
            return names
        parameters["Marker"] = page["NextMarker"]


def test_list_aliases_shows_the_accounts_in_the_region(kms: Kms) -> None:
    client = kms.of(region="eu-north-1")
    keys = [client.create_key()["KeyMetadata"]["KeyId"] for _ in range(2)]
    for number in range(5):
        client.create_alias(AliasName=f"alias/listed-{number}", TargetKeyId=keys[number % 2])
    assert listed(client, Limit=2) == [f"alias/listed-{number}" for number in range(5)]
    assert listed(client) == listed(client, Limit=100)
    assert listed(client, KeyId=keys[1], Limit=1) == ["alias/listed-1", "alias/listed-3"]
    with refused(
        "ValidationException",
        "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have "
        "value less than or equal to 100",
    ):
        client.list_aliases(Limit=101)
    for key_id, code in ((ABSENT_ID, "NotFoundException"), ("alias/listed-0", "NotFoundException")):
        with refused(code):
            client.list_aliases(KeyId=key_id)
    with refused("NotFoundException"):
        client.list_aliases(KeyId=f"arn:aws:kms:eu-north-1:{OTHER_ACCOUNT}:key/{keys[0]}")


@pytest.mark.parametrize("operation", ["create_alias", "update_alias", "delete_alias"])
def test_a_change_needs_permission_on_alias_and_key(kms: Kms, operation: str) -> None:
    key_id = kms.key()["KeyId"]
    alias = f"alias/guarded-{operation.replace('_', '-')}"
    if operation != "create_alias":
        kms.of().create_alias(AliasName=alias, TargetKeyId=key_id)
    target = {} if operation == "delete_alias" else {"TargetKeyId": key_id}
    with refused("AccessDeniedException"):
        getattr(kms.of("nobody"), operation)(AliasName=alias, **target)


def test_permission_on_the_alias_alone_is_not_enough(kms: Kms) -> None:
    key = kms.key()
    action = "kms:CreateAlias"
    with refused(
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/namer is not authorized to perform: {action} on resource: "
        f"{key['Arn']} because no identity-based policy allows the {action} action",
    ):
        kms.of("namer").create_alias(AliasName="alias/half", TargetKeyId=key["KeyId"])


def test_another_accounts_alias_does_not_tell_whether_it_exists(kms: Kms) -> None:
    key = str(kms.key()["KeyId"])
    kms.of().create_alias(AliasName="alias/aliases-hidden", TargetKeyId=key)
    place = f"arn:aws:kms:{REGION}:{ACCOUNT}"
    for name in ("alias/aliases-hidden", "alias/aliases-nothing"):
        text = (
            f"User: {user_arn('stranger')} is not authorized to perform: %s on resource: {place}:{name} "
            "because no resource-based policy allows the %s action"
        )
        with refused("AccessDeniedException", text % (("kms:DescribeKey",) * 2)):
            kms.of("stranger").describe_key(KeyId=f"{place}:{name}")
        own = kms.of("stranger").create_key()["KeyMetadata"]["KeyId"]
        mine = kms.of("stranger").encrypt(KeyId=own, Plaintext=b"x")["CiphertextBlob"]
        with refused("AccessDeniedException", text % (("kms:ReEncryptTo",) * 2)):
            kms.of("stranger").re_encrypt(CiphertextBlob=mine, DestinationKeyId=f"{place}:{name}")
    # By an alias that its owner let others use, a key is used as ever.
    shared = kms.key(key_policy(DELEGATION, statement(f"arn:aws:iam::{OTHER_ACCOUNT}:root", "kms:*")))
    kms.of().create_alias(AliasName="alias/aliases-shared", TargetKeyId=shared["KeyId"])
    sealed = kms.of("stranger").encrypt(KeyId=f"{place}:alias/aliases-shared", Plaintext=b"x")
    assert sealed["KeyId"] == shared["Arn"]
    assert kms.of().decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"] == b"x"


def test_an_alias_moves_to_a_key_of_its_type_and_usage_only(kms: Kms) -> None:
    client = kms.of()
    made = {
        name: kms.key(KeySpec=spec, KeyUsage=usage)["KeyId"]
        for name, spec, usage in (
            ("one", "ECC_NIST_P256", "SIGN_VERIFY"),
            ("same", "RSA_2048", "SIGN_VERIFY"),
            ("usage", "ECC_NIST_P256", "KEY_AGREEMENT"),
            ("mac", "HMAC_256", "GENERATE_VERIFY_MAC"),
            ("symmetric", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        )
    }
    client.create_alias(AliasName="alias/of-a-type", TargetKeyId=made["one"])
    for name in ("usage", "mac", "symmetric"):
        with refused("ValidationException"):
            client.update_alias(AliasName="alias/of-a-type", TargetKeyId=made[name])
    client.update_alias(AliasName="alias/of-a-type", TargetKeyId=made["same"])
    assert client.describe_key(KeyId="alias/of-a-type")["KeyMetadata"]["KeyId"] == made["same"]
