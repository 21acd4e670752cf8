"""casemate attest: documents as an enclave gets them, by an authority that stays the same."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from attestation_support import enclave_key, public_der
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from server_support import casemate

from casemate.engine.attestation.document import Attestation, verify


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    file = tmp_path / "enclave.pub"
    file.write_bytes(enclave_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def made(folder: Path, public_key: Path, *more: str) -> Attestation:
    document = folder / "document"
    done = casemate("attest", str(public_key), "--authority", str(folder), "--output", str(document), *more)
    assert done.returncode == 0, done.stderr
    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes()).public_bytes(Encoding.DER)
    return verify(document.read_bytes(), frozenset([root]), time.time())


def test_a_document(tmp_path: Path, public_key: Path) -> None:
    folder = tmp_path / "authority"
    done = casemate("attest", "--authority", str(folder))
    assert done.returncode == 0
    assert str(folder / "root.pem") in done.stdout
    root = (folder / "root.pem").read_bytes()
    assert stat.S_IMODE((folder / "root.key").stat().st_mode) == 0o600

    found = made(folder, public_key)
    assert found.public_key == public_der()
    assert found.pcrs == {0: bytes(48)}
    more = made(folder, public_key, "--pcr", "3=" + "0A" * 48, "--pcr", "31=" + "bb" * 32, "--module-id", "m")
    assert more.pcrs == {3: b"\x0a" * 48, 31: b"\xbb" * 32}
    assert (more.module_id, more.tpm) == ("m", False)
    assert made(folder, public_key, "--tpm").tpm
    der = tmp_path / "enclave.der"
    der.write_bytes(public_der())
    assert made(folder, der).public_key == public_der()
    assert (folder / "root.pem").read_bytes() == root, "the authority stays"


def test_what_is_refused(tmp_path: Path, public_key: Path) -> None:
    folder = tmp_path / "authority"
    for pcr in ("32=" + "00" * 48, "0", "0=", "0=00", "0=" + "0" * 95, "x=" + "00" * 48):
        done = casemate("attest", str(public_key), "--authority", str(folder), "--pcr", pcr)
        assert done.returncode == 2
        assert "is not a register" in done.stderr
    assert not folder.exists()
    done = casemate("attest", str(tmp_path / "missing"), "--authority", str(folder))
    assert (done.returncode, "No such file" in done.stderr) == (1, True)
    no_key = tmp_path / "no-key"
    for content in (b"", b"-----BEGIN PUBLIC KEY-----\n", public_der()[:-1]):
        no_key.write_bytes(content)
        done = casemate("attest", str(no_key), "--authority", str(folder))
        assert (done.returncode, "is not a public RSA key" in done.stderr) == (1, True)

    key = (folder / "root.key").read_bytes()
    other = tmp_path / "other"
    casemate("attest", "--authority", str(other))
    (folder / "root.key").write_bytes((other / "root.key").read_bytes())
    done = casemate("attest", "--authority", str(folder))
    assert (done.returncode, "is not the key of" in done.stderr) == (1, True)
    (folder / "root.key").write_bytes(key[:40])
    done = casemate("attest", "--authority", str(folder))
    assert (done.returncode, "does not hold an authority" in done.stderr) == (1, True)
