"""What each operation says of a key in each state, cell by cell (source: "Key states of AWS KMS keys")."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from import_support import FOR_EVER, parameters, with_material
from kms_support import ACCOUNT, Kms, refused

from casemate.api import kms as api

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OTHER_REGION = "eu-west-1"


class Subject(NamedTuple):
    """A key in some state, with one of its aliases, a grant on it, and a ciphertext under it."""

    kms: Kms
    id: str
    arn: str
    alias: str
    grant: str
    blob: bytes


def _of(kms: Kms, key_id: str) -> Subject:
    """Of a key that is enabled."""
    client = kms.of()
    alias = f"alias/{uuid.uuid4()}"
    client.create_alias(AliasName=alias, TargetKeyId=key_id)
    grant = client.create_grant(KeyId=key_id, GranteePrincipal=ROOT, Operations=["Encrypt"])["GrantId"]
    encrypted = client.encrypt(KeyId=key_id, Plaintext=b"text")
    return Subject(kms, key_id, encrypted["KeyId"], alias, grant, encrypted["CiphertextBlob"])


def _in_use(kms: Kms, **more: Any) -> Subject:
    return _of(kms, kms.key(**more)["KeyId"])


def _disabled(kms: Kms) -> Subject:
    subject = _in_use(kms)
    kms.of().disable_key(KeyId=subject.id)
    return subject


def _pending_deletion(kms: Kms) -> Subject:
    subject = _in_use(kms)
    kms.of().schedule_key_deletion(KeyId=subject.id)
    return subject


def _pending_import(kms: Kms) -> Subject:
    """Again, after its material was deleted."""
    subject = _of(kms, with_material(kms, b"k" * 32))
    kms.of().delete_imported_key_material(KeyId=subject.id)
    return subject


def _pending_replica_deletion(kms: Kms) -> Subject:
    subject = _in_use(kms, MultiRegion=True)
    kms.of().replicate_key(KeyId=subject.id, ReplicaRegion=OTHER_REGION)
    kms.of().schedule_key_deletion(KeyId=subject.id)
    return subject


MAKERS: Mapping[str, Callable[[Kms], Subject]] = {
    "Enabled": _in_use,
    "Disabled": _disabled,
    "PendingDeletion": _pending_deletion,
    "PendingImport": _pending_import,
    "PendingReplicaDeletion": _pending_replica_deletion,
}

OK = None
DISABLED = ("DisabledException", "{} is disabled.")
DELETION = ("KMSInvalidStateException", "{} is pending deletion.")
REPLICA = ("KMSInvalidStateException", "{} is pending replica deletion.")
IMPORT = ("KMSInvalidStateException", "{} is pending import.")
NOT_DELETION = ("KMSInvalidStateException", "{} is not pending deletion.")
ORIGIN = ("UnsupportedOperationException", None)
Cell = tuple[str, str | None] | None


def _use(do: Callable[[Any, Subject], object]) -> tuple[Callable[[Any, Subject], object], tuple[Cell, ...]]:
    """A cryptographic operation: on an enabled key only."""
    return do, (OK, DISABLED, DELETION, IMPORT, REPLICA)


def _import(client: Any, subject: Subject) -> object:
    # Where no parameters are to be had, it is their refusal that is seen; it is the same.
    wrapped = parameters(subject.kms, subject.id, b"k" * 32)
    return client.import_key_material(**wrapped, **FOR_EVER)


def _new_target(client: Any, subject: Subject) -> object:
    other = subject.kms.key()["KeyId"]
    alias = f"alias/{uuid.uuid4()}"
    client.create_alias(AliasName=alias, TargetKeyId=other)
    return client.update_alias(AliasName=alias, TargetKeyId=subject.id)


# operation: how it is called, and what is said of a key that is Enabled, Disabled, PendingDeletion, PendingImport,
# PendingReplicaDeletion
TABLE: Mapping[str, tuple[Callable[[Any, Subject], object], tuple[Cell, ...]]] = {
    "CancelKeyDeletion": (
        lambda client, it: client.cancel_key_deletion(KeyId=it.id),
        (NOT_DELETION, NOT_DELETION, OK, NOT_DELETION, OK),
    ),
    "CreateAlias": (
        lambda client, it: client.create_alias(AliasName=f"alias/{uuid.uuid4()}", TargetKeyId=it.id),
        (OK, OK, DELETION, OK, REPLICA),
    ),
    "CreateGrant": (
        lambda client, it: client.create_grant(KeyId=it.id, GranteePrincipal=ROOT, Operations=["Decrypt"]),
        (OK, DISABLED, DELETION, IMPORT, REPLICA),
    ),
    "Decrypt": (
        lambda client, it: client.decrypt(CiphertextBlob=it.blob, KeyId=it.id),
        (OK, DISABLED, DELETION, IMPORT, REPLICA),
    ),
    "DeleteAlias": (lambda client, it: client.delete_alias(AliasName=it.alias), (OK, OK, OK, OK, OK)),
    "DescribeKey": (lambda client, it: client.describe_key(KeyId=it.id), (OK, OK, OK, OK, OK)),
    "DisableKey": (
        lambda client, it: client.disable_key(KeyId=it.id),
        (OK, OK, DELETION, IMPORT, REPLICA),
    ),
    "DisableKeyRotation": (
        lambda client, it: client.disable_key_rotation(KeyId=it.id),
        (OK, DISABLED, DELETION, ORIGIN, REPLICA),
    ),
    "EnableKey": (
        lambda client, it: client.enable_key(KeyId=it.id),
        (OK, OK, DELETION, IMPORT, REPLICA),
    ),
    "EnableKeyRotation": (
        lambda client, it: client.enable_key_rotation(KeyId=it.id),
        (OK, DISABLED, DELETION, ORIGIN, REPLICA),
    ),
    "Encrypt": _use(lambda client, it: client.encrypt(KeyId=it.id, Plaintext=b"text")),
    "GenerateDataKey": _use(lambda client, it: client.generate_data_key(KeyId=it.id, KeySpec="AES_256")),
    "GenerateDataKeyPair": _use(
        lambda client, it: client.generate_data_key_pair(KeyId=it.id, KeyPairSpec="ECC_NIST_P256")
    ),
    "GenerateDataKeyPairWithoutPlaintext": _use(
        lambda client, it: client.generate_data_key_pair_without_plaintext(
            KeyId=it.id, KeyPairSpec="ECC_NIST_P256"
        )
    ),
    "GenerateDataKeyWithoutPlaintext": _use(
        lambda client, it: client.generate_data_key_without_plaintext(KeyId=it.id, KeySpec="AES_256")
    ),
    "GetKeyPolicy": (lambda client, it: client.get_key_policy(KeyId=it.id), (OK, OK, OK, OK, OK)),
    "GetKeyRotationStatus": (
        lambda client, it: client.get_key_rotation_status(KeyId=it.id),
        (OK, OK, OK, OK, OK),
    ),
    "GetParametersForImport": (
        lambda client, it: client.get_parameters_for_import(
            KeyId=it.id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        ),
        (ORIGIN, ORIGIN, ORIGIN, OK, ORIGIN),
    ),
    "ImportKeyMaterial": (_import, (ORIGIN, ORIGIN, ORIGIN, OK, ORIGIN)),
    "ListGrants": (lambda client, it: client.list_grants(KeyId=it.id), (OK, OK, OK, OK, OK)),
    "ListKeyPolicies": (lambda client, it: client.list_key_policies(KeyId=it.id), (OK, OK, OK, OK, OK)),
    "ListResourceTags": (lambda client, it: client.list_resource_tags(KeyId=it.id), (OK, OK, OK, OK, OK)),
    "PutKeyPolicy": (
        lambda client, it: client.put_key_policy(
            KeyId=it.id, Policy=client.get_key_policy(KeyId=it.id)["Policy"]
        ),
        (OK, OK, OK, OK, OK),
    ),
    "ReEncrypt to it": _use(
        lambda client, it: client.re_encrypt(
            CiphertextBlob=client.encrypt(KeyId=it.kms.key()["KeyId"], Plaintext=b"text")["CiphertextBlob"],
            DestinationKeyId=it.id,
        )
    ),
    "ReEncrypt from it": (
        lambda client, it: client.re_encrypt(
            CiphertextBlob=it.blob, SourceKeyId=it.id, DestinationKeyId=it.kms.key()["KeyId"]
        ),
        (OK, DISABLED, DELETION, IMPORT, REPLICA),
    ),
    "RevokeGrant": (
        lambda client, it: client.revoke_grant(KeyId=it.id, GrantId=it.grant),
        (OK, OK, OK, OK, OK),
    ),
    "RotateKeyOnDemand": (
        lambda client, it: client.rotate_key_on_demand(KeyId=it.id),
        (OK, DISABLED, DELETION, IMPORT, REPLICA),
    ),
    "ScheduleKeyDeletion": (
        lambda client, it: client.schedule_key_deletion(KeyId=it.id),
        (OK, OK, DELETION, OK, REPLICA),
    ),
    "TagResource": (
        lambda client, it: client.tag_resource(KeyId=it.id, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        (OK, OK, DELETION, OK, REPLICA),
    ),
    "UntagResource": (
        lambda client, it: client.untag_resource(KeyId=it.id, TagKeys=["a"]),
        (OK, OK, DELETION, OK, REPLICA),
    ),
    "UpdateAlias": (_new_target, (OK, OK, DELETION, OK, REPLICA)),
    "UpdateKeyDescription": (
        lambda client, it: client.update_key_description(KeyId=it.id, Description="new"),
        (OK, OK, DELETION, OK, REPLICA),
    ),
}


@pytest.mark.parametrize("state", MAKERS)
@pytest.mark.parametrize("operation", TABLE)
def test_an_operation_on_a_key_in_a_state(kms: Kms, operation: str, state: str) -> None:
    do, cells = TABLE[operation]
    expected = dict(zip(MAKERS, cells, strict=True))[state]
    subject = MAKERS[state](kms)
    client = kms.of()
    assert client.describe_key(KeyId=subject.id)["KeyMetadata"]["KeyState"] == state
    if expected is OK:
        do(client, subject)
        return
    code, message = expected
    with refused(code, message and message.format(subject.arn)):
        do(client, subject)


def test_every_operation_on_a_symmetric_key_is_in_the_table() -> None:
    """The others have keys of other kinds, and tests that disable those."""
    others = {
        "ConnectCustomKeyStore",
        "CreateCustomKeyStore",
        "CreateKey",
        "Decapsulate",
        "DeleteCustomKeyStore",
        "DeleteImportedKeyMaterial",
        "DeriveSharedSecret",
        "DescribeCustomKeyStores",
        "DisconnectCustomKeyStore",
        "Encapsulate",
        "GenerateMac",
        "GenerateRandom",
        "GetKeyLastUsage",
        "GetPublicKey",
        "ListAliases",
        "ListKeyRotations",
        "ListKeys",
        "ListRetirableGrants",
        "ReplicateKey",
        "RetireGrant",
        "Sign",
        "UpdateCustomKeyStore",
        "UpdatePrimaryRegion",
        "Verify",
        "VerifyMac",
    }
    tried = {name.partition(" ")[0] for name in TABLE}
    assert tried | others == {operation.name for operation in api.API.operations}
