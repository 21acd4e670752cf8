"""CMS EnvelopedData, read by parsers of others, and laid out as AWS KMS does it."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from attestation_support import enclave_key, opened, public_der
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.attestation.cms import envelop
from casemate.engine.attestation.errors import BadAttestation


@given(st.binary(max_size=5000))
def test_the_holder_of_the_key_reads_it(plaintext: bytes) -> None:
    envelope = envelop(plaintext, public_der())
    assert opened(envelope, enclave_key()) == plaintext
    assert len(plaintext) < 16 or plaintext not in envelope


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_the_sizes_of_keys_that_enclaves_make(bits: int) -> None:
    assert opened(envelop(b"a secret", public_der(bits)), enclave_key(bits)) == b"a secret"


def test_openssl_reads_it(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(enclave_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    done = subprocess.run(
        ["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(key)],
        input=envelop(b"a secret", public_der()),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"a secret"), done.stderr


def test_it_is_laid_out_as_aws_kms_does_it() -> None:
    """The Nitro Enclaves SDK for C steps through exactly this. What is constant is that of an answer of AWS KMS's."""
    envelope = envelop(b"x" * 20, public_der())
    constant = [
        "308006092a864886f70d010703a080308002010231820" + "16b30820167020102" + "8020",
        "303c06092a864886f70d010107302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d"
        "060960864801650304020105000482" + "0100",
        "308006092a864886f70d010701301d060960864801650304012a0410",
        "a0800420",
        "0000" * 5,
    ]
    variable = [32, 256, 16, 32]
    at = 0
    for number, text in enumerate(constant):
        piece = bytes.fromhex(text)
        assert envelope[at : at + len(piece)] == piece
        at += len(piece) + (variable[number] if number < len(variable) else 0)
    assert at == len(envelope)
    assert envelope.count(sha256(public_der()).digest()) == 1, "the recipient is named by its key"


def test_two_envelopes_of_the_same_have_nothing_in_common() -> None:
    first, second = envelop(b"x" * 64, public_der()), envelop(b"x" * 64, public_der())
    assert first[150:400] != second[150:400]
    assert first[-90:] != second[-90:]


def test_other_keys_are_refused() -> None:
    small = rsa.generate_private_key(65537, 1024).public_key()
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    for key in (small, curve):
        with pytest.raises(BadAttestation, match="not RSA with 2048"):
            envelop(b"", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    pem = enclave_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (b"", b"0", pem, public_der()[:-1], public_der() + b"0"):
        with pytest.raises(BadAttestation, match="cannot be read"):
            envelop(b"", data)
