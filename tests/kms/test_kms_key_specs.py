"""Keys of every kind by a real client: how they are made, what is shown of them, what is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from kms_support import ACCOUNT, REGION, Kms, refused

RSA_SIGNATURES = [
    *(f"RSASSA_PKCS1_V1_5_SHA_{size}" for size in (256, 384, 512)),
    *(f"RSASSA_PSS_SHA_{size}" for size in (256, 384, 512)),
]
RSA_ENCRYPTION = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]

KINDS: list[tuple[str, str, dict[str, list[str]]]] = [
    ("RSA_2048", "SIGN_VERIFY", {"SigningAlgorithms": RSA_SIGNATURES}),
    ("RSA_2048", "ENCRYPT_DECRYPT", {"EncryptionAlgorithms": RSA_ENCRYPTION}),
    ("RSA_3072", "SIGN_VERIFY", {"SigningAlgorithms": RSA_SIGNATURES}),
    ("RSA_4096", "ENCRYPT_DECRYPT", {"EncryptionAlgorithms": RSA_ENCRYPTION}),
    ("ECC_NIST_P256", "SIGN_VERIFY", {"SigningAlgorithms": ["ECDSA_SHA_256"]}),
    ("ECC_NIST_P256", "KEY_AGREEMENT", {"KeyAgreementAlgorithms": ["ECDH"]}),
    ("ECC_NIST_P384", "SIGN_VERIFY", {"SigningAlgorithms": ["ECDSA_SHA_384"]}),
    ("ECC_NIST_P384", "KEY_AGREEMENT", {"KeyAgreementAlgorithms": ["ECDH"]}),
    ("ECC_NIST_P521", "SIGN_VERIFY", {"SigningAlgorithms": ["ECDSA_SHA_512"]}),
    ("ECC_NIST_P521", "KEY_AGREEMENT", {"KeyAgreementAlgorithms": ["ECDH"]}),
    ("ECC_SECG_P256K1", "SIGN_VERIFY", {"SigningAlgorithms": ["ECDSA_SHA_256"]}),
    ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", {"SigningAlgorithms": ["ED25519_SHA_512"]}),
    ("HMAC_224", "GENERATE_VERIFY_MAC", {"MacAlgorithms": ["HMAC_SHA_224"]}),
    ("HMAC_256", "GENERATE_VERIFY_MAC", {"MacAlgorithms": ["HMAC_SHA_256"]}),
    ("HMAC_384", "GENERATE_VERIFY_MAC", {"MacAlgorithms": ["HMAC_SHA_384"]}),
    ("HMAC_512", "GENERATE_VERIFY_MAC", {"MacAlgorithms": ["HMAC_SHA_512"]}),
    ("ML_DSA_44", "SIGN_VERIFY", {"SigningAlgorithms": ["ML_DSA_SHAKE_256"]}),
    ("ML_DSA_65", "SIGN_VERIFY", {"SigningAlgorithms": ["ML_DSA_SHAKE_256"]}),
    ("ML_DSA_87", "SIGN_VERIFY", {"SigningAlgorithms": ["ML_DSA_SHAKE_256"]}),
    ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE", {"EncapsulationAlgorithms": ["ML_KEM"]}),
    ("ML_KEM_1024", "ENCAPSULATE_DECAPSULATE", {"EncapsulationAlgorithms": ["ML_KEM"]}),
]


@pytest.mark.parametrize(("spec", "usage", "algorithms"), KINDS)
def test_a_new_keys_metadata(kms: Kms, spec: str, usage: str, algorithms: dict[str, list[str]]) -> None:
    made = kms.key(KeySpec=spec, KeyUsage=usage)
    varying = ("KeyId", "CreationDate")
    assert {name: value for name, value in made.items() if name not in varying} == {
        "AWSAccountId": ACCOUNT,
        "Arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{made['KeyId']}",
        "Enabled": True,
        "Description": "",
        "KeyUsage": usage,
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": spec,
        "KeySpec": spec,
        "MultiRegion": False,
        **algorithms,
    }
    assert kms.of().describe_key(KeyId=made["KeyId"])["KeyMetadata"] == made


def test_the_older_name_of_the_parameter(kms: Kms) -> None:
    made = kms.key(CustomerMasterKeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    assert made["KeySpec"] == "ECC_NIST_P256"


@pytest.mark.parametrize(
    ("spec", "usage"),
    [
        ("SYMMETRIC_DEFAULT", "SIGN_VERIFY"),
        ("SYMMETRIC_DEFAULT", "GENERATE_VERIFY_MAC"),
        ("RSA_2048", "GENERATE_VERIFY_MAC"),
        ("RSA_2048", "KEY_AGREEMENT"),
        ("ECC_NIST_P256", "ENCRYPT_DECRYPT"),
        ("ECC_SECG_P256K1", "KEY_AGREEMENT"),
        ("ECC_NIST_EDWARDS25519", "KEY_AGREEMENT"),
        ("HMAC_256", "ENCRYPT_DECRYPT"),
        ("HMAC_256", "SIGN_VERIFY"),
        ("ML_DSA_44", "ENCAPSULATE_DECAPSULATE"),
        ("ML_KEM_768", "SIGN_VERIFY"),
    ],
)
def test_a_usage_that_the_spec_has_not(kms: Kms, spec: str, usage: str) -> None:
    with refused("ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}."):
        kms.key(KeySpec=spec, KeyUsage=usage)


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "HMAC_256", "ML_DSA_44", "ML_KEM_768"])
def test_the_usage_must_be_said(kms: Kms, spec: str) -> None:
    text = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
    with refused("ValidationException", text):
        kms.key(KeySpec=spec)


@pytest.mark.parametrize(
    ("spec", "usage"), [("SM2", "SIGN_VERIFY"), ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE")]
)
def test_specs_that_are_not_to_be_had(kms: Kms, spec: str, usage: str) -> None:
    with refused("UnsupportedOperationException", f"KeySpec {spec} is not supported."):
        kms.key(KeySpec=spec, KeyUsage=usage)


# --- operations of another usage

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "Encrypt": ("ENCRYPT_DECRYPT", {"Plaintext": b"x"}),
    "GenerateDataKey": ("ENCRYPT_DECRYPT", {"KeySpec": "AES_256"}),
    "GenerateDataKeyWithoutPlaintext": ("ENCRYPT_DECRYPT", {"KeySpec": "AES_256"}),
    "GenerateDataKeyPair": ("ENCRYPT_DECRYPT", {"KeyPairSpec": "ECC_NIST_P256"}),
    "GenerateDataKeyPairWithoutPlaintext": ("ENCRYPT_DECRYPT", {"KeyPairSpec": "ECC_NIST_P256"}),
    "Sign": ("SIGN_VERIFY", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}),
    "Verify": (
        "SIGN_VERIFY",
        {"Message": b"x", "Signature": b"x", "SigningAlgorithm": "ECDSA_SHA_256"},
    ),
    "GenerateMac": ("GENERATE_VERIFY_MAC", {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}),
    "VerifyMac": ("GENERATE_VERIFY_MAC", {"Message": b"x", "Mac": b"x", "MacAlgorithm": "HMAC_SHA_256"}),
    "DeriveSharedSecret": ("KEY_AGREEMENT", {"PublicKey": b"x", "KeyAgreementAlgorithm": "ECDH"}),
    "Encapsulate": ("ENCAPSULATE_DECAPSULATE", {"EncapsulationAlgorithm": "ML_KEM"}),
    "Decapsulate": (
        "ENCAPSULATE_DECAPSULATE",
        {"SharedSecretCiphertextBlob": b"x", "EncapsulationAlgorithm": "ML_KEM"},
    ),
}


def invoke(client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
    return getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())(**parameters)


@pytest.fixture(scope="module")
def keys(kms: Kms) -> dict[str, str]:
    """A key's ARN for each usage."""
    specs = {
        "ENCRYPT_DECRYPT": "SYMMETRIC_DEFAULT",
        "SIGN_VERIFY": "ECC_NIST_P256",
        "GENERATE_VERIFY_MAC": "HMAC_256",
        "KEY_AGREEMENT": "ECC_NIST_P256",
        "ENCAPSULATE_DECAPSULATE": "ML_KEM_768",
    }
    return {usage: kms.key(KeySpec=spec, KeyUsage=usage)["Arn"] for usage, spec in specs.items()}


