"""Key material wrapped and imported, as a user does it."""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import load_der_public_key
from kms_support import Kms

DIGESTS: dict[str, Any] = {"1": hashes.SHA1, "256": hashes.SHA256}
FOR_EVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def wrapped(public_key: bytes, algorithm: str, material: bytes) -> bytes:
    """As a user wraps it by the public key that was downloaded."""
    public = load_der_public_key(public_key)
    assert isinstance(public, rsa.RSAPublicKey)
    digest = DIGESTS[algorithm.rpartition("_")[2]]
    padding = OAEP(MGF1(digest()), digest(), None)
    if algorithm.startswith("RSAES"):
        return public.encrypt(material, padding)
    aes = os.urandom(32)
    return public.encrypt(aes, padding) + aes_key_wrap_with_padding(aes, material)


def parameters(
    kms: Kms,
    key_id: str,
    material: bytes,
    *,
    algorithm: str = "RSAES_OAEP_SHA_256",
    spec: str = "RSA_2048",
    region: str = "us-east-1",
) -> dict[str, Any]:
    """What ImportKeyMaterial takes, but for when the material expires."""
    got = kms.of(region=region).get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec=spec
    )
    return {
        "KeyId": key_id,
        "ImportToken": got["ImportToken"],
        "EncryptedKeyMaterial": wrapped(got["PublicKey"], algorithm, material),
    }


def waiting(kms: Kms, **more: Any) -> str:
    return str(kms.key(Origin="EXTERNAL", **more)["KeyId"])


def with_material(kms: Kms, material: bytes, **more: Any) -> str:
    key_id = waiting(kms, **more)
    kms.of().import_key_material(**parameters(kms, key_id, material), **FOR_EVER)
    return key_id
