"""Published vectors, through the operations as services use them. Each runner says how many cases it ran."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, mlkem, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from vectors_support import (
    cases,
    ec_material,
    ec_verifier,
    labelled,
    rsa_material,
    rsa_verifier,
    spki,
    text,
    verifier,
)

from casemate.engine.keys import BadSignature, Material, generate, load
from casemate.engine.keys.operations import (
    DIGEST,
    EXTERNAL_MU,
    RAW,
    decapsulate,
    decrypt,
    derive,
    is_mac,
    mac,
    sign,
    verify,
)

RSA_SIZES = ("mod = 2048", "mod = 3072", "mod = 4096")


def verifies(
    material: Material, algorithm: str, message: bytes, signature: bytes, message_type: str = RAW
) -> bool:
    try:
        verify(material, algorithm, message, signature, message_type)
    except BadSignature:
        return False
    return True


def test_rsassa_pkcs1_v1_5_that_was_generated() -> None:
    ran = 0
    for case in cases("asymmetric/RSA/FIPS_186-2/SigGen15_186-3.rsp", "S"):
        size = case["SHAAlg"].removeprefix("SHA")
        if case["section"] not in RSA_SIZES or size not in ("256", "384", "512"):
            continue
        material = _rsa(case["n"], case["e"])
        algorithm = f"RSASSA_PKCS1_V1_5_SHA_{size}"
        message, signature = bytes.fromhex(case["Msg"]), bytes.fromhex(case["S"])
        verify(material, algorithm, message, signature)
        verify(material, algorithm, hashlib.new(f"sha{size}", message).digest(), signature, DIGEST)
        assert not verifies(material, algorithm, message + b"\0", signature)
        ran += 1
    assert ran == 90


def test_rsassa_pkcs1_v1_5_valid_and_not() -> None:
    ran = valid = 0
    for case in cases("asymmetric/RSA/FIPS_186-2/SigVer15_186-3.rsp", "Result"):
        size = case["SHAAlg"].removeprefix("SHA")
        if case["section"] not in RSA_SIZES or size not in ("256", "384", "512"):
            continue
        algorithm = f"RSASSA_PKCS1_V1_5_SHA_{size}"
        message, signature = bytes.fromhex(case["Msg"]), bytes.fromhex(case["S"])
        expected = case["Result"].startswith("P")
        assert verifies(_rsa(case["n"], case["e"]), algorithm, message, signature) is expected
        if expected:
            # It has one signature only, so that of the private key is the same.
            private = _rsa_private(case["n"], case["e"], case["d"], case["p"], case["q"])
            assert sign(private, algorithm, message) == signature
        ran += 1
        valid += expected
    assert (ran, valid) == (162, 27)


def test_rsassa_pss_with_a_salt_of_another_length_is_refused() -> None:
    # These are valid signatures with a salt of ten bytes; KMS's salts are as long as the digest.
    ran = 0
    for case in cases("asymmetric/RSA/FIPS_186-2/SigVerPSS_186-3.rsp", "Result"):
        size = case["SHAAlg"].removeprefix("SHA")
        if case["section"] not in RSA_SIZES or size not in ("256", "384", "512"):
            continue
        material = _rsa(case["n"], case["e"])
        message, signature = bytes.fromhex(case["Msg"]), bytes.fromhex(case["S"])
        assert not verifies(material, f"RSASSA_PSS_SHA_{size}", message, signature)
        ran += 1
    assert ran == 162


@pytest.mark.parametrize(
    ("path", "algorithm", "count"),
    [
        ("asymmetric/RSA/pkcs-1v2-1d2-vec/oaep-vect.txt", "RSAES_OAEP_SHA_1", 60),
        ("asymmetric/RSA/oaep-custom/oaep-sha256-sha256.txt", "RSAES_OAEP_SHA_256", 60),
    ],
)
def test_rsaes_oaep(path: str, algorithm: str, count: int) -> None:
    ran = 0
    key: dict[str, str] = {}
    for label, digits in labelled(path):
        key[label] = digits
        if label == "Encryption":
            private = _rsa_private(
                *(key[name] for name in ("Modulus", "Public exponent", "Exponent", "Prime 1", "Prime 2"))
            )
            assert decrypt(private, algorithm, bytes.fromhex(digits)) == bytes.fromhex(key["Message"])
            ran += 1
    assert ran == count


_ECDSA = {
    "P-256,SHA-256": "ECDSA_SHA_256",
    "P-384,SHA-384": "ECDSA_SHA_384",
    "P-521,SHA-512": "ECDSA_SHA_512",
}


def _ecdsa_signature(r: str, s: str) -> bytes:
    return utils.encode_dss_signature(int(r, 16), int(s, 16))


def test_ecdsa_valid_and_not() -> None:
    ran = valid = 0
    for case in cases("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", "Result"):
        algorithm = _ECDSA.get(case["section"])
        if algorithm is None:
            continue
        try:
            material = ec_verifier(case["section"][:5], case["Qx"], case["Qy"])
        except ValueError:
            # A public key that was changed so that it is not on the curve.
            assert case["Result"].startswith("F (4")
            continue
        signature = _ecdsa_signature(case["R"], case["S"])
        expected = case["Result"].startswith("P")
        assert verifies(material, algorithm, bytes.fromhex(case["Msg"]), signature) is expected
        ran += 1
        valid += expected
    assert (ran, valid) == (45, 9)


@pytest.mark.parametrize(
    ("path", "sections", "count"),
    [
        ("asymmetric/ECDSA/FIPS_186-3/SigGen.txt", _ECDSA, 45),
        ("asymmetric/ECDSA/SECP256K1/SigGen.txt", {"K-256,SHA-256": "ECDSA_SHA_256"}, 225),
    ],
)
def test_ecdsa_that_was_generated(path: str, sections: dict[str, str], count: int) -> None:
    ran = 0
    for case in cases(path, "S"):
        algorithm = sections.get(case["section"])
        if algorithm is None:
            continue
        material = ec_material(case["section"][:5], case["d"])
        message = bytes.fromhex(case["Msg"])
        digest = hashlib.new(f"sha{algorithm[-3:]}", message).digest()
        verify(material, algorithm, message, _ecdsa_signature(case["R"], case["S"]))
        verify(material, algorithm, digest, sign(material, algorithm, message), DIGEST)
        ran += 1
    assert ran == count


def test_ecdh() -> None:
    ran = 0
    path = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_init.fax"
    curves = {"EC - SHA256": "P-256", "ED - SHA384": "P-384", "EE - SHA512": "P-521"}
    for case in cases(path, "Result"):
        curve = curves.get(case["section"])
        # The failures change the hash of the secret (1, 2), or our own key (6 to 8), which is not under test.
        if curve is None or not case["Result"].startswith("P"):
            continue
        peer = spki(ec_verifier(curve, case["QsCAVSx"], case["QsCAVSy"]).public)
        assert derive(ec_material(curve, case["dsIUT"]), peer) == bytes.fromhex(case["Z"])
        ran += 1
    assert ran == 54


def test_ed25519() -> None:
    ran = 0
    for line in text("asymmetric/Ed25519/sign.input").splitlines():
        secret, public, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        private = ed25519.Ed25519PrivateKey.from_private_bytes(secret[:32])
        stored = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        material = load("ECC_NIST_EDWARDS25519", stored)
        assert material.public_der().endswith(public)
        assert sign(material, "ED25519_SHA_512", message) == signed[:64]
        verify(material, "ED25519_SHA_512", message, signed[:64])
        ran += 1
    assert ran == 1024


@pytest.mark.parametrize(
    ("size", "made"),
    [(44, mldsa.MLDSA44PrivateKey), (65, mldsa.MLDSA65PrivateKey), (87, mldsa.MLDSA87PrivateKey)],
)
def test_ml_dsa(size: int, made: type[mldsa.MLDSA44PrivateKey]) -> None:
    ran = 0
    for case in cases(f"asymmetric/MLDSA/kat_MLDSA_{size}_det_pure.rsp", "ctx"):
        public, message, context = (bytes.fromhex(case[name]) for name in ("pk", "msg", "ctx"))
        signature = bytes.fromhex(case["sm"])[: -len(message)]
        private = made.from_seed_bytes(bytes.fromhex(case["xi"]))
        stored = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        material = load(f"ML_DSA_{size}", stored)
        assert material.public_der().endswith(public)
        # KMS has no context; the representative of a message with one is made as FIPS 204 has it.
        formed = hashlib.shake_256(public).digest(64) + bytes([0, len(context)]) + context + message
        mu = hashlib.shake_256(formed).digest(64)
        verify(material, "ML_DSA_SHAKE_256", mu, signature, EXTERNAL_MU)
        assert not verifies(material, "ML_DSA_SHAKE_256", message, signature)
        ran += 1
    assert ran == 100


@pytest.mark.parametrize(
    ("size", "made"), [(768, mlkem.MLKEM768PrivateKey), (1024, mlkem.MLKEM1024PrivateKey)]
)
def test_ml_kem(size: int, made: type[mlkem.MLKEM768PrivateKey]) -> None:
    ran = 0
    for case in cases(f"asymmetric/MLKEM/kat_MLKEM_{size}.rsp", "ss"):
        private = made.from_seed_bytes(bytes.fromhex(case["d"] + case["z"]))
        stored = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        material = load(f"ML_KEM_{size}", stored)
        assert material.public_der().endswith(bytes.fromhex(case["pk"]))
        assert decapsulate(material, bytes.fromhex(case["ct"])) == bytes.fromhex(case["ss"])
        # An encapsulation that is not valid gives the secret of implicit rejection.
        assert decapsulate(material, bytes.fromhex(case["ct_n"])) == bytes.fromhex(case["ss_n"])
        ran += 1
    assert ran == 1000


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_hmac(bits: int) -> None:
    ran = 0
    for case in cases(f"HMAC/rfc-4231-sha{bits}.txt", "MD"):
        material = load(f"HMAC_{bits}", bytes.fromhex(case["Key"]))
        message, expected = bytes.fromhex(case["Msg"]), bytes.fromhex(case["MD"])
        assert mac(material, f"HMAC_SHA_{bits}", message) == expected
        assert is_mac(material, f"HMAC_SHA_{bits}", message, expected)
        assert not is_mac(material, f"HMAC_SHA_{bits}", message, expected[:-1])
        ran += 1
    assert ran == 6


@cache
def _rsa(n: str, e: str) -> Material:
    return rsa_verifier(n, e)


@cache
def _rsa_private(n: str, e: str, d: str, p: str, q: str) -> Material:
    return rsa_material(n, e, d, p, q)


def test_a_verifier_signs_nothing() -> None:
    """The helper above has no private half, so that no vector is verified by its own signature."""
    whole = load("ECC_NIST_P256", generate("ECC_NIST_P256"))
    with pytest.raises(AttributeError):
        sign(verifier("ECC_NIST_P256", whole.public), "ECDSA_SHA_256", b"message")