@pytest.mark.parametrize("operation", CALLS)
def test_a_key_of_another_usage(kms: Kms, keys: dict[str, str], operation: str) -> None:
    wanted, parameters = CALLS[operation]
    for usage, arn in keys.items():
        if usage != wanted:
            text = f"{arn} key usage is {usage} which is not valid for {operation}."
            with refused("InvalidKeyUsageException", text):
                invoke(kms.of(), operation, {"KeyId": arn, **parameters})


@pytest.mark.parametrize("operation", [*CALLS, "GetPublicKey"])
def test_keys_that_are_not_in_use(kms: Kms, operation: str) -> None:
    wanted, parameters = CALLS.get(operation, ("SIGN_VERIFY", {}))
    spec = {
        "ENCRYPT_DECRYPT": "SYMMETRIC_DEFAULT",
        "GENERATE_VERIFY_MAC": "HMAC_256",
        "ENCAPSULATE_DECAPSULATE": "ML_KEM_768",
    }.get(wanted, "ECC_NIST_P256")
    arn = kms.key(KeySpec=spec, KeyUsage=wanted)["Arn"]
    request = {"KeyId": arn, **parameters}
    kms.of().disable_key(KeyId=arn)
    with refused("DisabledException", f"{arn} is disabled."):
        invoke(kms.of(), operation, request)
    kms.of().schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    with refused("KMSInvalidStateException", f"{arn} is pending deletion."):
        invoke(kms.of(), operation, request)
    if operation in CALLS:
        waiting = kms.key(KeySpec=spec, KeyUsage=wanted, Origin="EXTERNAL")["Arn"]
        with refused("KMSInvalidStateException", f"{waiting} is pending import."):
            invoke(kms.of(), operation, {**request, "KeyId": waiting})


