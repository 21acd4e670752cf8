"""Credential reports and server certificates by a real client."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from iam_support import ACCOUNT, Iam, arn, denied, iam_server, name, pages, tags
from server_support import casemate, refused


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Iam]:
    with iam_server(tmp_path) as running:
        yield running


def test_a_credential_report(fresh: Iam) -> None:
    client = fresh.admin
    with refused("ReportNotPresent", status=410):
        client.get_credential_report()
    user = fresh.user(Path="/team/")
    key = fresh.key(user)
    fresh.client("sts", key, region="eu-west-1").get_caller_identity()
    second = client.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    client.update_access_key(UserName=user, AccessKeyId=second, Status="Inactive")
    client.create_login_profile(UserName=user, Password="a-Long-passw0rd!")
    client.update_account_password_policy(MaxPasswordAge=30)
    client.create_user(UserName="bare")
    assert client.generate_credential_report()["State"] == "STARTED"
    assert client.generate_credential_report()["State"] == "COMPLETE"
    report = client.get_credential_report()
    assert report["ReportFormat"] == "text/csv"
    found = {row["user"]: row for row in csv.DictReader(io.StringIO(report["Content"].decode()))}
    assert list(found) == ["<root_account>", "admin", "bare", user]
    row = found[user]
    assert row["arn"] == arn("user", f"team/{user}")
    created = datetime.fromisoformat(row["user_creation_time"])
    assert created == client.get_user(UserName=user)["User"]["CreateDate"].replace(microsecond=0)
    assert (row["password_enabled"], row["password_last_used"], row["mfa_active"]) == (
        "true",
        "no_information",
        "false",
    )
    changed = datetime.fromisoformat(row["password_last_changed"])
    assert datetime.fromisoformat(row["password_next_rotation"]) == changed + timedelta(days=30)
    assert (row["access_key_1_active"], row["access_key_2_active"]) == ("true", "false")
    assert (row["access_key_1_last_used_region"], row["access_key_1_last_used_service"]) == (
        "eu-west-1",
        "sts",
    )
    assert row["access_key_2_last_used_date"] == "N/A"
    assert (row["cert_1_active"], row["cert_2_last_rotated"]) == ("false", "N/A")
    assert found["bare"]["password_enabled"] == "false"
    assert found["bare"]["access_key_1_last_rotated"] == "N/A"
    root = found["<root_account>"]
    assert (root["arn"], root["password_enabled"]) == (f"arn:aws:iam::{ACCOUNT}:root", "not_supported")
    assert root["access_key_1_active"] == "true"
    assert casemate("clock", "--data", str(fresh.server.data), "--advance", "4h").returncode == 0
    with refused("ReportExpired", status=410):
        client.get_credential_report()
    client.delete_user(UserName="bare")
    assert client.generate_credential_report()["State"] == "STARTED"
    assert b"bare" not in client.get_credential_report()["Content"]


def test_a_report_needs_permission(iam: Iam) -> None:
    user = iam.user()
    client = iam.client("iam", iam.key(user))
    for call, action in (
        (client.generate_credential_report, "iam:GenerateCredentialReport"),
        (client.get_credential_report, "iam:GetCredentialReport"),
    ):
        with refused("AccessDenied", denied(arn("user", user), action, "*"), 403):
            call()


# --- server certificates

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _issued(common_name: str, issuer: Pair | None = None) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    above = subject if issuer is None else issuer[0].subject
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
    )
    return builder.sign(key if issuer is None else issuer[1], hashes.SHA256()), key


@cache
def chain() -> tuple[Pair, Pair, Pair]:
    """A server's certificate, the one above it, and the root's."""
    root = _issued("root")
    middle = _issued("middle", root)
    return _issued("server", middle), middle, root


def pem(*certificates: Pair) -> str:
    return "".join(each[0].public_bytes(Encoding.PEM).decode() for each in certificates)


def key_pem(pair: Pair, secret: bytes = b"") -> str:
    protection = BestAvailableEncryption(secret) if secret else NoEncryption()
    return pair[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode()


def upload(iam: Iam, **more: Any) -> Any:
    server, middle, root = chain()
    request = {
        "ServerCertificateName": name("certificate"),
        "CertificateBody": pem(server),
        "PrivateKey": key_pem(server),
        "CertificateChain": pem(middle, root),
        **more,
    }
    return iam.admin.upload_server_certificate(**{key: value for key, value in request.items() if value})


def test_a_server_certificate(fresh: Iam) -> None:
    client, (server, middle, root) = fresh.admin, chain()
    made = upload(fresh, Path="/web/", Tags=tags(team="a"))["ServerCertificateMetadata"]
    called = made["ServerCertificateName"]
    assert made["Arn"] == arn("server-certificate", f"web/{called}")
    assert made["ServerCertificateId"].startswith("ASCA")
    assert made["Expiration"] == server[0].not_valid_after_utc
    found = client.get_server_certificate(ServerCertificateName=called)["ServerCertificate"]
    assert found["ServerCertificateMetadata"] == made
    assert (found["CertificateBody"], found["CertificateChain"]) == (pem(server), pem(middle, root))
    assert found["Tags"] == tags(team="a")
    client.tag_server_certificate(ServerCertificateName=called, Tags=tags(stage="b"))
    client.untag_server_certificate(ServerCertificateName=called, TagKeys=["team"])
    assert client.list_server_certificate_tags(ServerCertificateName=called)["Tags"] == tags(stage="b")
    other = upload(fresh, CertificateChain="")["ServerCertificateMetadata"]["ServerCertificateName"]
    assert (
        "CertificateChain"
        not in client.get_server_certificate(ServerCertificateName=other)["ServerCertificate"]
    )
    listed = pages(client.list_server_certificates, "ServerCertificateMetadataList", size=1)
    assert [each["ServerCertificateName"] for (each,) in listed] == sorted([called, other])
    (web,) = client.list_server_certificates(PathPrefix="/web/")["ServerCertificateMetadataList"]
    assert web == made
    with refused("EntityAlreadyExists", f"The Server Certificate with name {other} already exists.", 409):
        client.update_server_certificate(ServerCertificateName=called, NewServerCertificateName=other)
    client.update_server_certificate(
        ServerCertificateName=called, NewServerCertificateName="moved", NewPath="/x/"
    )
    moved = client.get_server_certificate(ServerCertificateName="moved")["ServerCertificate"]
    assert moved["ServerCertificateMetadata"]["Arn"] == arn("server-certificate", "x/moved")
    client.delete_server_certificate(ServerCertificateName="moved")
    with refused("NoSuchEntity", "The Server Certificate with name moved cannot be found.", 404):
        client.get_server_certificate(ServerCertificateName="moved")
    database = (fresh.server.data / "casemate.db").read_bytes()
    assert key_pem(server).split("\n")[1].encode() not in database, "the private key is sealed"
    for number in range(19):
        upload(fresh, ServerCertificateName=f"more-{number}")
    with refused("LimitExceeded", "Cannot exceed quota for ServerCertificatesPerAccount: 20", 409):
        upload(fresh)


def test_certificates_that_are_refused(iam: Iam) -> None:
    server, middle, root = chain()
    taken = upload(iam)["ServerCertificateMetadata"]["ServerCertificateName"]
    with refused("EntityAlreadyExists", status=409):
        upload(iam, ServerCertificateName=taken)
    for more in (
        {"CertificateBody": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"CertificateBody": pem(server, middle)},
        {"CertificateChain": pem(root, middle)},
        {"CertificateChain": "x"},
        {"PrivateKey": "x"},
        {"PrivateKey": key_pem(server, b"secret")},
    ):
        with refused("MalformedCertificate"):
            upload(iam, **more)
    with refused("KeyPairMismatch"):
        upload(iam, PrivateKey=key_pem(middle))
    user = iam.user()
    client = iam.client("iam", iam.key(user))
    for called in (taken, "absent"):
        resource = arn("server-certificate", called)
        with refused("AccessDenied", denied(arn("user", user), "iam:GetServerCertificate", resource), 403):
            client.get_server_certificate(ServerCertificateName=called)
