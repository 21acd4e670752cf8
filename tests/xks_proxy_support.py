"""An external key store proxy with its key manager, as the published specification wants it, for tests.

It speaks HTTPS, verifies each request's signature by botocore's signer, keeps the statuses and error names of the
specification, and does as it is told to fail.
"""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from casemate.server.tls import own_certificate

HOST = "xks.casemate.test"
ENDPOINT = f"https://{HOST}"
PATH = "/tenant-1/kms/xks/v1"
ACCESS_KEY_ID = "AKXKSPROXYCREDENTIAL2345"
SECRET = "c2VjcmV0LW9mLXRoZS1wcm94eS10aGF0LWlzLWxvbmctZW5vdWdo"
CREDENTIAL = {"AccessKeyId": ACCESS_KEY_ID, "RawSecretAccessKey": SECRET}

_STATUSES = {
    "ValidationException": 400,
    "InvalidStateException": 400,
    "InvalidCiphertextException": 400,
    "InvalidKeyUsageException": 400,
    "AuthenticationFailedException": 401,
    "AccessDeniedException": 403,
    "KeyNotFoundException": 404,
    "InvalidUriPathException": 404,
    "ThrottlingException": 429,
    "InternalException": 500,
    "UnsupportedOperationException": 501,
    "DependencyTimeoutException": 503,
}
ERRORS = tuple(_STATUSES)
_METADATA = b"key_version=1"

Answer = tuple[int, bytes]


