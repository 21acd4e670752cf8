"""Every operation that can be granted, on the kind of key that has it: granted and not; with tokens; as dry runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from botocore.session import get_session
from kms_support import Kms, refused, user_arn

NOBODY = user_arn("nobody")
SYMMETRIC: dict[str, Any] = {}
RSA = {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}
SIGNING = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
MAC = {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}
AGREEMENT = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}
KEM = {"KeySpec": "ML_KEM_768", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}

DIGEST = {"Message": bytes(32), "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
MACS = {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}
PAIR = {"KeyPairSpec": "ECC_NIST_P256"}


class Case(NamedTuple):
    """method: boto3's; key: CreateKey's parameters; operations: what must be granted for it."""

    method: str
    key: dict[str, Any]
    operations: tuple[str, ...]


CASES = [
    Case("encrypt", SYMMETRIC, ("Encrypt",)),
    Case("decrypt", SYMMETRIC, ("Decrypt",)),
    Case("re_encrypt", SYMMETRIC, ("ReEncryptFrom", "ReEncryptTo")),
    Case("generate_data_key", SYMMETRIC, ("GenerateDataKey",)),
    Case("generate_data_key_without_plaintext", SYMMETRIC, ("GenerateDataKeyWithoutPlaintext",)),
    Case("generate_data_key_pair", SYMMETRIC, ("GenerateDataKeyPair",)),
    Case("generate_data_key_pair_without_plaintext", SYMMETRIC, ("GenerateDataKeyPairWithoutPlaintext",)),
    Case("describe_key", SYMMETRIC, ("DescribeKey",)),
    Case("create_grant", SYMMETRIC, ("CreateGrant", "Encrypt")),
    Case("retire_grant", SYMMETRIC, ("RetireGrant", "Encrypt")),
    Case("encrypt", RSA, ("Encrypt",)),
    Case("decrypt", RSA, ("Decrypt",)),
    Case("get_public_key", RSA, ("GetPublicKey",)),
    Case("sign", SIGNING, ("Sign",)),
    Case("verify", SIGNING, ("Verify",)),
    Case("generate_mac", MAC, ("GenerateMac",)),
    Case("verify_mac", MAC, ("VerifyMac",)),
    Case("derive_shared_secret", AGREEMENT, ("DeriveSharedSecret",)),
    Case("encapsulate", KEM, ("Encapsulate",)),
    Case("decapsulate", KEM, ("Decapsulate",)),
]


def parameters(kms: Kms, case: Case, key_id: str, grant: Any) -> dict[str, Any]:
    """A good request, as the administrator would make it."""
    client = kms.of()
    method, named = case.method, {"KeyId": key_id}
    algorithm = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"} if case.key is RSA else {}
    if method == "encrypt":
        return {**named, **algorithm, "Plaintext": b"x"}
    if method in ("decrypt", "re_encrypt"):
        blob = client.encrypt(**named, **algorithm, Plaintext=b"x")["CiphertextBlob"]
        to = {"DestinationKeyId": key_id} if method == "re_encrypt" else {**named, **algorithm}
        return {"CiphertextBlob": blob, **to}
    if method == "verify":
        return {**named, **DIGEST, "Signature": client.sign(**named, **DIGEST)["Signature"]}
    if method == "verify_mac":
        return {**named, **MACS, "Mac": client.generate_mac(**named, **MACS)["Mac"]}
    if method == "derive_shared_secret":
        own = client.get_public_key(**named)["PublicKey"]
        return {**named, "KeyAgreementAlgorithm": "ECDH", "PublicKey": own}
    if method == "create_grant":
        return {**named, "GranteePrincipal": NOBODY, "Operations": ["Encrypt"]}
    if method == "retire_grant":
        return {**named, "GrantId": grant["GrantId"]}
    kem = {"EncapsulationAlgorithm": "ML_KEM"}
    if method == "decapsulate":
        made = client.encapsulate(**named, **kem)["SharedSecretCiphertextBlob"]
        return {**named, **kem, "SharedSecretCiphertextBlob": made}
    more: dict[str, dict[str, Any]] = {
        "generate_data_key": {"KeySpec": "AES_256"},
        "generate_data_key_without_plaintext": {"KeySpec": "AES_256"},
        "generate_data_key_pair": PAIR,
        "generate_data_key_pair_without_plaintext": PAIR,
        "sign": DIGEST,
        "generate_mac": MACS,
        "encapsulate": kem,
    }
    return {**named, **more.get(method, {})}


def members(method: str) -> set[str]:
    """Of the operation's request, by AWS's model."""
    name = "".join(part.title() for part in method.split("_"))
    shape: Any = get_session().get_service_model("kms").operation_model(name).input_shape
    return set(shape.members)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.key.get('KeySpec', '')}")
def test_an_operation_by_a_grant(kms: Kms, case: Case) -> None:
    client, admin = kms.of("nobody"), kms.of()
    key_id = admin.create_key(**case.key)["KeyMetadata"]["KeyId"]
    others = {"GenerateMac", "VerifyMac"} if case.key is MAC else {"DescribeKey", "RetireGrant"}
    others -= set(case.operations)
    if others:
        admin.create_grant(KeyId=key_id, GranteePrincipal=NOBODY, Operations=sorted(others))
    unrelated = admin.create_grant(
        KeyId=key_id, GranteePrincipal=user_arn("helper"), Operations=list(case.operations)
    )
    request = parameters(kms, case, key_id, unrelated)
    with refused("AccessDeniedException"):
        getattr(client, case.method)(**request)
    grant = admin.create_grant(KeyId=key_id, GranteePrincipal=NOBODY, Operations=list(case.operations))
    if case.method == "retire_grant":
        request["GrantId"] = grant["GrantId"]
    if "DryRun" in members(case.method):
        with refused("DryRunOperationException", status=412):
            getattr(client, case.method)(**request, DryRun=True)
    if "GrantTokens" in members(case.method):
        with refused("InvalidGrantTokenException", "Invalid grant token."):
            getattr(client, case.method)(**request, GrantTokens=[grant["GrantToken"], "x"])
        request["GrantTokens"] = [grant["GrantToken"]]
    getattr(client, case.method)(**request)


def test_every_operation_with_a_dry_run_or_tokens_is_tried() -> None:
    model = get_session().get_service_model("kms")
    wanted = set()
    for name in model.operation_names:
        shape: Any = model.operation_model(name).input_shape
        if {"DryRun", "GrantTokens"} & set(shape.members):
            wanted.add(name.lower())
    tried = {case.method.replace("_", "") for case in CASES}
    # Its dry run is in test_kms_grants.py: it cannot be granted.
    assert wanted - tried == {"revokegrant"}


@pytest.mark.parametrize(
    ("key", "operation"),
    [
        (RSA, "GenerateDataKey"),
        (RSA, "Sign"),
        (SIGNING, "Encrypt"),
        (SIGNING, "DeriveSharedSecret"),
        (MAC, "GetPublicKey"),
        (AGREEMENT, "Sign"),
        (KEM, "Decrypt"),
        (SYMMETRIC, "GetPublicKey"),
        (SYMMETRIC, "VerifyMac"),
    ],
)
def test_what_a_kind_of_key_does_not_have_cannot_be_granted(
    kms: Kms, key: dict[str, Any], operation: str
) -> None:
    key_id = kms.of().create_key(**key)["KeyMetadata"]["KeyId"]
    with refused("ValidationException"):
        kms.of().create_grant(KeyId=key_id, GranteePrincipal=NOBODY, Operations=["DescribeKey", operation])


@pytest.mark.parametrize(("key", "operation"), [(RSA, "Decrypt"), (SIGNING, "Sign"), (MAC, "GenerateMac")])
def test_an_encryption_context_is_constrained_on_symmetric_keys_only(
    kms: Kms, key: dict[str, Any], operation: str
) -> None:
    key_id = kms.of().create_key(**key)["KeyMetadata"]["KeyId"]
    wanted = {"KeyId": key_id, "GranteePrincipal": NOBODY, "Operations": [operation]}
    for constraint in ("EncryptionContextEquals", "EncryptionContextSubset"):
        with refused(
            "ValidationException",
            f"Encryption context constraints are not supported on key spec {key['KeySpec']}.",
        ):
            kms.of().create_grant(**wanted, Constraints={constraint: {"a": "1"}})
    kms.of().create_grant(**wanted, Constraints={"SourceArn": "arn:aws:sns:us-east-1:111122223333:topic"})
