"""Key material on its way from outside: wrapped under an RSA key, directly or by way of an AES key.

Source: RFC 8017 (RSAES-OAEP), RFC 5649 (AES key wrap with padding); "Select a wrapping algorithm".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

KEY_BITS: Final[Mapping[str, int]] = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}

_OAEP: Final[Mapping[str, type[hashes.SHA1] | type[hashes.SHA256]]] = {
    "RSAES_OAEP_SHA_1": hashes.SHA1,
    "RSAES_OAEP_SHA_256": hashes.SHA256,
    "RSA_AES_KEY_WRAP_SHA_1": hashes.SHA1,
    "RSA_AES_KEY_WRAP_SHA_256": hashes.SHA256,
}
ALGORITHMS: Final = frozenset(_OAEP)


class BadWrapping(Exception):
    """What was wrapped does not open, for whichever reason."""


def is_indirect(algorithm: str) -> bool:
    """Whether the RSA key wraps an AES key, and that one the material, which may then have any length."""
    return algorithm.startswith("RSA_AES_KEY_WRAP")


def generate(spec: str) -> bytes:
    """A new wrapping key's private half, PKCS #8 in DER. Takes up to seconds."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS[spec])
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def public_half(private: bytes) -> bytes:
    """SubjectPublicKeyInfo in DER."""
    return _loaded(private).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def unwrap(private: bytes, algorithm: str, wrapped: bytes) -> bytes:
    """The material. Raises BadWrapping."""
    key = _loaded(private)
    digest = _OAEP[algorithm]
    length = key.key_size // 8
    if len(wrapped) < length or (len(wrapped) > length) != is_indirect(algorithm):
        raise BadWrapping
    try:
        opened = key.decrypt(wrapped[:length], OAEP(MGF1(digest()), digest(), None))
        if not is_indirect(algorithm):
            return opened
        if len(opened) not in (16, 24, 32):
            raise BadWrapping
        return aes_key_unwrap_with_padding(opened, wrapped[length:])
    except (ValueError, InvalidUnwrap):
        raise BadWrapping from None


def _loaded(private: bytes) -> rsa.RSAPrivateKey:
    # Ours, and authenticated by whoever kept it: the checks of a stranger's key would cost more than its use.
    key = load_der_private_key(private, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadWrapping
    return key