@pytest.mark.parametrize("operation", [*CALLS, "GetPublicKey"])
def test_who_may_not_use_a_key(kms: Kms, keys: dict[str, str], operation: str) -> None:
    wanted, parameters = CALLS.get(operation, ("SIGN_VERIFY", {}))
    for user in ("nobody", "stranger"):
        with refused("AccessDeniedException"):
            invoke(kms.of(user), operation, {"KeyId": keys[wanted], **parameters})


@pytest.mark.parametrize("operation", [*CALLS, "GetPublicKey"])
def test_grant_tokens_that_are_none(kms: Kms, keys: dict[str, str], operation: str) -> None:
    wanted, parameters = CALLS.get(operation, ("SIGN_VERIFY", {}))
    with refused("InvalidGrantTokenException"):
        invoke(kms.of(), operation, {"KeyId": keys[wanted], "GrantTokens": ["t"], **parameters})


def test_rsa_keys_that_encrypt_make_no_data_keys(kms: Kms) -> None:
    arn = kms.key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["Arn"]
    for operation in CALLS:
        if operation.startswith("GenerateDataKey"):
            text = f"{arn} key spec is RSA_2048 which is not valid for {operation}."
            with refused("InvalidKeyUsageException", text):
                invoke(kms.of(), operation, {"KeyId": arn, **CALLS[operation][1]})


def test_multi_region_keys_of_other_kinds(kms: Kms) -> None:
    made = kms.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC", MultiRegion=True)
    kms.of().replicate_key(KeyId=made["KeyId"], ReplicaRegion="eu-west-1")
    here = kms.of().generate_mac(KeyId=made["KeyId"], Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
    there = kms.of(region="eu-west-1").verify_mac(
        KeyId=made["KeyId"], Message=b"m", Mac=here, MacAlgorithm="HMAC_SHA_256"
    )
    assert there["MacValid"] is True


def test_other_kinds_do_not_rotate(kms: Kms, keys: dict[str, str]) -> None:
    with refused("UnsupportedOperationException"):
        kms.of().enable_key_rotation(KeyId=keys["SIGN_VERIFY"])
    with refused("UnsupportedOperationException"):
        kms.of().rotate_key_on_demand(KeyId=keys["GENERATE_VERIFY_MAC"])
