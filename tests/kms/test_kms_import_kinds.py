"""Imported material of other kinds than symmetric: the key outside and the key inside are the same."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from import_support import FOR_EVER, parameters, waiting
from kms_support import Kms, refused

MAKERS: dict[str, Callable[[], Any]] = {
    "RSA_2048": lambda: rsa.generate_private_key(65537, 2048),
    "ECC_NIST_P256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ECC_NIST_P521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ECC_SECG_P256K1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey.generate,
}


def der(private: Any) -> bytes:
    stored: bytes = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return stored


def take(kms: Kms, key_id: str, material: bytes) -> None:
    wanted = parameters(kms, key_id, material, algorithm="RSA_AES_KEY_WRAP_SHA_256")
    kms.of().import_key_material(**wanted, **FOR_EVER)


@pytest.mark.parametrize("spec", MAKERS)
def test_an_asymmetric_key_is_the_same_inside(kms: Kms, spec: str) -> None:
    private = MAKERS[spec]()
    key_id = waiting(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")
    take(kms, key_id, der(private))
    shown = kms.of().describe_key(KeyId=key_id)["KeyMetadata"]
    assert (shown["KeyState"], shown["Origin"]) == ("Enabled", "EXTERNAL")
    assert "CurrentKeyMaterialId" not in shown
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert kms.of().get_public_key(KeyId=key_id)["PublicKey"] == public
    if spec == "ECC_NIST_P256":
        signature = private.sign(b"m", ec.ECDSA(hashes.SHA256()))
        kms.of().verify(KeyId=key_id, Message=b"m", Signature=signature, SigningAlgorithm="ECDSA_SHA_256")


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_an_hmac_key_is_the_same_inside(kms: Kms, bits: int) -> None:
    secret = bytes(range(bits // 8))
    key_id = waiting(kms, KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")
    take(kms, key_id, secret)
    mac = kms.of().generate_mac(KeyId=key_id, Message=b"m", MacAlgorithm=f"HMAC_SHA_{bits}")["Mac"]
    assert mac == hmac.digest(secret, b"m", f"sha{bits}")


@pytest.mark.parametrize(
    ("spec", "usage", "material"),
    [
        ("RSA_2048", "SIGN_VERIFY", der(ec.generate_private_key(ec.SECP256R1()))),
        ("RSA_2048", "SIGN_VERIFY", der(rsa.generate_private_key(65537, 1024))),
        ("ECC_NIST_P256", "SIGN_VERIFY", der(ec.generate_private_key(ec.SECP256K1()))),
        ("ECC_NIST_P384", "KEY_AGREEMENT", bytes(48)),
        ("HMAC_256", "GENERATE_VERIFY_MAC", bytes(31)),
        ("HMAC_512", "GENERATE_VERIFY_MAC", bytes(32)),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", bytes(16)),
    ],
)
def test_material_of_another_kind(kms: Kms, spec: str, usage: str, material: bytes) -> None:
    key_id = waiting(kms, KeySpec=spec, KeyUsage=usage)
    with refused("IncorrectKeyMaterialException"):
        take(kms, key_id, material)
    assert kms.of().describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingImport"


def test_other_material_than_before(kms: Kms) -> None:
    """Such a key has one material for ever, which comes again after it was deleted."""
    first, other = MAKERS["ECC_NIST_P256"](), MAKERS["ECC_NIST_P256"]()
    key_id = waiting(kms, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    take(kms, key_id, der(first))
    kms.of().delete_imported_key_material(KeyId=key_id)
    request: dict[str, Any] = {"KeyId": key_id, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    with refused("KMSInvalidStateException"):
        kms.of().sign(**request)
    with refused("IncorrectKeyMaterialException"):
        take(kms, key_id, der(other))
    take(kms, key_id, der(first))
    signature = kms.of().sign(**request)["Signature"]
    first.public_key().verify(signature, b"m", ec.ECDSA(hashes.SHA256()))
