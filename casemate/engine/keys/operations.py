"""What is done with a key: signatures, MACs, RSA encryption, key agreement, encapsulation.

Callers have asked whether the key's spec has the algorithm (``Material.spec.algorithms``): no function here checks it
again, and an algorithm of another kind of key is a KeyError or an AttributeError, never a result.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from casemate.engine.keys.errors import (
    BadEncryption,
    BadPublicKey,
    BadSignature,
    WrongLength,
    WrongMessageType,
)
from casemate.engine.keys.material import Material

RAW, DIGEST, EXTERNAL_MU = "RAW", "DIGEST", "EXTERNAL_MU"
MU_BYTES = 64

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "SHA_1": hashes.SHA1(),  # noqa: S303  # in OAEP it need not resist collisions
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}


class _Scheme(NamedTuple):
    """How a signature is made. types: what ``cryptography`` is told besides the message, by message type;
    digest_bytes: of the algorithm's hash, 0 where it takes no digest."""

    types: Mapping[str, tuple[Any, ...]]
    digest_bytes: int = 0


def _scheme(name: str) -> _Scheme:
    hashed = _HASHES[name[-7:]]
    digest = utils.Prehashed(hashed)
    if name.startswith("ECDSA_"):
        return _Scheme({RAW: (ec.ECDSA(hashed),), DIGEST: (ec.ECDSA(digest),)}, hashed.digest_size)
    # The salt is as long as the digest, for signing and for verifying. Source: "RSA key specs".
    form = (
        padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH)
        if name.startswith("RSASSA_PSS_")
        else padding.PKCS1v15()
    )
    return _Scheme({RAW: (form, hashed), DIGEST: (form, digest)}, hashed.digest_size)


_SCHEMES: Mapping[str, _Scheme] = {
    **{
        name: _scheme(name)
        for kind in ("ECDSA", "RSASSA_PKCS1_V1_5", "RSASSA_PSS")
        for name in (f"{kind}_SHA_256", f"{kind}_SHA_384", f"{kind}_SHA_512")
    },
    "ED25519_SHA_512": _Scheme({RAW: ()}),
    "ML_DSA_SHAKE_256": _Scheme({RAW: (), EXTERNAL_MU: ()}),
}


def _told(algorithm: str, message: bytes, message_type: str) -> tuple[Any, ...]:
    scheme = _SCHEMES[algorithm]
    told = scheme.types.get(message_type)
    if told is None:
        raise WrongMessageType(f"{algorithm} takes no message of type {message_type}")
    if message_type == DIGEST and len(message) != scheme.digest_bytes:
        raise WrongLength(f"a digest for {algorithm} has {scheme.digest_bytes} bytes")
    if message_type == EXTERNAL_MU and len(message) != MU_BYTES:
        raise WrongLength(f"a message representative has {MU_BYTES} bytes")
    return told


def check_message(algorithm: str, message: bytes, message_type: str) -> None:
    """Raises WrongMessageType, WrongLength."""
    _told(algorithm, message, message_type)


def sign(material: Material, algorithm: str, message: bytes, message_type: str = RAW) -> bytes:
    """A signature of the message, of its digest, or of ML-DSA's message representative (mu). ECDSA's is in DER.
    Raises WrongMessageType, WrongLength."""
    told = _told(algorithm, message, message_type)
    if message_type == EXTERNAL_MU:
        return cast("bytes", material.private.sign_mu(message))
    return cast("bytes", material.private.sign(message, *told))


def verify(
    material: Material, algorithm: str, message: bytes, signature: bytes, message_type: str = RAW
) -> None:
    """Raises BadSignature, WrongMessageType, WrongLength."""
    told = _told(algorithm, message, message_type)
    try:
        if message_type == EXTERNAL_MU:
            material.public.verify_mu(signature, message)
        else:
            material.public.verify(signature, message, *told)
    except InvalidSignature:
        raise BadSignature from None


# --- MACs

_MACS = {f"HMAC_SHA_{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)}


def mac(material: Material, algorithm: str, message: bytes) -> bytes:
    """The HMAC of the message, in its full length."""
    return hmac.digest(material.secret, message, _MACS[algorithm])


def is_mac(material: Material, algorithm: str, message: bytes, given: bytes) -> bool:
    """Whether it is the message's HMAC, compared in constant time."""
    return hmac.compare_digest(mac(material, algorithm, message), given)


# --- RSA encryption


def _oaep(name: str) -> tuple[padding.OAEP, int]:
    hashed = _HASHES[name.removeprefix("RSAES_OAEP_")]
    return padding.OAEP(padding.MGF1(hashed), hashed, None), hashed.digest_size


_OAEP = {name: _oaep(name) for name in ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")}


def longest_plaintext(material: Material, algorithm: str) -> int:
    """How many bytes can be encrypted: 190 to 470. Source: RFC 8017, 7.1.1."""
    return int(material.private.key_size // 8 - 2 * _OAEP[algorithm][1] - 2)


def encrypt(material: Material, algorithm: str, plaintext: bytes) -> bytes:
    """Raises WrongLength."""
    if len(plaintext) > longest_plaintext(material, algorithm):
        raise WrongLength(f"{algorithm} takes {longest_plaintext(material, algorithm)} bytes at most")
    return cast("bytes", material.public.encrypt(plaintext, _OAEP[algorithm][0]))


def decrypt(material: Material, algorithm: str, ciphertext: bytes) -> bytes:
    """Raises BadEncryption."""
    try:
        return cast("bytes", material.private.decrypt(ciphertext, _OAEP[algorithm][0]))
    except ValueError:
        raise BadEncryption from None


# --- secrets that are shared


def derive(material: Material, peer: bytes) -> bytes:
    """The raw secret of ECDH with a peer's public key (SubjectPublicKeyInfo in DER): the shared point's x coordinate.
    Raises BadPublicKey."""
    try:
        public = load_der_public_key(peer)
        if (
            not isinstance(public, ec.EllipticCurvePublicKey)
            or public.curve.name != material.public.curve.name
        ):
            raise BadPublicKey
        return cast("bytes", material.private.exchange(ec.ECDH(), public))
    except (ValueError, UnsupportedAlgorithm):
        raise BadPublicKey from None


def encapsulate(material: Material) -> tuple[bytes, bytes]:
    """A fresh secret of 32 bytes, and its encapsulation by ML-KEM."""
    return cast("tuple[bytes, bytes]", material.public.encapsulate())


def decapsulate(material: Material, encapsulation: bytes) -> bytes:
    """The secret; for another key's encapsulation, or an altered one, bytes that look random (implicit rejection).
    Raises BadEncryption for a wrong length."""
    try:
        return cast("bytes", material.private.decapsulate(encapsulation))
    except ValueError:
        raise BadEncryption from None
