"""The proxy of an external key store: its four operations.

Source: "AWS KMS External Key Store Proxy API Specification".
"""

from __future__ import annotations

import time

from casemate.engine.keystore import xks_messages as messages
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.https import Sender
from casemate.engine.keystore.signing import Credential, signed_headers
from casemate.engine.keystore.xks_messages import ExternalKey, Layer, Metadata


class Proxy:
    """Speaks to the API under one path of a proxy. name: the proxy's host name; region: which the requests are signed
    for. All methods raise KeyStoreError."""

    def __init__(self, send: Sender, name: str, path: str, credential: Credential, region: str) -> None:
        self._send = send
        self._name = name
        self._path = path
        self._credential = credential
        self._region = region

    def health(self, metadata: Metadata) -> None:
        """Return if the proxy and an external key manager can be used."""
        messages.read_health(*self._post("health", messages.plain_request(metadata)))

    def key(self, key_id: str, metadata: Metadata) -> ExternalKey:
        """What there is to know of an external key."""
        return messages.read_key(*self._post(_key(key_id, "metadata"), messages.plain_request(metadata)))

    def encrypt(self, key_id: str, metadata: Metadata, plaintext: bytes, aad: bytes) -> Layer:
        """The plaintext under the external key."""
        request = messages.encrypt_request(metadata, plaintext, aad)
        status, body = self._post(_key(key_id, "encrypt"), request)
        return messages.read_encrypted(status, body, plaintext, aad)

    def decrypt(self, key_id: str, metadata: Metadata, layer: Layer, aad: bytes) -> bytes:
        """The plaintext again."""
        request = messages.decrypt_request(metadata, layer, aad)
        status, body = self._post(_key(key_id, "decrypt"), request)
        return messages.read_decrypted(status, body, layer.ciphertext)

    def _post(self, end: str, body: bytes) -> tuple[int, bytes]:
        path = f"{self._path}/{end}"
        # The proxy holds it against its own clock, which knows nothing of an injected one.
        headers = signed_headers(self._credential, self._region, self._name, path, body, time.time())
        return self._send(path, headers, body)


def _key(key_id: str, operation: str) -> str:
    if key_id in (".", ".."):
        # In a URI they would not name a key.
        raise KeyStoreError(Failure.KEY_NOT_FOUND, "no key has this id")
    return f"keys/{key_id}/{operation}"
