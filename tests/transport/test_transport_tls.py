"""TLS: the authority and certificate of our own, and what goes over them."""

from __future__ import annotations

import asyncio
import datetime
import http.client
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from transport_support import (
    HOST,
    Running,
    SampleApplication,
    ask,
    eventually,
    read_answer,
    serving,
    statuses,
)

from casemate.server import tls
from casemate.server.listeners import bind, serve
from casemate.server.transport_limits import Limits


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data") / "tls"
    tls.own_certificate(directory, ["*.casemate.test"])
    return directory


@pytest.fixture
def server(directory: Path) -> Iterator[Running]:
    context = tls.server_context(directory / "server.pem", directory / "server.key")
    limits = Limits(sweep=0.05, handshake_time=1.0, linger_time=0.5)
    with serving(limits, tls=context) as running:
        yield running


def client_context(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(directory / "ca.pem"))


def connect(
    server: Running, directory: Path, name: str = "localhost", context: ssl.SSLContext | None = None
) -> ssl.SSLSocket:
    return (context or client_context(directory)).wrap_socket(server.connect(), server_hostname=name)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "kms.casemate.test", socket.gethostname()])
def test_the_certificate_is_good_for_its_names(server: Running, directory: Path, name: str) -> None:
    with connect(server, directory, name) as connection:
        connection.sendall(b"GET /tls HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = read_answer(connection)
    assert answer.body.startswith(b"Tls(version='TLSv1.3', cipher='TLS_")


def test_the_certificate_is_not_good_for_other_names(server: Running, directory: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server, directory, "example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server, directory, context=ssl.create_default_context())


def test_tls_1_2(server: Running, directory: Path) -> None:
    context = client_context(directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(server, directory, context=context) as connection:
        connection.sendall(b"GET /tls HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_answer(connection).body.startswith(b"Tls(version='TLSv1.2', cipher='ECDHE-")


def test_old_tls_and_weak_ciphers_are_refused(server: Running, directory: Path) -> None:
    context = client_context(directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA256:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(server, directory, context=context)
    assert tls.server_context(directory / "server.pem", directory / "server.key").minimum_version >= (
        ssl.TLSVersion.TLSv1_2
    )


def test_streams_over_tls(server: Running, directory: Path) -> None:
    client = http.client.HTTPSConnection(
        "localhost", server.port, timeout=20, context=client_context(directory)
    )
    client.request("GET", "/stream/source?size=5000000")
    assert len(client.getresponse().read()) == 5_000_000
    server.app.read_bytes = 0
    client.request("PUT", "/stream/count", body=bytes(5_000_000))
    assert client.getresponse().read() == b"5000000"
    client.request("GET", "/x", headers={"Connection": "close"})
    assert client.getresponse().status == 200
    client.close()
    eventually(lambda: server.counters.connections == 0, "it was closed")


def test_a_refusal_over_tls_arrives(server: Running, directory: Path) -> None:
    with connect(server, directory) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_answer(connection).status == 400
        assert connection.recv(10) == b""


def test_plain_http_on_the_tls_port_does_not_hang(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        try:
            while connection.recv(1000):
                pass
        except ConnectionResetError:
            pass


def test_a_client_that_does_not_shake_hands_is_closed(server: Running) -> None:
    with server.connect() as connection:
        assert connection.recv(1) == b""


def test_tls_on_the_plain_port_is_refused(directory: Path) -> None:
    with serving() as plain:
        with pytest.raises(ssl.SSLError):
            connect(plain, directory)
        assert statuses(ask(plain.port, b"\x16\x03\x01\x00\x05")) == [400]


def test_serving_tls_needs_a_context() -> None:
    async def main() -> None:
        with bind("127.0.0.1", 0) as listener, pytest.raises(ValueError, match="TLS context"):
            await serve(SampleApplication(), [], [listener], stop=asyncio.Event())

    asyncio.run(main())


def test_the_files(directory: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600, "server.key": 0o600}
    certificate = x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime <= datetime.timedelta(days=398)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "*.localhost" in names.get_values_for_type(x509.DNSName)
    authority = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_certificate_is_kept_while_it_is_good(tmp_path: Path) -> None:
    tls.own_certificate(tmp_path, ["a.test"])
    before = contents(tmp_path)
    tls.own_certificate(tmp_path, ["A.test "])
    assert contents(tmp_path) == before


def test_new_names_renew_the_certificate_and_keep_the_authority(tmp_path: Path) -> None:
    tls.own_certificate(tmp_path)
    before = contents(tmp_path)
    certificate, _ = tls.own_certificate(tmp_path, ["other.test", "192.0.2.7"])
    after = contents(tmp_path)
    assert after["ca.pem"] == before["ca.pem"]
    assert after["server.pem"] != before["server.pem"]
    names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "other.test" in names.value.get_values_for_type(x509.DNSName)
    assert "192.0.2.7" in map(str, names.value.get_values_for_type(x509.IPAddress))


@pytest.mark.parametrize("damage", ["remove key", "remove certificate", "other key", "broken certificate"])
def test_a_damaged_pair_is_made_anew(tmp_path: Path, damage: str) -> None:
    certificate, key = tls.own_certificate(tmp_path)
    before = contents(tmp_path)
    if damage == "remove key":
        key.unlink()
    elif damage == "remove certificate":
        certificate.unlink()
    elif damage == "other key":
        key.write_bytes((tmp_path / "ca.key").read_bytes())
    else:
        certificate.write_bytes(certificate.read_bytes()[:-200])
    tls.server_context(*tls.own_certificate(tmp_path))
    assert contents(tmp_path)["ca.pem"] == before["ca.pem"], "clients need no new authority"


def test_a_certificate_near_its_end_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "SERVER_DAYS", tls.RENEW_DAYS - 1)
    tls.own_certificate(tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(tls, "SERVER_DAYS", 397)
    tls.own_certificate(tmp_path)
    after = contents(tmp_path)
    assert after["server.pem"] != before["server.pem"]
    assert after["ca.pem"] == before["ca.pem"]


def test_an_authority_near_its_end_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "CA_DAYS", tls.RENEW_DAYS - 1)
    tls.own_certificate(tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(tls, "CA_DAYS", 3650)
    tls.own_certificate(tmp_path)
    assert contents(tmp_path)["ca.pem"] != before["ca.pem"]


def test_an_authority_without_its_key_is_not_replaced_silently(tmp_path: Path) -> None:
    tls.own_certificate(tmp_path)
    (tmp_path / "ca.key").unlink()
    tls.own_certificate(tmp_path)
    with pytest.raises(ValueError, match=r"ca\.key is missing"):
        tls.own_certificate(tmp_path, ["new.test"])
    (tmp_path / "ca.key").write_bytes((tmp_path / "server.key").read_bytes())
    with pytest.raises(ValueError, match="is not the key of"):
        tls.own_certificate(tmp_path, ["new.test"])


@pytest.mark.parametrize("name", ["", "a b", "a..b", "*.*.test", "ä.test", "a/b", "x" * 64])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        tls.own_certificate(tmp_path, [name])
    assert not os.listdir(tmp_path)


def test_an_operators_certificate(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("own.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with serving(tls=tls.server_context(tmp_path / "c.pem", tmp_path / "k.pem")) as server:
        context = ssl.create_default_context(cafile=str(tmp_path / "c.pem"))
        with connect(server, tmp_path, "own.test", context) as connection:
            connection.sendall(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")
            assert read_answer(connection).status == 200
    with pytest.raises((OSError, ssl.SSLError)):
        tls.server_context(tmp_path / "missing.pem", tmp_path / "k.pem")
    with pytest.raises(ssl.SSLError):
        tls.server_context(tmp_path / "k.pem", tmp_path / "c.pem")
