"""Key material: made, checked when it comes from outside, stored, and in memory, ready to use.

Stored is PKCS#8 in DER for asymmetric keys (ML-DSA and ML-KEM as their seeds), and the bytes themselves for symmetric
and HMAC keys.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from casemate.engine.envelope.derivation import KeyHolder
from casemate.engine.keys.errors import BadKeyMaterial, UnavailableSpec
from casemate.engine.keys.specs import SPECS, KeySpec

PUBLIC_EXPONENT = 65537

_CURVES: Mapping[str, ec.EllipticCurve] = {
    "ECC_NIST_P256": ec.SECP256R1(),
    "ECC_NIST_P384": ec.SECP384R1(),
    "ECC_NIST_P521": ec.SECP521R1(),
    "ECC_SECG_P256K1": ec.SECP256K1(),
}
_CLASSES: Mapping[str, type] = {
    **{f"RSA_{bits}": rsa.RSAPrivateKey for bits in (2048, 3072, 4096)},
    **dict.fromkeys(_CURVES, ec.EllipticCurvePrivateKey),
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey,
    "ML_DSA_44": mldsa.MLDSA44PrivateKey,
    "ML_DSA_65": mldsa.MLDSA65PrivateKey,
    "ML_DSA_87": mldsa.MLDSA87PrivateKey,
    "ML_KEM_768": mlkem.MLKEM768PrivateKey,
    "ML_KEM_1024": mlkem.MLKEM1024PrivateKey,
}


_PARSED = 4096
"""So many asymmetric keys are kept parsed, of all that are in memory: each takes 4 KiB (elliptic curves) to 50
(ML-DSA-87). What is used again after that is parsed again, in 15 to 340 µs."""
_parsed_ones: deque[Material] = deque()
"""Which they are, the oldest first."""


class Material(KeyHolder):
    """A key in memory. id: its owner's name for it; secret: the bytes of an HMAC key, b"" of others."""

    __slots__ = ("_pair", "_stored", "id", "secret", "spec")

    def __init__(self, spec: KeySpec, stored: bytes, id: str = "") -> None:  # noqa: A002
        self.spec = spec
        self.id = id
        self.secret = b"" if spec.asymmetric else stored
        self._stored = stored if spec.asymmetric else b""
        # Any: what a key can do depends on its spec, whose algorithms are asked for before it is used.
        self._pair: tuple[Any, Any] | None = None
        if spec.asymmetric:
            self._parse()

    @property
    def private(self) -> Any:
        """The private key, of an asymmetric key."""
        pair = self._pair
        return (self._parse() if pair is None else pair)[0]

    @property
    def public(self) -> Any:
        """Its public key."""
        pair = self._pair
        return (self._parse() if pair is None else pair)[1]

    def _parse(self) -> tuple[Any, Any]:
        private = _parsed(self._stored, trusted=True)
        pair = self._pair = (private, private.public_key())
        _parsed_ones.append(self)
        if len(_parsed_ones) > _PARSED:
            _parsed_ones.popleft()._pair = None
        return pair

    def __repr__(self) -> str:
        return f"<Material {self.spec.name} {self.id}>"

    def public_der(self) -> bytes:
        """The public key of an asymmetric key, as SubjectPublicKeyInfo in DER."""
        return cast("bytes", self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def spec_of(name: str) -> KeySpec:
    """Raises UnavailableSpec."""
    spec = SPECS.get(name)
    if spec is None or not spec.available:
        raise UnavailableSpec(name)
    return spec


def generate(name: str) -> bytes:
    """New random material of a spec, as it is stored. An RSA key of 4,096 bits takes up to some seconds. Raises
    UnavailableSpec."""
    spec = spec_of(name)
    if not spec.asymmetric:
        return os.urandom(spec.bytes)
    try:
        return _stored(_maker(name)())
    except UnsupportedAlgorithm:
        # An OpenSSL without it, below the wheel's own.
        raise UnavailableSpec(name) from None


def load(name: str, stored: bytes, id: str = "") -> Material:  # noqa: A002
    """Stored material in memory. It is trusted to be what ``generate`` or ``imported`` gave: checking an RSA key's
    primes takes 40 to 250 ms. Raises BadKeyMaterial for what cannot be read at all, UnavailableSpec."""
    return Material(spec_of(name), stored, id)


def imported(name: str, plaintext: bytes) -> bytes:
    """Material from outside, as it is stored: PKCS#8 in DER, unencrypted, or the bytes of a symmetric or an HMAC key.
    All of it is checked: kind, size, curve, and that the parts of an asymmetric key belong together. Raises
    BadKeyMaterial, UnavailableSpec."""
    spec = spec_of(name)
    if not spec.asymmetric:
        if len(plaintext) != spec.bytes:
            raise BadKeyMaterial(f"a key of {name} has {spec.bytes} bytes, not {len(plaintext)}")
        return plaintext
    if not _is_pkcs8(plaintext):
        raise BadKeyMaterial("the key is not in PKCS#8")
    private = _parsed(plaintext, trusted=False)
    if not isinstance(private, _CLASSES[name]) or not _fits(name, private):
        raise BadKeyMaterial(f"the key is not one of {name}")
    return _stored(private)


def _maker(name: str) -> Callable[[], Any]:
    if name.startswith("RSA_"):
        return partial(rsa.generate_private_key, PUBLIC_EXPONENT, int(name[4:]))
    if name in _CURVES:
        return partial(ec.generate_private_key, _CURVES[name])
    maker: Callable[[], Any] = _CLASSES[name].generate  # type: ignore[attr-defined]
    return maker


def _fits(name: str, private: Any) -> bool:
    """Whether a key of the right class is of the right size or curve."""
    if name.startswith("RSA_"):
        return bool(private.key_size == int(name[4:]))
    return name not in _CURVES or private.curve.name == _CURVES[name].name


def _parsed(der: bytes, *, trusted: bool) -> Any:
    try:
        return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=trusted)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # TypeError: it is encrypted. The text may tell what is in it.
        raise BadKeyMaterial("the private key cannot be read") from None


def _stored(private: Any) -> bytes:
    return cast("bytes", private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _is_pkcs8(der: bytes) -> bool:
    """Told from the other forms of private keys in DER by what follows the version: PKCS#8 has an algorithm there (a
    sequence), RSA's own form an integer, EC's a string of bytes. Anything else is left to the parser."""
    at = 2 + (der[1] & 0x7F if len(der) > 1 and der[1] & 0x80 else 0)
    return der[:1] == b"\x30" and der[at : at + 2] == b"\x02\x01" and der[at + 3 : at + 4] == b"\x30"
