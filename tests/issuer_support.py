"""A CI system's OpenID Connect issuer: it signs tokens, and publishes its keys by HTTPS or as a file."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

AUDIENCE = "sts.amazonaws.com"


class Issuer:
    """url: as its tokens name it. Its first key is RSA of 2,048 bits with the id "one", its second P-256, "two"."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Any] = {
            "one": rsa.generate_private_key(65537, 2048),
            "two": ec.generate_private_key(ec.SECP256R1()),
        }

    @property
    def key_set(self) -> dict[str, Any]:
        """Its JWK set."""
        rows = []
        for name, key in self.keys.items():
            algorithm = self.algorithm(name)
            kind: Any = jwt.algorithms.RSAAlgorithm if algorithm == "RS256" else jwt.algorithms.ECAlgorithm
            row = json.loads(kind.to_jwk(key.public_key()))
            rows.append({**row, "kid": name, "use": "sig", "alg": algorithm})
        return {"keys": rows}

    def algorithm(self, key: str) -> str:
        return "RS256" if isinstance(self.keys[key], rsa.RSAPrivateKey) else "ES256"

    def claims(self, **more: Any) -> dict[str, Any]:
        """A CI job's, as GitHub's are. A claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 300,
            "repository": "octo-org/octo-repo",
            "ref": "refs/heads/main",
            "repository_id": "74",
            "run_attempt": 1,
            "jti": "example-id",
            **more,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key: str = "one", *, header: Any = None, **more: Any) -> str:
        headers = {"kid": key, **(header or {})}
        body = json.dumps(self.claims(**more)).encode()
        return jwt.PyJWS().encode(body, self.keys[key], self.algorithm(key), headers=headers)


class Certificate:
    """A self-signed certificate for "localhost", in files."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.file = folder / "certificate.pem"
        self.key_file = folder / "key.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.thumbprint = sha1(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


class Published:
    """An issuer that runs. asked: the paths that were asked for; answers: what stands at a path in place of the
    usual."""

    def __init__(self, issuer: Issuer, certificate: Certificate) -> None:
        self.issuer = issuer
        self.certificate = certificate
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            document = {"issuer": self.issuer.url, "jwks_uri": f"{self.issuer.url}/keys"}
            return 200, json.dumps(document).encode()
        if path == "/keys":
            return 200, json.dumps(self.issuer.key_set).encode()
        return 404, b"{}"


@contextmanager
def published(folder: Path) -> Iterator[Published]:
    """An issuer at https://localhost, on a free port."""
    certificate = Certificate(folder)
    running: Published

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = running.answer(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    running = Published(Issuer(f"https://localhost:{server.server_address[1]}"), certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
