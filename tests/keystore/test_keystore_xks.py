"""The client of external key store proxies against a proxy that follows the specification, over real HTTPS."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from xks_proxy_support import ACCESS_KEY_ID, ERRORS, HOST, PATH, SECRET, XksProxy, xks_proxy

from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import BackingKey, read_header, seal_message
from casemate.engine.keystore import xks_messages
from casemate.engine.keystore.blobs import open_twice, seal_twice
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.https import Connections, Endpoint
from casemate.engine.keystore.signing import Credential, signed_headers
from casemate.engine.keystore.xks import Proxy
from casemate.engine.keystore.xks_messages import Layer

REGION = "eu-central-1"
ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
METADATA = {
    "awsPrincipalArn": "arn:aws:iam::111122223333:user/Alice",
    "kmsKeyArn": ARN,
    "kmsOperation": "Encrypt",
    "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XksProxy]:
    with xks_proxy(tmp_path_factory.mktemp("proxy") / "tls") as running:
        yield running


def endpoint_of(proxy: XksProxy, **more: Any) -> Endpoint:
    return Endpoint(
        **{"name": HOST, "host": "127.0.0.1", "port": proxy.port, "authorities": proxy.ca, **more}
    )


@pytest.fixture
def connections(proxy: XksProxy) -> Iterator[Connections]:
    made = Connections(endpoint_of(proxy), 10)
    yield made
    made.close()


def client(send: Any, path: str = PATH, secret: str = SECRET) -> Proxy:
    return Proxy(send, HOST, path, Credential(ACCESS_KEY_ID, secret), REGION)


def failure(wanted: Failure) -> Any:
    return pytest.raises(KeyStoreError, match=f"^{wanted.name}")


# --- signing


@given(path=st.from_regex(r"(/[a-zA-Z0-9_-]{1,12}){1,4}", fullmatch=True), body=st.binary(max_size=300))
def test_signatures_are_those_of_botocore(path: str, body: bytes) -> None:
    headers = signed_headers(Credential(ACCESS_KEY_ID, SECRET), REGION, HOST, path, body, 1_700_000_000.4)
    signed = AWSRequest(
        "POST", f"https://{HOST}{path}", headers={"X-Amz-Date": headers["X-Amz-Date"]}, data=body
    )
    signed.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET), "kms-xks-proxy", REGION)
    signature = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    assert headers["Authorization"].endswith(f"SignedHeaders=host;x-amz-date, Signature={signature}")
    assert (
        f"Credential={ACCESS_KEY_ID}/20231114/{REGION}/kms-xks-proxy/aws4_request,"
        in headers["Authorization"]
    )


def test_a_credential_signs_for_each_day_and_region_anew_and_shows_no_secret() -> None:
    credential = Credential(ACCESS_KEY_ID, SECRET)
    signatures = {
        credential.sign(day, region, "x") for day in ("20250101", "20250102") for region in ("a", "b")
    }
    assert len(signatures) == 4
    assert credential.sign("20250101", "a", "x") in signatures
    assert SECRET not in repr(credential)


# --- the operations


def test_health_key_encrypt_and_decrypt(proxy: XksProxy, connections: Connections) -> None:
    xks = client(connections)
    name = proxy.new_key()
    xks.health({"kmsOperation": "ConnectCustomKeyStore", "kmsRequestId": "1"})
    assert xks.key(name, METADATA) == ("AES_256", ("ENCRYPT", "DECRYPT"), "ENABLED")
    layer = xks.encrypt(name, METADATA, b"plain", b"aad")
    assert layer.ciphertext != b"plain"
    assert xks.decrypt(name, METADATA, layer, b"aad") == b"plain"
    assert proxy.seen[-1][1]["requestMetadata"] == METADATA
    with failure(Failure.INVALID_CIPHERTEXT):
        xks.decrypt(name, METADATA, layer, b"another")
    with failure(Failure.INVALID_CIPHERTEXT):
        xks.decrypt(name, METADATA, layer._replace(metadata=b"key_version=2"), b"aad")


def test_the_specifications_example_is_read_and_one_flipped_bit_is_noticed() -> None:
    aad = b"project=nile,department=marketing"
    example = {
        "authenticationTag": "vBxN2ncH1oEkR8WVXpmyYQ==",
        "ciphertext": "ghxkK1txeDNn3q8Y",
        "ciphertextDataIntegrityValue": "qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=",
        "ciphertextMetadata": "a2V5X3ZlcnNpb249MQ==",
        "initializationVector": "HMrlRw85cAJUd5Ax",
    }

    def read(**changed: str) -> Layer:
        body = json.dumps({**example, **changed}).encode()
        return xks_messages.read_encrypted(200, body, b"Hello World!", aad)

    assert read().metadata == b"key_version=1"
    with failure(Failure.MALFORMED):
        read(ciphertext="ghxkK1txeDNn3q8Z")
    with failure(Failure.MALFORMED):
        read(initializationVector=base64.b64encode(bytes(13)).decode())
    with failure(Failure.MALFORMED):
        read(ciphertextMetadata=base64.b64encode(bytes(21)).decode())


def test_connections_stay_open_and_one_that_the_proxy_closed_is_made_anew(
    proxy: XksProxy, connections: Connections
) -> None:
    xks = client(connections)
    name = proxy.new_key()
    before = proxy.connections
    for _ in range(5):
        xks.key(name, METADATA)
    assert proxy.connections == before + 1
    (kept,) = connections._idle
    kept.sock.shutdown(socket.SHUT_RDWR)
    assert xks.key(name, METADATA).status == "ENABLED"
    assert proxy.connections == before + 2


# --- what goes wrong


@pytest.mark.parametrize("name", ERRORS)
def test_a_proxys_errors_are_told_apart(proxy: XksProxy, connections: Connections, name: str) -> None:
    key = proxy.new_key()
    with proxy.refusing(name), pytest.raises(KeyStoreError) as caught:
        client(connections).encrypt(key, METADATA, b"plain", b"")
    assert caught.value.failure.name.replace("_", "").lower() == name.removesuffix("Exception").lower()
    assert caught.value.detail == "'for a reason'"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"\xff"),
        (200, b"[" * 60_000),
        (200, b" " * 70_000),
        (200, {"keySpec": "AES_256", "keyUsage": "ENCRYPT", "keyStatus": "ENABLED"}),
        (200, {"keySpec": "AES_256", "keyUsage": ["X"] * 11, "keyStatus": "ENABLED"}),
        (200, {"keySpec": "AES_256", "keyUsage": [1], "keyStatus": "ENABLED"}),
        (200, {"keySpec": "AES_256", "keyUsage": [], "keyStatus": "PENDING"}),
        (302, {"keySpec": "AES_256", "keyUsage": [], "keyStatus": "ENABLED"}),
        (400, {"errorName": "Whatever"}),
        (400, {"errorName": ["ValidationException"]}),
        (404, {"errorName": "ValidationException"}),
        (500, b"<html>"),
    ],
)
def test_what_is_no_answer_of_the_specification_is_malformed(
    proxy: XksProxy, connections: Connections, status: int, body: Any
) -> None:
    seen = len(proxy.seen)
    with proxy.answering(status, body), failure(Failure.MALFORMED):
        client(connections).key(proxy.new_key(), METADATA)
    assert len(proxy.seen) == seen + 1, "nothing is asked twice, no redirect followed"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"xksProxyFleetSize": 0}, Failure.MALFORMED),
        ({"xksProxyFleetSize": True}, Failure.MALFORMED),
        ({"ekmVendor": None}, Failure.MALFORMED),
        ({"ekmFleetDetails": []}, Failure.MALFORMED),
        ({"ekmFleetDetails": ["hsm"]}, Failure.MALFORMED),
        ({"ekmFleetDetails": [{"id": "1", "model": "m", "healthStatus": "FINE"}]}, Failure.MALFORMED),
        ({"ekmFleetDetails": [{"id": "1", "model": "m", "healthStatus": "UNAVAILABLE"}]}, Failure.UNHEALTHY),
    ],
)
def test_health_is_read_strictly(change: dict[str, Any], wanted: Failure) -> None:
    manager = {"id": "1", "model": "m", "healthStatus": "UNAVAILABLE"}
    good = {
        "xksProxyFleetSize": 2,
        "xksProxyVendor": "v",
        "xksProxyModel": "m",
        "ekmVendor": "e",
        "ekmFleetDetails": [manager, {**manager, "healthStatus": "DEGRADED"}],
    }
    xks_messages.read_health(200, json.dumps(good).encode())
    with failure(wanted):
        xks_messages.read_health(200, json.dumps({**good, **change}).encode())


def test_a_wrong_secret_and_a_wrong_path(proxy: XksProxy, connections: Connections) -> None:
    with failure(Failure.AUTHENTICATION_FAILED):
        client(connections, secret="x" * 43).health(METADATA)
    with failure(Failure.INVALID_URI_PATH):
        client(connections, path="/elsewhere/kms/xks/v1").health(METADATA)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_key_id_that_would_lead_elsewhere_in_the_path_is_not_sent(proxy: XksProxy, name: str) -> None:
    def send(*_: object) -> tuple[int, bytes]:
        raise AssertionError("sent")

    with failure(Failure.KEY_NOT_FOUND):
        client(send).key(name, METADATA)


def test_a_proxy_that_is_slow_is_given_up(proxy: XksProxy) -> None:
    done = threading.Event()

    def wait(path: str, request: dict[str, Any]) -> None:
        done.wait(30)

    connections = Connections(endpoint_of(proxy), 0.5)
    try:
        with proxy.failing(wait), failure(Failure.TIMEOUT):
            client(connections).health(METADATA)
    finally:
        done.set()
    assert not connections._idle


def test_a_proxy_that_drips_is_given_up_at_the_same_time(proxy: XksProxy) -> None:
    """Each byte comes soon enough, all of them do not."""
    import ssl

    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(proxy.folder / "server.pem", proxy.folder / "server.key")
    gone = threading.Event()

    def drip() -> None:
        raw, _ = listener.accept()
        with context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(65536)
            try:
                while not gone.wait(0.05):
                    connection.send(b"H")
            except OSError:
                gone.set()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    connections = Connections(endpoint_of(proxy, port=listener.getsockname()[1]), 0.5)
    try:
        with failure(Failure.TIMEOUT):
            client(connections).health(METADATA)
    finally:
        gone.set()
        thread.join()
        listener.close()


def test_nobody_there_another_name_another_authority_and_no_tls(proxy: XksProxy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with failure(Failure.UNREACHABLE):
        client(Connections(endpoint_of(proxy, port=port), 5)).health(METADATA)
    with failure(Failure.TLS):
        client(Connections(endpoint_of(proxy, name="other.test"), 5)).health(METADATA)
    with failure(Failure.TLS):
        client(Connections(endpoint_of(proxy, authorities=""), 5)).health(METADATA)


def test_a_proxy_that_asks_for_a_certificate_is_shown_the_configured_one(tmp_path: Path) -> None:
    certificate, key = client_certificate(tmp_path)
    with xks_proxy(tmp_path / "tls", certificate) as proxy:
        shown = {"client_certificate": str(certificate), "client_key": str(key)}
        with closing(Connections(endpoint_of(proxy, **shown), 10)) as connections:
            client(connections).health(METADATA)
        with pytest.raises(KeyStoreError):
            client(Connections(endpoint_of(proxy), 10)).health(METADATA)
        assert len(proxy.seen) == 1


def client_certificate(folder: Path) -> tuple[Path, Path]:
    """One that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cks.kms.us-east-1.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "client.pem", folder / "client.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


