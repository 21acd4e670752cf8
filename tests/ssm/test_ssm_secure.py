"""SecureStrings: encrypted by KMS as the caller, in either tier."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from ssm_support import ACCOUNT, REGION, Ssm, arn, policy, refused, statement, user_arn

TIERS = ("Standard", "Advanced")


def own_key(ssm: Ssm, *statements: object) -> str:
    """A customer's key, of whose use the account's identity policies decide unless statements do."""
    more = {"Policy": policy(*statements), "BypassPolicyLockoutSafetyCheck": True} if statements else {}  # type: ignore[arg-type]
    key_id: str = ssm.kms.create_key(**more)["KeyMetadata"]["KeyId"]
    return key_id


@pytest.mark.parametrize("tier", TIERS)
def test_a_secure_string_is_decrypted_when_that_is_asked_for(ssm: Ssm, tier: str) -> None:
    name, client = f"/secure/{tier}", ssm.of()
    ssm.put(name, "hunter2", Type="SecureString", Tier=tier)
    sealed = client.get_parameter(Name=name)["Parameter"]
    assert sealed["Type"] == "SecureString"
    assert b"hunter2" not in b64decode(sealed["Value"])
    assert client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "hunter2"
    assert client.get_parameters(Names=[name], WithDecryption=True)["Parameters"][0]["Value"] == "hunter2"
    listed = client.get_parameters_by_path(Path="/secure", WithDecryption=True)["Parameters"]
    assert "hunter2" in [each["Value"] for each in listed]
    ssm.put(name, "correct horse", Overwrite=True, Type="SecureString")
    history = client.get_parameter_history(Name=name, WithDecryption=True)["Parameters"]
    assert [each["Value"] for each in history] == ["hunter2", "correct horse"]
    assert [each["KeyId"] for each in history] == ["alias/aws/ssm"] * 2
    assert client.get_parameter_history(Name=name)["Parameters"][0]["Value"] == sealed["Value"]


def test_without_a_key_it_is_the_account_s_managed_one(ssm: Ssm) -> None:
    ssm.put("/managed", "hunter2", Type="SecureString")
    key = ssm.kms.describe_key(KeyId="alias/aws/ssm")["KeyMetadata"]
    assert key["KeyManager"] == "AWS"
    assert key["Description"] == "Default key that protects my SSM parameters when no other key is defined"


def test_a_standard_value_is_the_key_s_ciphertext_bound_to_the_arn(ssm: Ssm) -> None:
    key_id = own_key(ssm)
    ssm.put("/bound", "hunter2", Type="SecureString", KeyId=key_id)
    blob = b64decode(ssm.of().get_parameter(Name="/bound")["Parameter"]["Value"])
    opened = ssm.kms.decrypt(CiphertextBlob=blob, EncryptionContext={"PARAMETER_ARN": arn("/bound")})
    assert opened["Plaintext"] == b"hunter2"
    assert opened["KeyId"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}"
    with refused("InvalidCiphertextException"):
        ssm.kms.decrypt(CiphertextBlob=blob, EncryptionContext={"PARAMETER_ARN": arn("/other")})


def test_kms_is_asked_as_the_caller_and_audited(ssm: Ssm) -> None:
    key_id = own_key(ssm)
    ssm.put("/asked", "hunter2", Type="SecureString", KeyId=key_id)
    ssm.value("/asked")
    context = {"PARAMETER_ARN": arn("/asked")}
    for name in ("Encrypt", "Decrypt"):
        found = [
            event
            for event in ssm.events(name)
            if event["requestParameters"].get("encryptionContext") == context
        ]
        assert len(found) == 1
        assert found[0]["userIdentity"]["arn"] == user_arn("admin")
        assert found[0]["sourceIPAddress"] == "ssm.amazonaws.com"


@pytest.mark.parametrize("tier", TIERS)
def test_reading_takes_permission_to_decrypt(ssm: Ssm, tier: str) -> None:
    name = f"/team/{tier}"
    ssm.put(name, "hunter2", Type="SecureString", Tier=tier, KeyId=own_key(ssm))
    reader = ssm.of("reader")
    assert reader.get_parameter(Name=name)["Parameter"]["Value"] != "hunter2"
    for operation, named in (
        (reader.get_parameter, {"Name": name}),
        (reader.get_parameters, {"Names": [name]}),
        (reader.get_parameters_by_path, {"Path": "/team"}),
    ):
        with refused("AccessDeniedException"):
            operation(**named, WithDecryption=True)


@pytest.mark.parametrize("tier", TIERS)
def test_the_managed_key_serves_whom_the_service_lets_read(ssm: Ssm, tier: str) -> None:
    ssm.put(f"/team/managed-{tier}", "hunter2", Type="SecureString", Tier=tier)
    assert ssm.value(f"/team/managed-{tier}", "reader") == "hunter2"
    blob = b64decode(ssm.of().get_parameter(Name=f"/team/managed-{tier}")["Parameter"]["Value"])
    with refused("AccessDeniedException" if tier == "Standard" else "InvalidCiphertextException"):
        ssm.of("reader", service="kms").decrypt(
            CiphertextBlob=blob, EncryptionContext={"PARAMETER_ARN": arn(f"/team/managed-{tier}")}
        )


def test_a_key_policy_may_ask_for_the_parameter_and_the_service(ssm: Ssm) -> None:
    key_id = own_key(
        ssm,
        statement("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
        statement(
            "kms:Decrypt",
            Principal={"AWS": user_arn("reader")},
            Condition={
                "StringEquals": {
                    "kms:EncryptionContext:PARAMETER_ARN": arn("/team/let"),
                    "kms:ViaService": f"ssm.{REGION}.amazonaws.com",
                }
            },
        ),
    )
    for name in ("/team/let", "/team/not-let"):
        ssm.put(name, "hunter2", Type="SecureString", KeyId=key_id)
    assert ssm.value("/team/let", "reader") == "hunter2"
    with refused("AccessDeniedException"):
        ssm.value("/team/not-let", "reader")


def test_keys_that_cannot_be_used(ssm: Ssm) -> None:
    absent = "00000000-0000-4000-8000-000000000000"
    asymmetric = ssm.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    for key_id in (absent, "alias/none", asymmetric, "alias/aws/none"):
        for tier in TIERS:
            with refused("InvalidKeyId"):
                ssm.put("/keyless", "x", Type="SecureString", KeyId=key_id, Tier=tier)
    with refused("ParameterNotFound"):
        ssm.of().get_parameter(Name="/keyless")
    with refused("ValidationException", "KeyId is required for SecureString type parameter only."):
        ssm.put("/keyless", "x", KeyId=absent)
    disabled = own_key(ssm)
    ssm.put("/disabled", "x", Type="SecureString", KeyId=disabled)
    ssm.kms.disable_key(KeyId=disabled)
    with refused("InvalidKeyId"):
        ssm.value("/disabled")
    assert ssm.of().get_parameter(Name="/disabled")["Parameter"]["Type"] == "SecureString"
    with refused("InvalidKeyId"):
        ssm.put("/disabled", "y", Type="SecureString", Overwrite=True)
    assert ssm.of().get_parameter(Name="/disabled")["Parameter"]["Version"] == 1


def test_the_key_s_name_is_kept_and_shown_as_it_was_given(ssm: Ssm) -> None:
    ssm.kms.create_alias(AliasName="alias/parameters", TargetKeyId=own_key(ssm))
    ssm.put("/aliased", "x", Type="SecureString", KeyId="alias/parameters")
    ssm.of().put_parameter(Name="/aliased", Value="y", Overwrite=True)
    (shown,) = ssm.of().describe_parameters(
        ParameterFilters=[{"Key": "KeyId", "Values": ["alias/parameters"]}]
    )["Parameters"]
    assert (shown["Name"], shown["KeyId"], shown["Version"]) == ("/aliased", "alias/parameters", 2)
    ssm.put("/aliased", "plain", Overwrite=True)
    (shown,) = ssm.of().describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["/aliased"]}])[
        "Parameters"
    ]
    assert "KeyId" not in shown


def test_what_is_at_rest_is_sealed(ssm: Ssm) -> None:
    for kind in ("String", "SecureString"):
        ssm.put(
            f"/rest/{kind}",
            "plain-value-at-rest",
            Type=kind,
            Description="description-at-rest",
            Tags=[{"Key": "k", "Value": "tag-at-rest"}],
        )
    files = [path for path in ssm.server.data.rglob("*") if path.is_file()]
    assert any("casemate.db" in path.name for path in files)
    for path in files:
        content = path.read_bytes()
        for text in (b"plain-value-at-rest", b"description-at-rest", b"tag-at-rest"):
            assert text not in content, (path, text)
        assert json.dumps("plain-value-at-rest").encode() not in content
