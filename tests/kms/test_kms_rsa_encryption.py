"""RSA encryption by a real client; outside of KMS, ``cryptography`` encrypts with the downloaded key."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from kms_support import Kms, key_policy, refused, statement, user_arn

HASHES: dict[str, hashes.HashAlgorithm] = {
    "RSAES_OAEP_SHA_1": hashes.SHA1(),
    "RSAES_OAEP_SHA_256": hashes.SHA256(),
}
LONGEST = {
    ("RSA_2048", "RSAES_OAEP_SHA_1"): 214,
    ("RSA_2048", "RSAES_OAEP_SHA_256"): 190,
    ("RSA_3072", "RSAES_OAEP_SHA_1"): 342,
    ("RSA_3072", "RSAES_OAEP_SHA_256"): 318,
    ("RSA_4096", "RSAES_OAEP_SHA_1"): 470,
    ("RSA_4096", "RSAES_OAEP_SHA_256"): 446,
}
"""Source: "RSA key specs for encryption and decryption"."""


@pytest.fixture(scope="module")
def keys(kms: Kms) -> Mapping[str, str]:
    specs = {spec for spec, _ in LONGEST}
    return {spec: kms.key(KeySpec=spec, KeyUsage="ENCRYPT_DECRYPT")["Arn"] for spec in specs}


@pytest.fixture(scope="module")
def symmetric(kms: Kms) -> str:
    return str(kms.key()["Arn"])


def encrypted_outside(kms: Kms, arn: str, algorithm: str, plaintext: bytes) -> bytes:
    public = load_der_public_key(kms.of().get_public_key(KeyId=arn)["PublicKey"])
    assert isinstance(public, rsa.RSAPublicKey)
    hashed = HASHES[algorithm]
    return public.encrypt(plaintext, padding.OAEP(padding.MGF1(hashed), hashed, None))


@pytest.mark.parametrize(("spec", "algorithm"), LONGEST)
def test_what_was_encrypted_outside_is_decrypted_inside(
    kms: Kms, keys: Mapping[str, str], spec: str, algorithm: str
) -> None:
    blob = encrypted_outside(kms, keys[spec], algorithm, b"attack at dawn")
    opened = kms.of().decrypt(KeyId=keys[spec], CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
    del opened["ResponseMetadata"]
    assert opened == {"KeyId": keys[spec], "Plaintext": b"attack at dawn", "EncryptionAlgorithm": algorithm}


@pytest.mark.parametrize(("spec", "algorithm"), LONGEST)
def test_as_much_as_the_key_takes(kms: Kms, keys: Mapping[str, str], spec: str, algorithm: str) -> None:
    most = LONGEST[spec, algorithm]
    request = {"KeyId": keys[spec], "EncryptionAlgorithm": algorithm}
    sealed = kms.of().encrypt(**request, Plaintext=b"x" * most)
    assert (sealed["KeyId"], sealed["EncryptionAlgorithm"]) == (keys[spec], algorithm)
    assert len(sealed["CiphertextBlob"]) == int(spec[4:]) // 8
    opened = kms.of().decrypt(**request, CiphertextBlob=sealed["CiphertextBlob"])
    assert opened["Plaintext"] == b"x" * most
    with refused(
        "ValidationException",
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have "
        f"length less than or equal to {most}",
    ):
        kms.of().encrypt(**request, Plaintext=b"x" * (most + 1))


def test_ciphertexts_that_are_none(kms: Kms, keys: Mapping[str, str], symmetric: str) -> None:
    arn, algorithm = keys["RSA_2048"], "RSAES_OAEP_SHA_256"
    blob = encrypted_outside(kms, arn, algorithm, b"x")
    of_another_key = encrypted_outside(kms, keys["RSA_3072"], algorithm, b"x")
    of_a_symmetric_key = kms.of().encrypt(KeyId=symmetric, Plaintext=b"x")["CiphertextBlob"]
    altered = blob[:-1] + bytes([blob[-1] ^ 1])
    for wrong in (b"x", bytes(256), altered, blob[:-1], blob + b"x", of_another_key, of_a_symmetric_key):
        with refused("InvalidCiphertextException", ""):
            kms.of().decrypt(KeyId=arn, CiphertextBlob=wrong, EncryptionAlgorithm=algorithm)
    with refused("InvalidCiphertextException", ""):
        kms.of().decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_1")


def test_a_ciphertext_of_an_rsa_key_tells_nothing_of_it(kms: Kms, keys: Mapping[str, str]) -> None:
    arn, algorithm = keys["RSA_2048"], "RSAES_OAEP_SHA_256"
    blob = encrypted_outside(kms, arn, algorithm, b"x")
    with refused(
        "ValidationException",
        "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
    ):
        kms.of().decrypt(CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
    for more in ({}, {"KeyId": arn}):
        with refused("InvalidCiphertextException", ""):
            kms.of().decrypt(CiphertextBlob=blob, **more)


def test_algorithms_of_another_kind_of_key(kms: Kms, keys: Mapping[str, str]) -> None:
    arn = keys["RSA_2048"]
    for algorithm in ("SYMMETRIC_DEFAULT", "SM2PKE"):
        text = f"Algorithm {algorithm} is incompatible with key spec RSA_2048."
        with refused("InvalidKeyUsageException", text):
            kms.of().encrypt(KeyId=arn, Plaintext=b"x", EncryptionAlgorithm=algorithm)
    with refused(
        "InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."
    ):
        kms.of().encrypt(KeyId=arn, Plaintext=b"x")
    with refused("InvalidKeyUsageException"):
        kms.of().decrypt(KeyId=arn, CiphertextBlob=b"x", EncryptionAlgorithm="SM2PKE")


def test_rsa_takes_no_encryption_context(kms: Kms, keys: Mapping[str, str], symmetric: str) -> None:
    arn, algorithm = keys["RSA_2048"], "RSAES_OAEP_SHA_256"
    request = {"KeyId": arn, "EncryptionAlgorithm": algorithm}
    blob = kms.of().encrypt(**request, Plaintext=b"x", EncryptionContext={})["CiphertextBlob"]
    text = "EncryptionContext is not supported with key spec RSA_2048."
    with refused("ValidationException", text):
        kms.of().encrypt(**request, Plaintext=b"x", EncryptionContext={"a": "b"})
    with refused("ValidationException", text):
        kms.of().decrypt(**request, CiphertextBlob=blob, EncryptionContext={"a": "b"})
    with refused("ValidationException", text):
        kms.of().re_encrypt(
            CiphertextBlob=blob,
            SourceKeyId=arn,
            SourceEncryptionAlgorithm=algorithm,
            SourceEncryptionContext={"a": "b"},
            DestinationKeyId=symmetric,
        )


def test_re_encryption_between_kinds_of_keys(kms: Kms, keys: Mapping[str, str], symmetric: str) -> None:
    one, two, algorithm = keys["RSA_2048"], keys["RSA_4096"], "RSAES_OAEP_SHA_256"
    blob = encrypted_outside(kms, one, algorithm, b"moved")
    inside = kms.of().re_encrypt(
        CiphertextBlob=blob,
        SourceKeyId=one,
        SourceEncryptionAlgorithm=algorithm,
        DestinationKeyId=symmetric,
        DestinationEncryptionContext={"a": "1"},
    )
    assert (inside["SourceKeyId"], inside["KeyId"]) == (one, symmetric)
    assert (inside["SourceEncryptionAlgorithm"], inside["DestinationEncryptionAlgorithm"]) == (
        algorithm,
        "SYMMETRIC_DEFAULT",
    )
    assert "SourceKeyMaterialId" not in inside
    assert "DestinationKeyMaterialId" in inside
    back = kms.of().re_encrypt(
        CiphertextBlob=inside["CiphertextBlob"],
        SourceEncryptionContext={"a": "1"},
        DestinationKeyId=two,
        DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_1",
    )
    assert "SourceKeyMaterialId" in back
    assert "DestinationKeyMaterialId" not in back
    on = kms.of().re_encrypt(
        CiphertextBlob=back["CiphertextBlob"],
        SourceKeyId=two,
        SourceEncryptionAlgorithm="RSAES_OAEP_SHA_1",
        DestinationKeyId=one,
        DestinationEncryptionAlgorithm=algorithm,
    )
    opened = kms.of().decrypt(KeyId=one, CiphertextBlob=on["CiphertextBlob"], EncryptionAlgorithm=algorithm)
    assert opened["Plaintext"] == b"moved"
    with refused("ValidationException"):
        kms.of().re_encrypt(
            CiphertextBlob=blob, SourceEncryptionAlgorithm=algorithm, DestinationKeyId=symmetric
        )
    with refused("InvalidKeyUsageException"):
        kms.of().re_encrypt(CiphertextBlob=inside["CiphertextBlob"], DestinationKeyId=one)


def test_what_is_too_long_for_the_destination(kms: Kms, keys: Mapping[str, str], symmetric: str) -> None:
    blob = kms.of().encrypt(KeyId=symmetric, Plaintext=bytes(191))["CiphertextBlob"]
    with refused("ValidationException"):
        kms.of().re_encrypt(
            CiphertextBlob=blob,
            DestinationKeyId=keys["RSA_2048"],
            DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_256",
        )


def test_dry_runs(kms: Kms, keys: Mapping[str, str]) -> None:
    text = "The request would have succeeded, but the DryRun option is set."
    algorithm = "RSAES_OAEP_SHA_256"
    for arn in (keys["RSA_2048"], keys["RSA_4096"]):
        request = {"KeyId": arn, "EncryptionAlgorithm": algorithm}
        blob = kms.of().encrypt(**request, Plaintext=b"x")["CiphertextBlob"]
        with refused("DryRunOperationException", text, 412):
            kms.of().encrypt(**request, Plaintext=b"x", DryRun=True)
        with refused("DryRunOperationException", text, 412):
            kms.of().decrypt(**request, CiphertextBlob=blob, DryRun=True)
        with refused("InvalidCiphertextException", ""):
            kms.of().decrypt(**request, CiphertextBlob=b"x", DryRun=True)
        with refused("DryRunOperationException", text, 412):
            kms.of().decrypt(**request, DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])


def test_a_condition_on_the_algorithm(kms: Kms) -> None:
    """kms:EncryptionAlgorithm."""
    arn = kms.key(
        key_policy(
            statement(user_arn("admin"), "kms:*"),
            statement(
                user_arn("nobody"),
                "kms:Encrypt",
                "kms:Decrypt",
                Condition={"StringEquals": {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}},
            ),
        ),
        KeySpec="RSA_2048",
        KeyUsage="ENCRYPT_DECRYPT",
    )["Arn"]
    request = {"KeyId": arn, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    blob = kms.of("nobody").encrypt(**request, Plaintext=b"x")["CiphertextBlob"]
    assert kms.of("nobody").decrypt(**request, CiphertextBlob=blob)["Plaintext"] == b"x"
    for algorithm in ("RSAES_OAEP_SHA_1", "SYMMETRIC_DEFAULT"):
        with refused("AccessDeniedException"):
            kms.of("nobody").encrypt(KeyId=arn, EncryptionAlgorithm=algorithm, Plaintext=b"x")
    with refused("AccessDeniedException"):
        kms.of("nobody").decrypt(KeyId=arn, EncryptionAlgorithm="RSAES_OAEP_SHA_1", CiphertextBlob=blob)


def test_who_may_not_decrypt_does_not_learn_whether_the_key_exists(kms: Kms, keys: Mapping[str, str]) -> None:
    arn = keys["RSA_2048"]
    for name in (arn, arn[:-1] + ("0" if arn[-1] != "0" else "1")):
        with refused("AccessDeniedException"):
            kms.of("stranger").decrypt(
                KeyId=name, CiphertextBlob=bytes(256), EncryptionAlgorithm="RSAES_OAEP_SHA_256"
            )