# --- blobs


def test_a_message_is_sealed_twice_and_needs_both_keys(proxy: XksProxy, connections: Connections) -> None:
    xks = client(connections)
    name = proxy.new_key()
    key = BackingKey("material-1", os.urandom(32))
    context = {"a": "b" * 8000}
    blob = seal_twice(
        key, ARN, b"p" * 4096, context, lambda text, aad: xks.encrypt(name, METADATA, text, aad)
    )
    sent = base64.b64decode(proxy.seen[-1][1]["plaintext"])
    assert b"pppp" not in sent
    assert len(sent) == 4096 + 16
    header = read_header(blob)
    assert (header.key_arn, header.backing_id) == (ARN, "material-1")

    def opened(blob: bytes, context: dict[str, str] = context, with_key: BackingKey = key) -> bytes:
        return open_twice(with_key, blob, context, lambda layer, aad: xks.decrypt(name, METADATA, layer, aad))

    assert opened(blob) == b"p" * 4096
    with failure(Failure.INVALID_CIPHERTEXT):
        opened(blob, {"a": "c"})
    with pytest.raises(BadCiphertext):
        opened(blob, with_key=BackingKey("material-1", os.urandom(32)))
    for at in (5, 30, 60, header.length, header.length + 1, header.length + 3, len(blob) - 1):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises((KeyStoreError, BadCiphertext)):
            opened(changed)
    with pytest.raises(BadCiphertext):
        opened(blob[: header.length + 17])
    with pytest.raises(BadCiphertext):
        opened(seal_message(key, ARN, b"ours alone", {}))
