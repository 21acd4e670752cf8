"""Enclaves that are not there: their keys, their documents, and what they open."""

from __future__ import annotations

from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PCRS = {0: bytes(range(48)), 1: b"\x01" * 48, 3: b"\x03" * 48}


_made: dict[int, rsa.RSAPrivateKey] = {}


def enclave_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same for the same size, since they take long to make."""
    if bits not in _made:
        _made[bits] = rsa.generate_private_key(65537, bits)
    return _made[bits]


def public_der(bits: int = 2048) -> bytes:
    return enclave_key(bits).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def opened(envelope: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """The content of a CMS EnvelopedData, by a parser of others."""
    info = cms.ContentInfo.load(envelope, strict=True)
    assert info["content_type"].native == "enveloped_data"
    data = info["content"]
    (recipient,) = data["recipient_infos"]
    assert recipient.name == "ktri"
    assert recipient.chosen["key_encryption_algorithm"]["algorithm"].native == "rsaes_oaep"
    content_key = key.decrypt(
        recipient.chosen["encrypted_key"].native, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)
    )
    content = data["encrypted_content_info"]
    algorithm = content["content_encryption_algorithm"]
    assert algorithm["algorithm"].native == "aes256_cbc"
    decryptor = Cipher(AES256(content_key), CBC(algorithm["parameters"].native)).decryptor()
    padded = decryptor.update(content["encrypted_content"].native) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    plaintext: bytes = unpadder.update(padded) + unpadder.finalize()
    return plaintext
