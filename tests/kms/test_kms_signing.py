"""Signatures by a real client, with ``cryptography`` as the offline opposite end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key
from kms_support import Kms, key_policy, refused, statement, user_arn

HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
SPECS = {
    "RSA_2048": [
        *(f"RSASSA_PKCS1_V1_5_SHA_{size}" for size in HASHES),
        *(f"RSASSA_PSS_SHA_{size}" for size in HASHES),
    ],
    "RSA_3072": ["RSASSA_PSS_SHA_384"],
    "RSA_4096": ["RSASSA_PKCS1_V1_5_SHA_512"],
    "ECC_NIST_P256": ["ECDSA_SHA_256"],
    "ECC_NIST_P384": ["ECDSA_SHA_384"],
    "ECC_NIST_P521": ["ECDSA_SHA_512"],
    "ECC_SECG_P256K1": ["ECDSA_SHA_256"],
    "ECC_NIST_EDWARDS25519": ["ED25519_SHA_512"],
    "ML_DSA_44": ["ML_DSA_SHAKE_256"],
    "ML_DSA_65": ["ML_DSA_SHAKE_256"],
    "ML_DSA_87": ["ML_DSA_SHAKE_256"],
}
CASES = [(spec, algorithm) for spec, algorithms in SPECS.items() for algorithm in algorithms]
MESSAGE = b"attack at dawn"


@pytest.fixture(scope="module")
def keys(kms: Kms) -> Mapping[str, str]:
    return {spec: kms.key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["Arn"] for spec in SPECS}


def verified_outside(public: Any, algorithm: str, message: bytes, signature: bytes) -> bool:
    """By the downloaded key alone."""
    hashed = HASHES.get(algorithm[-3:])
    try:
        if isinstance(public, rsa.RSAPublicKey):
            assert hashed is not None
            form = (
                padding.PSS(padding.MGF1(hashed), hashed.digest_size)
                if "PSS" in algorithm
                else padding.PKCS1v15()
            )
            public.verify(signature, message, form, hashed)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            assert hashed is not None
            public.verify(signature, message, ec.ECDSA(hashed))
        else:
            public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize(("spec", "algorithm"), CASES)
def test_a_signature_is_verified_here_and_outside(
    kms: Kms, keys: Mapping[str, str], spec: str, algorithm: str
) -> None:
    arn = keys[spec]
    signed = kms.of().sign(KeyId=arn, Message=MESSAGE, SigningAlgorithm=algorithm)
    assert (signed["KeyId"], signed["SigningAlgorithm"]) == (arn, algorithm)
    signature = signed["Signature"]
    answer = kms.of().verify(KeyId=arn, Message=MESSAGE, Signature=signature, SigningAlgorithm=algorithm)
    assert (answer["KeyId"], answer["SignatureValid"], answer["SigningAlgorithm"]) == (arn, True, algorithm)
    public = load_der_public_key(kms.of().get_public_key(KeyId=arn)["PublicKey"])
    assert verified_outside(public, algorithm, MESSAGE, signature)
    assert not verified_outside(public, algorithm, MESSAGE + b"!", signature)
    with refused("KMSInvalidSignatureException", ""):
        kms.of().verify(KeyId=arn, Message=MESSAGE + b"!", Signature=signature, SigningAlgorithm=algorithm)
    for wrong in (b"x", signature[:-1], signature + b"x"):
        with refused("KMSInvalidSignatureException", ""):
            kms.of().verify(KeyId=arn, Message=MESSAGE, Signature=wrong, SigningAlgorithm=algorithm)


@pytest.mark.parametrize(
    ("spec", "algorithm"), [case for case in CASES if case[1].startswith(("RSA", "ECDSA"))]
)
def test_a_digest_is_signed_like_its_message(
    kms: Kms, keys: Mapping[str, str], spec: str, algorithm: str
) -> None:
    arn, size = keys[spec], int(algorithm[-3:])
    digest = hashlib.new(f"sha{size}", MESSAGE).digest()
    signature = kms.of().sign(KeyId=arn, Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)[
        "Signature"
    ]
    for parameters in (
        {"Message": MESSAGE},
        {"Message": MESSAGE, "MessageType": "RAW"},
        {"Message": digest, "MessageType": "DIGEST"},
    ):
        kms.of().verify(KeyId=arn, Signature=signature, SigningAlgorithm=algorithm, **parameters)
    with refused("KMSInvalidSignatureException", ""):
        kms.of().verify(KeyId=arn, Message=digest, Signature=signature, SigningAlgorithm=algorithm)
    text = f"Digest is invalid length for algorithm {algorithm}."
    for count in (20, size // 8 - 1, size // 8 + 1):
        wrong = {
            "KeyId": arn,
            "Message": bytes(count),
            "MessageType": "DIGEST",
            "SigningAlgorithm": algorithm,
        }
        with refused("ValidationException", text):
            kms.of().sign(**wrong)
        with refused("ValidationException", text):
            kms.of().verify(**wrong, Signature=signature)


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
def test_external_mu(kms: Kms, keys: Mapping[str, str], spec: str) -> None:
    arn, algorithm = keys[spec], "ML_DSA_SHAKE_256"
    public = load_der_public_key(kms.of().get_public_key(KeyId=arn)["PublicKey"])
    assert isinstance(public, mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey)
    large = b"a message that is too large for KMS" * 1000
    of_key = hashlib.shake_256(public.public_bytes_raw()).digest(64)
    mu = hashlib.shake_256(of_key + b"\0\0" + large).digest(64)
    request = {"KeyId": arn, "Message": mu, "MessageType": "EXTERNAL_MU", "SigningAlgorithm": algorithm}
    signature = kms.of().sign(**request)["Signature"]
    public.verify(signature, large)
    kms.of().verify(**request, Signature=signature)
    with refused("KMSInvalidSignatureException", ""):
        kms.of().verify(**{**request, "MessageType": "RAW"}, Signature=signature)
    for count in (32, 63, 65):
        with refused("ValidationException", f"External Mu is invalid length for algorithm {algorithm}."):
            kms.of().sign(**{**request, "Message": bytes(count)})


@pytest.mark.parametrize(
    ("spec", "algorithm", "message_type"),
    [
        ("ML_DSA_44", "ML_DSA_SHAKE_256", "DIGEST"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "EXTERNAL_MU"),
        ("ECC_NIST_P256", "ECDSA_SHA_256", "EXTERNAL_MU"),
        ("RSA_2048", "RSASSA_PSS_SHA_256", "EXTERNAL_MU"),
    ],
)
def test_message_types_that_an_algorithm_has_not(
    kms: Kms, keys: Mapping[str, str], spec: str, algorithm: str, message_type: str
) -> None:
    request = {
        "KeyId": keys[spec],
        "Message": bytes(64),
        "MessageType": message_type,
        "SigningAlgorithm": algorithm,
    }
    text = f"Message type {message_type} is incompatible with algorithm {algorithm}."
    with refused("ValidationException", text):
        kms.of().sign(**request)
    with refused("ValidationException", text):
        kms.of().verify(**request, Signature=b"x")


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("RSA_2048", "ECDSA_SHA_256"),
        ("ECC_NIST_P256", "ECDSA_SHA_384"),
        ("ECC_NIST_P384", "RSASSA_PSS_SHA_256"),
        ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512"),
        ("ECC_SECG_P256K1", "SM2DSA"),
        ("ML_DSA_44", "ED25519_SHA_512"),
    ],
)
def test_algorithms_that_a_key_has_not(kms: Kms, keys: Mapping[str, str], spec: str, algorithm: str) -> None:
    request = {"KeyId": keys[spec], "Message": MESSAGE, "SigningAlgorithm": algorithm}
    text = f"Algorithm {algorithm} is incompatible with key spec {spec}."
    with refused("InvalidKeyUsageException", text):
        kms.of().sign(**request)
    with refused("InvalidKeyUsageException", text):
        kms.of().verify(**request, Signature=b"x")


def test_the_longest_message(kms: Kms, keys: Mapping[str, str]) -> None:
    request = {"KeyId": keys["ECC_NIST_P256"], "SigningAlgorithm": "ECDSA_SHA_256"}
    kms.of().sign(**request, Message=bytes(4096))
    with refused(
        "ValidationException",
        "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have "
        "length less than or equal to 4096",
    ):
        kms.of().sign(**request, Message=bytes(4097))


def test_another_keys_signature(kms: Kms, keys: Mapping[str, str]) -> None:
    other = kms.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["Arn"]
    request = {"Message": MESSAGE, "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.of().sign(KeyId=other, **request)["Signature"]
    with refused("KMSInvalidSignatureException", ""):
        kms.of().verify(KeyId=keys["ECC_NIST_P256"], Signature=signature, **request)


def test_what_was_signed_outside_is_verified_here(kms: Kms, keys: Mapping[str, str]) -> None:
    """A signature of a key that was imported is the same inside and outside."""
    public = load_der_public_key(kms.of().get_public_key(KeyId=keys["ECC_NIST_EDWARDS25519"])["PublicKey"])
    assert isinstance(public, ed25519.Ed25519PublicKey)
    digest = hashlib.sha256(MESSAGE).digest()
    signature = kms.of().sign(KeyId=keys["ECC_NIST_P256"], Message=MESSAGE, SigningAlgorithm="ECDSA_SHA_256")[
        "Signature"
    ]
    curve = load_der_public_key(kms.of().get_public_key(KeyId=keys["ECC_NIST_P256"])["PublicKey"])
    assert isinstance(curve, ec.EllipticCurvePublicKey)
    curve.verify(signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def test_get_public_key(kms: Kms, keys: Mapping[str, str]) -> None:
    arn = keys["RSA_2048"]
    shown = kms.of().get_public_key(KeyId=arn)
    del shown["ResponseMetadata"]
    public = load_der_public_key(shown.pop("PublicKey"))
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (2048, 65537)
    assert shown == {
        "KeyId": arn,
        "CustomerMasterKeySpec": "RSA_2048",
        "KeySpec": "RSA_2048",
        "KeyUsage": "SIGN_VERIFY",
        "SigningAlgorithms": SPECS["RSA_2048"],
    }


@pytest.mark.parametrize(
    ("spec", "usage"), [("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), ("HMAC_256", "GENERATE_VERIFY_MAC")]
)
def test_symmetric_keys_have_no_public_key(kms: Kms, spec: str, usage: str) -> None:
    arn = kms.key(KeySpec=spec, KeyUsage=usage)["Arn"]
    with refused(
        "UnsupportedOperationException", f"{arn} key spec is {spec} which is not valid for GetPublicKey."
    ):
        kms.of().get_public_key(KeyId=arn)


def test_dry_runs(kms: Kms, keys: Mapping[str, str]) -> None:
    text = "The request would have succeeded, but the DryRun option is set."
    for spec, algorithm in (("ECC_NIST_P256", "ECDSA_SHA_256"), ("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512")):
        request = {"KeyId": keys[spec], "Message": MESSAGE, "SigningAlgorithm": algorithm}
        signature = kms.of().sign(**request, DryRun=False)["Signature"]
        with refused("DryRunOperationException", text, 412):
            kms.of().sign(**request, DryRun=True)
        with refused("DryRunOperationException", text, 412):
            kms.of().verify(**request, Signature=signature, DryRun=True)
        with refused("KMSInvalidSignatureException", ""):
            kms.of().verify(**request, Signature=b"x", DryRun=True)


def test_conditions_on_signatures(kms: Kms) -> None:
    """kms:SigningAlgorithm, kms:MessageType."""
    arn = kms.key(
        key_policy(
            statement(user_arn("admin"), "kms:*"),
            statement(
                user_arn("nobody"),
                "kms:Sign",
                "kms:Verify",
                Condition={
                    "StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST"}
                },
            ),
        ),
        KeySpec="ECC_NIST_P256",
        KeyUsage="SIGN_VERIFY",
    )["Arn"]
    digest = hashlib.sha256(MESSAGE).digest()
    request = {"KeyId": arn, "Message": digest, "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.of("nobody").sign(**request, MessageType="DIGEST")["Signature"]
    kms.of("nobody").verify(**request, MessageType="DIGEST", Signature=signature)
    for message_type in ({}, {"MessageType": "RAW"}):
        with refused("AccessDeniedException"):
            kms.of("nobody").sign(**request, **message_type)
        with refused("AccessDeniedException"):
            kms.of("nobody").verify(**request, **message_type, Signature=signature)
    with refused("AccessDeniedException"):
        kms.of("nobody").sign(**{**request, "SigningAlgorithm": "ECDSA_SHA_384"}, MessageType="DIGEST")
