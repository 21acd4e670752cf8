"""CMS EnvelopedData (RFC 5652) for one RSA key, byte for byte laid out as AWS KMS's CiphertextForRecipient.

::

    ContentInfo id-envelopedData
      EnvelopedData version 2
        KeyTransRecipientInfo version 2: subjectKeyIdentifier, RSAES-OAEP (SHA-256, MGF1 with SHA-256), encrypted key
        EncryptedContentInfo id-data: AES-256-CBC with its IV, encrypted content

Its outer structures are of indefinite length (BER), because the Nitro Enclaves SDK for C reads them in that form
alone. Nothing in a CMS EnvelopedData tells whether it was changed on its way: that is TLS's.
"""

from __future__ import annotations

import os
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_public_key

from casemate.engine.attestation.errors import BadAttestation

KEY_SIZES = (2048, 3072, 4096)
"""Bits of the RSA keys that the Nitro Enclaves SDK makes."""

_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE, _SET = 0x02, 0x04, 0x05, 0x06, 0x30, 0x31


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _indefinite(tag: int, *parts: bytes) -> bytes:
    return bytes((tag, 0x80)) + b"".join(parts) + b"\x00\x00"


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray((40 * first + second,))
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        encoded += bytes(reversed(groups))
    return _tlv(_OID, bytes(encoded))


_VERSION_2 = _tlv(_INTEGER, b"\x02")
_DATA = _oid("1.2.840.113549.1.7.1")
_ENVELOPED_DATA = _oid("1.2.840.113549.1.7.3")
_AES_256_CBC = _oid("2.16.840.1.101.3.4.1.42")
_SHA_256 = _tlv(_SEQUENCE, _oid("2.16.840.1.101.3.4.2.1"), _tlv(_NULL))
_MGF1 = _tlv(_SEQUENCE, _oid("1.2.840.113549.1.1.8"), _SHA_256)
_RSAES_OAEP_SHA_256 = _tlv(
    _SEQUENCE,
    _oid("1.2.840.113549.1.1.7"),
    _tlv(_SEQUENCE, _tlv(0xA0, _SHA_256), _tlv(0xA1, _MGF1)),
)
_PADDING = OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)


def envelop(plaintext: bytes, public_key: bytes) -> bytes:
    """The EnvelopedData of ``plaintext``, which the private key of ``public_key`` opens. public_key: DER of a
    SubjectPublicKeyInfo, RSA with 2048, 3072 or 4096 bits. Raises BadAttestation for any other."""
    key = recipient_key(public_key)
    content_key, iv = os.urandom(32), os.urandom(16)
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES256(content_key), CBC(iv)).encryptor()
    content = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
    recipient = _tlv(
        _SEQUENCE,
        _VERSION_2,
        _tlv(0x80, sha256(public_key).digest()),
        _RSAES_OAEP_SHA_256,
        _tlv(_OCTETS, key.encrypt(content_key, _PADDING)),
    )
    return _indefinite(
        _SEQUENCE,
        _ENVELOPED_DATA,
        _indefinite(
            0xA0,
            _indefinite(
                _SEQUENCE,
                _VERSION_2,
                _tlv(_SET, recipient),
                _indefinite(
                    _SEQUENCE,
                    _DATA,
                    _tlv(_SEQUENCE, _AES_256_CBC, _tlv(_OCTETS, iv)),
                    _indefinite(0xA0, _tlv(_OCTETS, content)),
                ),
            ),
        ),
    )


def recipient_key(public_key: bytes) -> RSAPublicKey:
    """Raises BadAttestation for anything but DER of a public RSA key of a size in KEY_SIZES."""
    try:
        key = load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm):
        raise BadAttestation("The document's public key cannot be read.") from None
    if not isinstance(key, RSAPublicKey) or key.key_size not in KEY_SIZES:
        raise BadAttestation("The document's public key is not RSA with 2048, 3072 or 4096 bits.")
    return key
