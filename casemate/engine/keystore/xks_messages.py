"""What is said to an external key store proxy, and what its answers mean. Pure.

Source: "AWS KMS External Key Store Proxy API Specification".
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from casemate.engine.keystore.errors import Failure, KeyStoreError

Metadata = Mapping[str, str]
"""requestMetadata: awsPrincipalArn, kmsKeyArn, kmsOperation, kmsRequestId, kmsViaService, as the request has them."""

_FAILURES: Mapping[str, tuple[int, Failure]] = {
    "ValidationException": (400, Failure.VALIDATION),
    "InvalidStateException": (400, Failure.INVALID_STATE),
    "InvalidCiphertextException": (400, Failure.INVALID_CIPHERTEXT),
    "InvalidKeyUsageException": (400, Failure.INVALID_KEY_USAGE),
    "AuthenticationFailedException": (401, Failure.AUTHENTICATION_FAILED),
    "AccessDeniedException": (403, Failure.ACCESS_DENIED),
    "KeyNotFoundException": (404, Failure.KEY_NOT_FOUND),
    "InvalidUriPathException": (404, Failure.INVALID_URI_PATH),
    "ThrottlingException": (429, Failure.THROTTLING),
    "UnsupportedOperationException": (501, Failure.UNSUPPORTED_OPERATION),
    "DependencyTimeoutException": (503, Failure.DEPENDENCY_TIMEOUT),
    "InternalException": (500, Failure.INTERNAL),
}
_HEALTH = ("ACTIVE", "DEGRADED", "UNAVAILABLE")
_MOST_MANAGERS = 10
_MOST_USAGES = 10
_MOST_METADATA = 20
"""Bytes of a ciphertext's metadata."""


class Layer(NamedTuple):
    """What an external key made of a plaintext. metadata: the proxy's own, b"" for none."""

    ciphertext: bytes
    nonce: bytes
    tag: bytes
    metadata: bytes = b""


class ExternalKey(NamedTuple):
    """What a proxy tells of a key."""

    spec: str
    usage: tuple[str, ...]
    status: str


# --- requests


def plain_request(metadata: Metadata) -> bytes:
    """For GetHealthStatus and GetKeyMetadata."""
    return json.dumps({"requestMetadata": dict(metadata)}).encode()


def encrypt_request(metadata: Metadata, plaintext: bytes, aad: bytes) -> bytes:
    """For Encrypt. A data integrity value is asked for, so that what a proxy garbles is noticed now."""
    return json.dumps(
        {
            "requestMetadata": dict(metadata),
            "additionalAuthenticatedData": _base64(aad),
            "plaintext": _base64(plaintext),
            "encryptionAlgorithm": "AES_GCM",
            "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
        }
    ).encode()


def decrypt_request(metadata: Metadata, layer: Layer, aad: bytes) -> bytes:
    """For Decrypt."""
    request = {
        "requestMetadata": dict(metadata),
        "additionalAuthenticatedData": _base64(aad),
        "ciphertext": _base64(layer.ciphertext),
        "encryptionAlgorithm": "AES_GCM",
        "initializationVector": _base64(layer.nonce),
        "authenticationTag": _base64(layer.tag),
    }
    if layer.metadata:
        request["ciphertextMetadata"] = _base64(layer.metadata)
    return json.dumps(request).encode()


# --- answers. All raise KeyStoreError for a proxy's refusal and for what is not as the specification says.


def read_health(status: int, body: bytes) -> None:
    """Return if an external key manager behind the proxy can be used."""
    answer = _answer(status, body)
    size = answer.get("xksProxyFleetSize")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise _malformed("xksProxyFleetSize")
    for name in ("xksProxyVendor", "xksProxyModel", "ekmVendor"):
        _text(answer, name)
    managers = answer.get("ekmFleetDetails")
    if not isinstance(managers, list) or not 1 <= len(managers) <= _MOST_MANAGERS:
        raise _malformed("ekmFleetDetails")
    states = set()
    for manager in managers:
        if not isinstance(manager, dict):
            raise _malformed("ekmFleetDetails")
        _text(manager, "id")
        _text(manager, "model")
        states.add(_text(manager, "healthStatus"))
    if not states.issubset(_HEALTH):
        raise _malformed("healthStatus")
    if states == {"UNAVAILABLE"}:
        raise KeyStoreError(Failure.UNHEALTHY, "all external key managers are unavailable")


def read_key(status: int, body: bytes) -> ExternalKey:
    """What GetKeyMetadata answered."""
    answer = _answer(status, body)
    usage = answer.get("keyUsage")
    if not isinstance(usage, list) or len(usage) > _MOST_USAGES:
        raise _malformed("keyUsage")
    if not all(isinstance(each, str) for each in usage):
        raise _malformed("keyUsage")
    state = _text(answer, "keyStatus")
    if state not in ("ENABLED", "DISABLED"):
        raise _malformed("keyStatus")
    return ExternalKey(_text(answer, "keySpec"), tuple(usage), state)


def read_encrypted(status: int, body: bytes, plaintext: bytes, aad: bytes) -> Layer:
    """What Encrypt answered, held against its data integrity value."""
    answer = _answer(status, body)
    layer = Layer(
        _bytes(answer, "ciphertext"),
        _bytes(answer, "initializationVector"),
        _bytes(answer, "authenticationTag"),
        _bytes(answer, "ciphertextMetadata") if answer.get("ciphertextMetadata") is not None else b"",
    )
    if len(layer.ciphertext) != len(plaintext):
        raise _malformed("ciphertext")
    if len(layer.nonce) not in (12, 16) or len(layer.tag) != 16 or len(layer.metadata) > _MOST_METADATA:
        raise _malformed("the length of a member")
    whole = aad + layer.metadata + layer.nonce + layer.ciphertext + layer.tag
    if _bytes(answer, "ciphertextDataIntegrityValue") != sha256(whole).digest():
        raise _malformed("ciphertextDataIntegrityValue")
    return layer


def read_decrypted(status: int, body: bytes, ciphertext: bytes) -> bytes:
    """What Decrypt answered."""
    plaintext = _bytes(_answer(status, body), "plaintext")
    if len(plaintext) != len(ciphertext):
        raise _malformed("plaintext")
    return plaintext


def _answer(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise _malformed(f"status {status}, no JSON") from None
    if not isinstance(answer, dict):
        raise _malformed(f"status {status}, no object")
    if status == 200:
        return answer
    name = answer.get("errorName")
    expected, failure = _FAILURES.get(name, (0, Failure.MALFORMED)) if isinstance(name, str) else (0, None)
    if failure is None or expected != status:
        raise _malformed(f"status {status}, error {str(name)[:64]!r}")
    text = answer.get("errorMessage")
    raise KeyStoreError(failure, repr(text[:512]) if isinstance(text, str) else "")


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise _malformed(name)
    return value


def _bytes(answer: Mapping[str, Any], name: str) -> bytes:
    try:
        return b64decode(_text(answer, name), validate=True)
    except ValueError:
        raise _malformed(name) from None


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _malformed(what: str) -> KeyStoreError:
    return KeyStoreError(Failure.MALFORMED, what)
