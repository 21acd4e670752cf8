"""Shared secrets by a real client, with ``cryptography`` on the other side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from kms_support import Kms, key_policy, refused, statement, user_arn

CURVES: dict[str, ec.EllipticCurve] = {
    "ECC_NIST_P256": ec.SECP256R1(),
    "ECC_NIST_P384": ec.SECP384R1(),
    "ECC_NIST_P521": ec.SECP521R1(),
}
KEMS = {"ML_KEM_768": 1088, "ML_KEM_1024": 1568}
DRY = "The request would have succeeded, but the DryRun option is set."


def der(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def keys(kms: Kms) -> Mapping[str, str]:
    agreeing = {spec: kms.key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")["Arn"] for spec in CURVES}
    return agreeing | {
        spec: kms.key(KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")["Arn"] for spec in KEMS
    }


@pytest.mark.parametrize("spec", CURVES)
def test_both_sides_derive_the_same_secret(kms: Kms, keys: Mapping[str, str], spec: str) -> None:
    bob = ec.generate_private_key(CURVES[spec])
    shared = kms.of().derive_shared_secret(KeyId=keys[spec], KeyAgreementAlgorithm="ECDH", PublicKey=der(bob))
    alice = load_der_public_key(kms.of().get_public_key(KeyId=keys[spec])["PublicKey"])
    assert isinstance(alice, ec.EllipticCurvePublicKey)
    assert shared["SharedSecret"] == bob.exchange(ec.ECDH(), alice)
    assert (shared["KeyId"], shared["KeyAgreementAlgorithm"], shared["KeyOrigin"]) == (
        keys[spec],
        "ECDH",
        "AWS_KMS",
    )


def test_two_keys_of_kms_agree(kms: Kms, keys: Mapping[str, str]) -> None:
    one, two = keys["ECC_NIST_P256"], kms.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")["Arn"]
    secrets = {
        kms.of().derive_shared_secret(
            KeyId=mine,
            KeyAgreementAlgorithm="ECDH",
            PublicKey=kms.of().get_public_key(KeyId=theirs)["PublicKey"],
        )["SharedSecret"]
        for mine, theirs in ((one, two), (two, one))
    }
    assert len(secrets) == 1


def test_public_keys_that_do_not_fit(kms: Kms, keys: Mapping[str, str]) -> None:
    good = der(ec.generate_private_key(ec.SECP256R1()))
    others = (
        b"x",
        good[:-1],
        good[:-1] + bytes([good[-1] ^ 1]),
        der(ec.generate_private_key(ec.SECP384R1())),
        der(rsa.generate_private_key(65537, 2048)),
    )
    for other in others:
        with refused(
            "ValidationException", "PublicKey is not a DER-encoded public key of key spec ECC_NIST_P256."
        ):
            kms.of().derive_shared_secret(
                KeyId=keys["ECC_NIST_P256"], KeyAgreementAlgorithm="ECDH", PublicKey=other
            )


def test_a_condition_on_the_agreement(kms: Kms) -> None:
    """kms:KeyAgreementAlgorithm."""
    arns = [
        kms.key(
            key_policy(
                statement(user_arn("admin"), "kms:*"),
                statement(
                    user_arn("nobody"),
                    "kms:DeriveSharedSecret",
                    Condition={"StringEquals": {"kms:KeyAgreementAlgorithm": algorithm}},
                ),
            ),
            KeySpec="ECC_NIST_P256",
            KeyUsage="KEY_AGREEMENT",
        )["Arn"]
        for algorithm in ("ECDH", "OTHER")
    ]
    request = {
        "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": der(ec.generate_private_key(ec.SECP256R1())),
    }
    kms.of("nobody").derive_shared_secret(KeyId=arns[0], **request)
    with refused("AccessDeniedException"):
        kms.of("nobody").derive_shared_secret(KeyId=arns[1], **request)


def test_a_condition_on_the_encapsulation(kms: Kms) -> None:
    """kms:EncapsulationAlgorithm."""
    arns = [
        kms.key(
            key_policy(
                statement(user_arn("admin"), "kms:*"),
                statement(
                    user_arn("nobody"),
                    "kms:Encapsulate",
                    "kms:Decapsulate",
                    Condition={"StringEquals": {"kms:EncapsulationAlgorithm": algorithm}},
                ),
            ),
            KeySpec="ML_KEM_768",
            KeyUsage="ENCAPSULATE_DECAPSULATE",
        )["Arn"]
        for algorithm in ("ML_KEM", "OTHER")
    ]
    client, algorithm = kms.of("nobody"), {"EncapsulationAlgorithm": "ML_KEM"}
    blob = client.encapsulate(KeyId=arns[0], **algorithm)["SharedSecretCiphertextBlob"]
    client.decapsulate(KeyId=arns[0], SharedSecretCiphertextBlob=blob, **algorithm)
    with refused("AccessDeniedException"):
        client.encapsulate(KeyId=arns[1], **algorithm)
    with refused("AccessDeniedException"):
        client.decapsulate(KeyId=arns[1], SharedSecretCiphertextBlob=blob, **algorithm)


@pytest.mark.parametrize("spec", KEMS)
def test_what_is_encapsulated_here_or_outside_is_decapsulated(
    kms: Kms, keys: Mapping[str, str], spec: str
) -> None:
    request = {"KeyId": keys[spec], "EncapsulationAlgorithm": "ML_KEM"}
    made = kms.of().encapsulate(**request)
    assert (made["KeyId"], made["EncapsulationAlgorithm"]) == (keys[spec], "ML_KEM")
    assert (len(made["SharedSecret"]), len(made["SharedSecretCiphertextBlob"])) == (32, KEMS[spec])
    got = kms.of().decapsulate(**request, SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"])
    del got["ResponseMetadata"]
    assert got == {
        "KeyId": keys[spec],
        "SharedSecret": made["SharedSecret"],
        "EncapsulationAlgorithm": "ML_KEM",
    }
    assert kms.of().encapsulate(**request)["SharedSecret"] != made["SharedSecret"]

    shown = kms.of().get_public_key(KeyId=keys[spec])
    assert shown["EncapsulationAlgorithms"] == ["ML_KEM"]
    public = load_der_public_key(shown["PublicKey"])
    assert isinstance(public, mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey)
    secret, encapsulation = public.encapsulate()
    got = kms.of().decapsulate(**request, SharedSecretCiphertextBlob=encapsulation)
    assert got["SharedSecret"] == secret


@pytest.mark.parametrize("spec", KEMS)
def test_other_encapsulations(kms: Kms, keys: Mapping[str, str], spec: str) -> None:
    request: dict[str, Any] = {"KeyId": keys[spec], "EncapsulationAlgorithm": "ML_KEM"}
    made = kms.of().encapsulate(**request)
    blob = made["SharedSecretCiphertextBlob"]
    for wrong in (b"x", blob[:-1], blob + b"x"):
        with refused("InvalidCiphertextException", ""):
            kms.of().decapsulate(**request, SharedSecretCiphertextBlob=wrong)
    # One of the right length that is not valid gives another secret, always the same.
    altered = bytes([blob[0] ^ 1]) + blob[1:]
    got = [
        kms.of().decapsulate(**request, SharedSecretCiphertextBlob=altered)["SharedSecret"] for _ in range(2)
    ]
    assert got[0] == got[1] != made["SharedSecret"]


def test_dry_runs(kms: Kms, keys: Mapping[str, str]) -> None:
    peer = der(ec.generate_private_key(ec.SECP256R1()))
    agreement = {"KeyId": keys["ECC_NIST_P256"], "KeyAgreementAlgorithm": "ECDH"}
    with refused("DryRunOperationException", DRY, 412):
        kms.of().derive_shared_secret(**agreement, PublicKey=peer, DryRun=True)
    with refused("ValidationException"):
        kms.of().derive_shared_secret(**agreement, PublicKey=b"x", DryRun=True)
    kem = {"KeyId": keys["ML_KEM_768"], "EncapsulationAlgorithm": "ML_KEM"}
    blob = kms.of().encapsulate(**kem, DryRun=False)["SharedSecretCiphertextBlob"]
    with refused("DryRunOperationException", DRY, 412):
        kms.of().encapsulate(**kem, DryRun=True)
    with refused("DryRunOperationException", DRY, 412):
        kms.of().decapsulate(**kem, SharedSecretCiphertextBlob=blob, DryRun=True)
    with refused("InvalidCiphertextException", ""):
        kms.of().decapsulate(**kem, SharedSecretCiphertextBlob=b"x", DryRun=True)
