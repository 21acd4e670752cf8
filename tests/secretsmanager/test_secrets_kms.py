"""Every value is under a KMS key: which, as whom it is asked, and what happens when it refuses."""

from __future__ import annotations

import json

from secrets_support import ACCOUNT, SecretsServer, inline, policy, refused, statement, user_arn

CANNOT_ENCRYPT = (
    "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is "
    "available, enabled, and not in an invalid state."
)
CANNOT_DECRYPT = "Secrets Manager can't decrypt the protected secret text using the provided KMS key."
NOT_ALLOWED = "Access to KMS is not allowed"


def test_the_aws_managed_key_unless_another_is_given(secretsmanager: SecretsServer) -> None:
    admin, kms = secretsmanager.of(), secretsmanager.of(service="kms")
    made = secretsmanager.secret()
    managed = kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]
    assert managed["KeyManager"] == "AWS"
    assert "KmsKeyId" not in admin.describe_secret(SecretId=made["ARN"])
    for same in ("alias/aws/secretsmanager", f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/secretsmanager"):
        other = secretsmanager.secret(KmsKeyId=same)
        assert "KmsKeyId" not in admin.describe_secret(SecretId=other["ARN"])
    events = [
        event
        for event in secretsmanager.events("GenerateDataKey")
        if (event["requestParameters"] or {}).get("encryptionContext", {}).get("SecretARN") == made["ARN"]
    ]
    assert [event["resources"][0]["ARN"] for event in events] == [managed["Arn"]]
    assert events[0]["requestParameters"]["encryptionContext"] == {
        "SecretARN": made["ARN"],
        "SecretVersionId": made["VersionId"],
    }
    assert events[0]["userIdentity"]["invokedBy"] == "secretsmanager.amazonaws.com"
    assert events[0]["userIdentity"]["arn"] == user_arn("admin")


def test_a_key_by_its_id_arn_and_alias(secretsmanager: SecretsServer) -> None:
    admin, kms = secretsmanager.of(), secretsmanager.of(service="kms")
    arn = secretsmanager.key()
    kms.create_alias(AliasName="alias/for-secrets", TargetKeyId=arn)
    for name in (
        arn,
        arn.rpartition("/")[2],
        "alias/for-secrets",
        f"{arn.rpartition(':')[0]}:alias/for-secrets",
    ):
        made = secretsmanager.secret(KmsKeyId=name)
        assert admin.describe_secret(SecretId=made["ARN"])["KmsKeyId"] == name
        assert admin.get_secret_value(SecretId=made["ARN"])["SecretString"] == "first"
        (version,) = admin.list_secret_version_ids(SecretId=made["ARN"])["Versions"]
        assert version["KmsKeyIds"] == [name]
        assert secretsmanager.events("Decrypt")[-1]["resources"][0]["ARN"] == arn


def test_a_key_of_another_account(secretsmanager: SecretsServer) -> None:
    theirs = secretsmanager.of("stranger", service="kms").create_key(
        Policy=policy(
            statement({"AWS": "arn:aws:iam::444455556666:root"}, "kms:*"),
            statement({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "kms:Decrypt", "kms:GenerateDataKey"),
        )
    )["KeyMetadata"]["Arn"]
    made = secretsmanager.secret(KmsKeyId=theirs)
    assert secretsmanager.of().get_secret_value(SecretId=made["ARN"])["SecretString"] == "first"


def test_reading_and_writing_need_the_key(secretsmanager: SecretsServer) -> None:
    key = secretsmanager.key()
    made = secretsmanager.secret(KmsKeyId=key)
    own = {"SecretId": made["ARN"]}
    user = secretsmanager.limit(inline("secretsmanager:*"))
    with refused("AccessDeniedException", NOT_ALLOWED):
        user.get_secret_value(**own)
    with refused("AccessDeniedException", NOT_ALLOWED):
        user.put_secret_value(**own, SecretString="x")
    with refused("AccessDeniedException", NOT_ALLOWED):
        user.create_secret(Name="without-the-key", SecretString="x", KmsKeyId=key)
    statements = [
        json.loads(each)["Statement"][0]
        for each in (
            inline("secretsmanager:*"),
            inline(
                "kms:Decrypt",
                "kms:GenerateDataKey",
                resource=key,
                condition={
                    "StringEquals": {
                        "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com",
                        "kms:EncryptionContext:SecretARN": made["ARN"],
                    }
                },
            ),
        )
    ]
    user = secretsmanager.limit(policy(*statements))
    assert user.get_secret_value(**own)["SecretString"] == "first"
    user.put_secret_value(**own, SecretString="second")
    # Directly, the key is not theirs to use.
    with refused("AccessDeniedException"):
        secretsmanager.of("limited", service="kms").generate_data_key(KeyId=key, KeySpec="AES_256")


def test_a_key_that_is_not_there_or_cannot_be_used(secretsmanager: SecretsServer) -> None:
    admin, kms = secretsmanager.of(), secretsmanager.of(service="kms")
    rsa = secretsmanager.key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    for name in ("alias/absent", "00000000-0000-4000-8000-000000000000", rsa):
        with refused("EncryptionFailure", CANNOT_ENCRYPT):
            admin.create_secret(Name="unencrypted", SecretString="x", KmsKeyId=name)
    key = secretsmanager.key()
    made = secretsmanager.secret(KmsKeyId=key)
    kms.disable_key(KeyId=key)
    with refused("DecryptionFailure", CANNOT_DECRYPT):
        admin.get_secret_value(SecretId=made["ARN"])
    with refused("EncryptionFailure", CANNOT_ENCRYPT):
        admin.put_secret_value(SecretId=made["ARN"], SecretString="x")
    kms.enable_key(KeyId=key)
    assert admin.get_secret_value(SecretId=made["ARN"])["SecretString"] == "first"
    with refused("ResourceNotFoundException"):
        admin.describe_secret(SecretId="unencrypted")


def test_under_another_key_the_versions_in_use_open_by_either(secretsmanager: SecretsServer) -> None:
    admin, kms = secretsmanager.of(), secretsmanager.of(service="kms")
    before, after = secretsmanager.key(), secretsmanager.key()
    made = secretsmanager.secret("one", KmsKeyId=before)
    own = {"SecretId": made["ARN"]}
    for value in ("two", "three"):
        admin.put_secret_value(**own, SecretString=value)
    admin.update_secret(**own, KmsKeyId=after)
    assert admin.describe_secret(**own)["KmsKeyId"] == after
    versions = admin.list_secret_version_ids(**own, IncludeDeprecated=True)["Versions"]
    assert [each["KmsKeyIds"] for each in versions] == [[before], [after, before], [after, before]]
    for unusable in (before, after):
        kms.disable_key(KeyId=unusable)
        assert admin.get_secret_value(**own)["SecretString"] == "three"
        assert admin.get_secret_value(**own, VersionStage="AWSPREVIOUS")["SecretString"] == "two"
        kms.enable_key(KeyId=unusable)
    admin.update_secret(**own, KmsKeyId="", SecretString="four")
    assert "KmsKeyId" not in admin.describe_secret(**own)
    current = admin.list_secret_version_ids(**own)["Versions"][-1]
    assert current["KmsKeyIds"] == ["DefaultEncryptionKey"]


def test_who_may_not_use_both_keys_leaves_the_versions_as_they_are(secretsmanager: SecretsServer) -> None:
    before, after = secretsmanager.key(), secretsmanager.key()
    made = secretsmanager.secret("one", KmsKeyId=before)
    document = json.loads(inline("secretsmanager:*"))
    document["Statement"].append(
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": after}
    )
    user = secretsmanager.limit(json.dumps(document))
    user.update_secret(SecretId=made["ARN"], KmsKeyId=after)
    (version,) = secretsmanager.of().list_secret_version_ids(SecretId=made["ARN"])["Versions"]
    assert version["KmsKeyIds"] == [before]
    assert secretsmanager.of().get_secret_value(SecretId=made["ARN"])["SecretString"] == "one"


def test_a_key_that_a_request_names_is_tried(secretsmanager: SecretsServer) -> None:
    key, made = secretsmanager.key(), secretsmanager.secret("one")
    user = secretsmanager.limit(inline("secretsmanager:*"))
    with refused("AccessDeniedException", "Access to KMS is not allowed"):
        user.update_secret(SecretId=made["ARN"], KmsKeyId=key)
    with refused("AccessDeniedException", "Access to KMS is not allowed"):
        # Also where there is no value that would be encrypted.
        user.create_secret(Name=f"{made['Name']}-2", KmsKeyId=key)
    encrypting = json.loads(inline("secretsmanager:*", "kms:GenerateDataKey"))
    with refused("AccessDeniedException", "Access to KMS is not allowed"):
        secretsmanager.limit(json.dumps(encrypting)).create_secret(Name=f"{made['Name']}-2", KmsKeyId=key)
    with refused("EncryptionFailure"):
        secretsmanager.of().update_secret(SecretId=made["ARN"], KmsKeyId="alias/of-nothing")
    described = secretsmanager.of().describe_secret(SecretId=made["ARN"])
    assert "KmsKeyId" not in described
    secretsmanager.of().create_secret(Name=f"{made['Name']}-2", KmsKeyId=key)
    tried = [
        record["requestParameters"]["encryptionContext"]["SecretVersionId"]
        for record in secretsmanager.events("Decrypt")
        if "errorCode" not in record
    ]
    assert "RequestToValidateKeyAccess" in tried


def test_the_audit_shows_no_value(secretsmanager: SecretsServer) -> None:
    admin = secretsmanager.of()
    value = "a-value-that-nobody-else-has"
    name = secretsmanager.secret(value)["Name"]
    admin.put_secret_value(SecretId=name, SecretString=value + "2")
    admin.update_secret(SecretId=name, SecretString=value + "3")
    admin.get_secret_value(SecretId=name)
    for event in ("CreateSecret", "PutSecretValue", "UpdateSecret", "GetSecretValue"):
        records = secretsmanager.events(event)
        assert records
        assert value not in json.dumps(records)
    assert value not in secretsmanager.server.log
    everything = b"".join(
        path.read_bytes() for path in secretsmanager.server.data.rglob("*") if path.is_file()
    )
    assert value.encode() not in everything
