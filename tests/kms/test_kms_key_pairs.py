"""Data key pairs by a real client: used outside, sealed under a symmetric key."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from kms_support import Kms, key_policy, refused, statement, user_arn

SPECS: dict[str, Any] = {
    "RSA_2048": rsa.RSAPrivateKey,
    "RSA_3072": rsa.RSAPrivateKey,
    "RSA_4096": rsa.RSAPrivateKey,
    "ECC_NIST_P256": ec.EllipticCurvePrivateKey,
    "ECC_NIST_P384": ec.EllipticCurvePrivateKey,
    "ECC_NIST_P521": ec.EllipticCurvePrivateKey,
    "ECC_SECG_P256K1": ec.EllipticCurvePrivateKey,
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey,
    "ML_KEM_768": mlkem.MLKEM768PrivateKey,
    "ML_KEM_1024": mlkem.MLKEM1024PrivateKey,
}


@pytest.fixture(scope="module")
def key(kms: Kms) -> str:
    return str(kms.key()["Arn"])


@pytest.mark.parametrize("spec", SPECS)
def test_a_pair_is_used_outside(kms: Kms, key: str, spec: str) -> None:
    context = {"volume": "7"}
    made = kms.of().generate_data_key_pair(KeyId=key, KeyPairSpec=spec, EncryptionContext=context)
    assert (made["KeyId"], made["KeyPairSpec"]) == (key, spec)
    private: Any = load_der_private_key(made["PrivateKeyPlaintext"], None)
    assert isinstance(private, SPECS[spec])
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public == made["PublicKey"]
    opened = kms.of().decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == made["PrivateKeyPlaintext"]
    assert opened["KeyMaterialId"] == made["KeyMaterialId"]
    with refused("InvalidCiphertextException", ""):
        kms.of().decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "ML_KEM_768"])
def test_a_pair_without_the_plaintext(kms: Kms, key: str, spec: str) -> None:
    made = kms.of().generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec=spec)
    assert "PrivateKeyPlaintext" not in made
    assert (made["KeyId"], made["KeyPairSpec"]) == (key, spec)
    opened = kms.of().decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])
    private: Any = load_der_private_key(opened["Plaintext"], None)
    assert private.public_key() == load_der_public_key(made["PublicKey"])
    again = kms.of().generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec=spec)
    assert again["PublicKey"] != made["PublicKey"]


@pytest.mark.parametrize("spec", ["SM2", "ML_KEM_512"])
def test_specs_that_are_not_to_be_had(kms: Kms, key: str, spec: str) -> None:
    for operation in (kms.of().generate_data_key_pair, kms.of().generate_data_key_pair_without_plaintext):
        for dry in (False, True):
            with refused("UnsupportedOperationException", f"KeyPairSpec {spec} is not supported."):
                operation(KeyId=key, KeyPairSpec=spec, DryRun=dry)


def test_dry_runs(kms: Kms, key: str) -> None:
    text = "The request would have succeeded, but the DryRun option is set."
    for operation in (kms.of().generate_data_key_pair, kms.of().generate_data_key_pair_without_plaintext):
        for spec in ("RSA_4096", "ECC_NIST_P256"):
            with refused("DryRunOperationException", text, 412):
                operation(KeyId=key, KeyPairSpec=spec, DryRun=True)


def test_conditions_on_pairs(kms: Kms) -> None:
    """kms:DataKeyPairSpec, kms:EncryptionAlgorithm, kms:EncryptionContext:NAME."""
    arn = kms.key(
        key_policy(
            statement(user_arn("admin"), "kms:*"),
            statement(
                user_arn("nobody"),
                "kms:GenerateDataKeyPair",
                "kms:GenerateDataKeyPairWithoutPlaintext",
                Condition={
                    "StringLike": {"kms:DataKeyPairSpec": "ECC_NIST_*"},
                    "StringEquals": {
                        "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                        "kms:EncryptionContext:tenant": "blue",
                    },
                },
            ),
        )
    )["Arn"]
    client = kms.of("nobody")
    for operation in (client.generate_data_key_pair, client.generate_data_key_pair_without_plaintext):
        blue, red = {"tenant": "blue"}, {"tenant": "red"}
        assert operation(KeyId=arn, KeyPairSpec="ECC_NIST_P256", EncryptionContext=blue)["KeyId"] == arn
        with refused("AccessDeniedException"):
            operation(KeyId=arn, KeyPairSpec="RSA_2048", EncryptionContext=blue)
        with refused("AccessDeniedException"):
            operation(KeyId=arn, KeyPairSpec="ECC_NIST_P256", EncryptionContext=red)