class Refusal(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class ExternalKey:
    material: bytes = field(default_factory=lambda: os.urandom(32))
    spec: str = "AES_256"
    usage: tuple[str, ...] = ("ENCRYPT", "DECRYPT")
    status: str = "ENABLED"


@dataclass
class XksProxy:
    """folder: where its certificate and the authority's (``ca.pem``) are; fails: called with path and request before
    anything else, what it gives is the answer; seen: the path and request of each call; connections: how many came.
    """

    folder: Path
    credentials: dict[str, str] = field(default_factory=lambda: {ACCESS_KEY_ID: SECRET})
    keys: dict[str, ExternalKey] = field(default_factory=dict)
    health: tuple[str, ...] = ("ACTIVE",)
    fails: Callable[[str, dict[str, Any]], Answer | None] | None = None
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.pem")

    def new_key(self, **more: Any) -> str:
        name = f"key.{os.urandom(6).hex()}_{len(self.keys)}"
        self.keys[name] = ExternalKey(**more)
        return name

    @contextmanager
    def refusing(self, name: str, message: str = "for a reason") -> Iterator[None]:
        with self.answering(_STATUSES[name], {"errorName": name, "errorMessage": message}):
            yield

    @contextmanager
    def answering(self, status: int, body: Any) -> Iterator[None]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.failing(lambda path, request: (status, raw)):
            yield

    @contextmanager
    def failing(self, how: Callable[[str, dict[str, Any]], Answer | None]) -> Iterator[None]:
        before, self.fails = self.fails, how
        try:
            yield
        finally:
            self.fails = before

    # --- the operations

    def answer(self, path: str, headers: Any, body: bytes) -> Answer:
        try:
            self._authenticate(path, headers, body)
            request = json.loads(body)
            self.seen.append((path, request))
            failed = self.fails(path, request) if self.fails else None
            if failed is not None:
                return failed
            return 200, json.dumps(self._serve(path, request)).encode()
        except Refusal as refusal:
            return _STATUSES[refusal.name], json.dumps({"errorName": refusal.name}).encode()

    def _authenticate(self, path: str, headers: Any, body: bytes) -> None:
        given = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([A-Z2-7]+)/(\d{8})/([a-z0-9-]+)/kms-xks-proxy/aws4_request, "
            r"SignedHeaders=host;x-amz-date, Signature=([0-9a-f]{64})",
            headers["Authorization"] or "",
        )
        moment = headers["X-Amz-Date"] or ""
        if given is None or given[1] not in self.credentials or not moment.startswith(given[2]):
            raise Refusal("AuthenticationFailedException")
        when = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(when.timestamp() - time.time()) > 300 or headers["Content-Type"] != "application/json":
            raise Refusal("AuthenticationFailedException")
        signed = AWSRequest(
            "POST", f"https://{headers['Host']}{path}", headers={"X-Amz-Date": moment}, data=body
        )
        signed.context["timestamp"] = moment
        signer = SigV4Auth(Credentials(given[1], self.credentials[given[1]]), "kms-xks-proxy", given[3])
        to_sign = signer.string_to_sign(signed, signer.canonical_request(signed))
        if signer.signature(to_sign, signed) != given[4]:
            raise Refusal("AuthenticationFailedException")

    def _serve(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        if not path.startswith(PATH + "/"):
            raise Refusal("InvalidUriPathException")
        metadata = request["requestMetadata"]
        if not metadata["kmsRequestId"] or not metadata["kmsOperation"]:
            raise Refusal("ValidationException")
        rest = path[len(PATH) + 1 :].split("/")
        if rest == ["health"]:
            return {
                "xksProxyFleetSize": 1,
                "xksProxyVendor": "Tests",
                "xksProxyModel": "Tests 1.0",
                "ekmVendor": "Tests",
                "ekmFleetDetails": [
                    {"id": f"hsm-{number}", "model": "Tests", "healthStatus": status}
                    for number, status in enumerate(self.health)
                ],
            }
        if len(rest) != 3 or rest[0] != "keys" or rest[2] not in ("metadata", "encrypt", "decrypt"):
            raise Refusal("InvalidUriPathException")
        key = self.keys.get(rest[1])
        if key is None:
            raise Refusal("KeyNotFoundException")
        if rest[2] == "metadata":
            return {"keySpec": key.spec, "keyUsage": list(key.usage), "keyStatus": key.status}
        if key.status != "ENABLED":
            raise Refusal("InvalidStateException")
        if rest[2].upper() not in key.usage:
            raise Refusal("InvalidKeyUsageException")
        if request["encryptionAlgorithm"] != "AES_GCM" or not metadata["kmsKeyArn"]:
            raise Refusal("ValidationException")
        return self._encrypt(key, request) if rest[2] == "encrypt" else self._decrypt(key, request)

    def _encrypt(self, key: ExternalKey, request: dict[str, Any]) -> dict[str, Any]:
        aad, plaintext = _decoded(request, "additionalAuthenticatedData"), _decoded(request, "plaintext")
        if len(plaintext) > 4300 or len(aad) > 8192:
            raise Refusal("UnsupportedOperationException")
        nonce = os.urandom(12)
        sealed = AESGCM(key.material).encrypt(nonce, plaintext, _inside(aad, _METADATA))
        ciphertext, tag = sealed[:-16], sealed[-16:]
        answer = {
            "ciphertext": _encoded(ciphertext),
            "ciphertextMetadata": _encoded(_METADATA),
            "initializationVector": _encoded(nonce),
            "authenticationTag": _encoded(tag),
        }
        if "ciphertextDataIntegrityValueAlgorithm" in request:
            whole = sha256(aad + _METADATA + nonce + ciphertext + tag)
            answer["ciphertextDataIntegrityValue"] = _encoded(whole.digest())
        return answer

    def _decrypt(self, key: ExternalKey, request: dict[str, Any]) -> dict[str, Any]:
        sealed = _decoded(request, "ciphertext") + _decoded(request, "authenticationTag")
        aad = _inside(
            _decoded(request, "additionalAuthenticatedData"), _decoded(request, "ciphertextMetadata")
        )
        try:
            plaintext = AESGCM(key.material).decrypt(_decoded(request, "initializationVector"), sealed, aad)
        except (InvalidTag, ValueError):
            raise Refusal("InvalidCiphertextException") from None
        return {"plaintext": _encoded(plaintext)}


def _decoded(request: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(request.get(name, ""), validate=True)


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _inside(aad: bytes, metadata: bytes) -> bytes:
    """What the key manager authenticates."""
    return struct.pack(">H", len(aad)) + aad + struct.pack(">B", len(metadata)) + metadata


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are part of the tests."""


@contextmanager
def xks_proxy(folder: Path, client_authority: Path | None = None) -> Iterator[XksProxy]:
    """A proxy that runs, on a free port of this machine. client_authority: it takes only clients with certificates
    by this one."""
    own_certificate(folder, [HOST])
    proxy = XksProxy(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            proxy.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = proxy.answer(self.path, self.headers, body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", self.path)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self.send_error(405)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    proxy.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
