"""The kinds of keys that KMS has, what each is for, and by which algorithms. Source: "Key spec reference"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

SYMMETRIC_DEFAULT: Final = "SYMMETRIC_DEFAULT"

ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"
SIGN_VERIFY = "SIGN_VERIFY"
GENERATE_VERIFY_MAC = "GENERATE_VERIFY_MAC"
KEY_AGREEMENT = "KEY_AGREEMENT"
ENCAPSULATE_DECAPSULATE = "ENCAPSULATE_DECAPSULATE"


class KeySpec(NamedTuple):
    """A kind of key. algorithms: by usage, those that ``cryptography`` carries; asymmetric: whether it has a public
    key; bytes: the length of a symmetric key or an HMAC key, 0 of others."""

    name: str
    algorithms: Mapping[str, tuple[str, ...]]
    asymmetric: bool = True
    bytes: int = 0

    @property
    def available(self) -> bool:
        """False for the specs of AWS that nothing here can make."""
        return any(self.algorithms.values())


_HASHES = ("SHA_256", "SHA_384", "SHA_512")
_RSA_SIGNATURES = (
    *(f"RSASSA_PKCS1_V1_5_{name}" for name in _HASHES),
    *(f"RSASSA_PSS_{name}" for name in _HASHES),
)
_RSA: Mapping[str, tuple[str, ...]] = {
    ENCRYPT_DECRYPT: ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"),
    SIGN_VERIFY: _RSA_SIGNATURES,
}


def _nist(name: str) -> Mapping[str, tuple[str, ...]]:
    return {SIGN_VERIFY: (f"ECDSA_{name}",), KEY_AGREEMENT: ("ECDH",)}


SPECS: Mapping[str, KeySpec] = {
    spec.name: spec
    for spec in (
        KeySpec(SYMMETRIC_DEFAULT, {ENCRYPT_DECRYPT: (SYMMETRIC_DEFAULT,)}, False, 32),
        *(KeySpec(f"RSA_{bits}", _RSA) for bits in (2048, 3072, 4096)),
        KeySpec("ECC_NIST_P256", _nist("SHA_256")),
        KeySpec("ECC_NIST_P384", _nist("SHA_384")),
        KeySpec("ECC_NIST_P521", _nist("SHA_512")),
        KeySpec("ECC_SECG_P256K1", {SIGN_VERIFY: ("ECDSA_SHA_256",)}),
        # Its other algorithm, ED25519_PH_SHA_512, is in no release of cryptography.
        KeySpec("ECC_NIST_EDWARDS25519", {SIGN_VERIFY: ("ED25519_SHA_512",)}),
        *(
            KeySpec(f"HMAC_{bits}", {GENERATE_VERIFY_MAC: (f"HMAC_SHA_{bits}",)}, False, bits // 8)
            for bits in (224, 256, 384, 512)
        ),
        *(KeySpec(f"ML_DSA_{size}", {SIGN_VERIFY: ("ML_DSA_SHAKE_256",)}) for size in (44, 65, 87)),
        *(KeySpec(f"ML_KEM_{size}", {ENCAPSULATE_DECAPSULATE: ("ML_KEM",)}) for size in (768, 1024)),
        # Not in cryptography.
        KeySpec("ML_KEM_512", {ENCAPSULATE_DECAPSULATE: ()}),
        KeySpec("SM2", {ENCRYPT_DECRYPT: (), SIGN_VERIFY: (), KEY_AGREEMENT: ()}),
    )
}
"""By name; all that AWS has."""
