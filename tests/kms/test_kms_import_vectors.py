"""Published vectors through imported keys: what such keys signed elsewhere is what they sign and verify here."""

from __future__ import annotations

from itertools import islice

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from import_support import FOR_EVER, parameters, waiting
from kms_support import Kms, refused
from vectors_support import CURVES, cases, number, pkcs8, text

SECTIONS = {
    "P-256,SHA-256": "ECDSA_SHA_256",
    "P-384,SHA-384": "ECDSA_SHA_384",
    "P-521,SHA-512": "ECDSA_SHA_512",
}


def imported(kms: Kms, spec: str, material: bytes) -> str:
    key_id = waiting(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")
    wanted = parameters(kms, key_id, material, algorithm="RSA_AES_KEY_WRAP_SHA_256")
    kms.of().import_key_material(**wanted, **FOR_EVER)
    return key_id


@pytest.mark.parametrize("section", SECTIONS)
def test_ecdsa(kms: Kms, section: str) -> None:
    algorithm = SECTIONS[section]
    spec, curve = CURVES[section[:5]]
    found = (
        each for each in cases("asymmetric/ECDSA/FIPS_186-3/SigGen.txt", "S") if each["section"] == section
    )
    ran = 0
    for case in islice(found, 5):
        key_id = imported(kms, spec, pkcs8(ec.derive_private_key(number(case["d"]), curve)))
        message = bytes.fromhex(case["Msg"])
        asked = {"KeyId": key_id, "SigningAlgorithm": algorithm, "Message": message}
        signature = encode_dss_signature(number(case["R"]), number(case["S"]))
        assert kms.of().verify(**asked, Signature=signature)["SignatureValid"]
        with refused("KMSInvalidSignatureException"):
            kms.of().verify(**{**asked, "Message": message + b"x"}, Signature=signature)
        ran += 1
    assert ran == 5


def test_ed25519(kms: Kms) -> None:
    ran = 0
    for line in islice(text("asymmetric/Ed25519/sign.input").splitlines(), 1, 1024, 100):
        secret, _, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
        private = ed25519.Ed25519PrivateKey.from_private_bytes(secret[:32])
        stored = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        key_id = imported(kms, "ECC_NIST_EDWARDS25519", stored)
        made = kms.of().sign(KeyId=key_id, Message=message, SigningAlgorithm="ED25519_SHA_512")
        assert made["Signature"] == signed[:64]
        ran += 1
    assert ran == 11
