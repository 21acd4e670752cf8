"""TLS: the server's own certificate authority, made at the first start, or the operator's certificate.

The files of our own, in DATA/tls: ``ca.pem`` (hand it to clients: ``AWS_CA_BUNDLE``, ``--ca-bundle``),
``ca.key``, ``server.pem``, ``server.key``; all but the first are 0600. ``cryptography`` is imported only when
something must be made, because its X.509 module costs a start more than 100 ms.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA_DAYS = 3650
SERVER_DAYS = 397
"""The longest that browsers take."""
RENEW_DAYS = 30
"""A server certificate that ends within so many days is made anew at the next start."""

_DAY = 86400
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later by this certificate (PEM, with its chain). Raises OSError and ssl.SSLError (a kind of it)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


def own_certificate(directory: Path, names: Sequence[str] = ()) -> tuple[Path, Path]:
    """The paths of a server certificate of our own authority and of its key, made or renewed as needed.

    It is good for localhost, ``*.localhost``, 127.0.0.1, ::1, this machine's name, and ``names`` (host names,
    with or without a leading ``*.``, and IP addresses). Raises OSError, and ValueError for a bad name.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = _all_names(names)
    certificate, key = directory / "server.pem", directory / "server.key"
    if not _is_good(certificate, key, directory / "ca.pem", wanted):
        authority, authority_key = _authority(directory)
        _issue(certificate, key, authority, authority_key, wanted)
    return certificate, key


def _all_names(names: Sequence[str]) -> list[str]:
    wanted = ["localhost", "*.localhost", "*.s3.localhost", "127.0.0.1", "::1"]
    for name in (socket.gethostname(), *names):
        name = name.strip().lower()
        address = _address(name)
        if address is not None:
            name = str(address)
        else:
            labels = name.removeprefix("*.").split(".")
            if len(name) > 253 or not all(
                label
                and len(label) < 64
                and label.isascii()
                and label.replace("-", "").replace("_", "").isalnum()
                for label in labels
            ):
                raise ValueError(f"{name!r} is not a host name for a certificate.")
        if name not in wanted:
            wanted.append(name)
    return wanted


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_good(certificate: Path, key: Path, authority: Path, wanted: list[str]) -> bool:
    """Whether the files are there, belong together, cover the names and last. Without ``cryptography``: what must
    be known stands in the text that PEM allows before a certificate."""
    if not (certificate.exists() and key.exists() and authority.exists()):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError:
        return False
    facts: dict[str, str] = {}
    for line in certificate.read_text("ascii").splitlines()[:3]:
        name, _, value = line.partition(": ")
        facts[name] = value
    return (
        facts.get("Names") == " ".join(wanted)
        and facts.get("Authority") == _fingerprint(authority.read_bytes())
        and float(facts.get("Not-After", 0)) > time.time() + RENEW_DAYS * _DAY
    )


def _fingerprint(authority: bytes) -> str:
    return hashlib.sha256(authority).hexdigest()


def _authority(directory: Path) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    """The certificate authority in ``directory``, made when there is none or it is about to end."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    path, key_path = directory / "ca.pem", directory / "ca.key"
    if path.exists():
        authority = x509.load_pem_x509_certificate(path.read_bytes())
        if authority.not_valid_after_utc.timestamp() > time.time() + RENEW_DAYS * _DAY:
            if not key_path.exists():
                raise ValueError(
                    f"A server certificate must be made, but {key_path} is missing. Put it back, or remove {path} "
                    "to have a new authority made (clients must then be given the new one)."
                )
            loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
            if (
                not isinstance(loaded, ec.EllipticCurvePrivateKey)
                or loaded.public_key() != authority.public_key()
            ):
                raise ValueError(f"{key_path} is not the key of {path}.")
            return authority, loaded

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    made = f"Casemate authority {socket.gethostname()[:40]} {x509.random_serial_number() % 2**32:08x}"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, made)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    now = datetime.now(UTC)
    authority = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _private_pem(key))
    _write(path, authority.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o644)
    return authority, key


def _issue(
    path: Path,
    key_path: Path,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    wanted: list[str],
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    addresses = {name: _address(name) for name in wanted}
    now = datetime.now(UTC)
    end = min(now + timedelta(days=SERVER_DAYS), authority.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName(name) if address is None else x509.IPAddress(address)
                    for name, address in addresses.items()
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    encoded_authority = authority.public_bytes(serialization.Encoding.PEM)
    facts = (
        f"Names: {' '.join(wanted)}\n"
        f"Authority: {_fingerprint(encoded_authority)}\n"
        f"Not-After: {end.timestamp():.0f}\n"
    )
    _write(key_path, _private_pem(key))
    _write(
        path, facts.encode("ascii") + certificate.public_bytes(serialization.Encoding.PEM) + encoded_authority
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    """Put a file of mode 0600 in place at once, durably."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
