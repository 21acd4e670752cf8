"""Attestation documents: what proves something, and each way in which it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from attestation_support import PCRS, public_der
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from casemate.engine.attestation import cbor
from casemate.engine.attestation.certificates import LONGEST_BUNDLE, check_root
from casemate.engine.attestation.document import LONGEST_PAYLOAD, verify
from casemate.engine.attestation.errors import BadAttestation
from casemate.engine.attestation.issuing import (
    ROOT_SECONDS,
    SIGNER_SECONDS,
    Authority,
    Key,
    certificate,
    new_key,
    sign,
)

# What cryptography warns of, it goes on to read.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

NOW = 1_790_000_000.0
ROOT = Authority.new(NOW)
ROOTS = frozenset([ROOT.der])
GOOD = ROOT.document(public_der(), PCRS, NOW, user_data=b"data", nonce=b"")


def refused(data: bytes, reason: str = ".", now: float = NOW, roots: frozenset[bytes] = ROOTS) -> None:
    with pytest.raises(BadAttestation, match=reason):
        verify(data, roots, now)


def test_what_a_document_says() -> None:
    found = verify(GOOD, ROOTS, NOW)
    assert found.module_id == "i-0123456789abcdef0-enc0123456789abcdef"
    assert found.timestamp == NOW * 1000
    assert found.pcrs == PCRS
    assert not found.tpm
    assert (found.public_key, found.user_data, found.nonce) == (public_der(), b"data", b"")
    assert (found.not_before, found.not_after) == (NOW, NOW + SIGNER_SECONDS)
    assert verify(b"\xd2" + GOOD, ROOTS, NOW) == found, "the tag of a COSE_Sign1 may be there"


def test_a_document_of_a_tpm() -> None:
    found = verify(ROOT.document(None, {4: bytes(48)}, NOW, tpm=True), ROOTS, NOW)
    assert found.tpm
    assert found.pcrs == {4: bytes(48)}
    assert found.public_key is None


def test_one_of_several_roots_is_enough() -> None:
    other = Authority.new(NOW)
    assert verify(GOOD, ROOTS | {other.der}, NOW) == verify(GOOD, ROOTS, NOW)
    refused(GOOD, "does not begin with a trusted root", roots=frozenset([other.der]))
    refused(GOOD, "does not begin with a trusted root", roots=frozenset())


def test_a_document_is_valid_as_long_as_all_its_certificates_are() -> None:
    assert verify(GOOD, ROOTS, NOW + SIGNER_SECONDS)
    refused(GOOD, "has expired", NOW + SIGNER_SECONDS + 1)
    refused(GOOD, "not valid yet", NOW - 1)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= change
    with pytest.raises(BadAttestation):
        verify(bytes(changed), ROOTS, NOW)


@given(st.integers(0, len(GOOD) - 1))
def test_a_document_that_is_cut_short_is_refused(length: int) -> None:
    refused(GOOD[:length])


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_prove_nothing(data: bytes) -> None:
    refused(data)


# --- COSE


def _parts(data: bytes = GOOD) -> list[Any]:
    parts = cbor.load(data)
    assert isinstance(parts, list)
    return parts


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, cbor.dump({1: -7}), "headers"),
        (0, cbor.dump({1: -35, 2: [99]}), "headers"),
        (0, b"\xa1\x01\x39\x00\x22", "headers"),  # the right ones, in a longer encoding
        (0, b"", "headers"),
        (0, {1: -35}, "headers"),
        (1, {4: b"key"}, "headers"),
        (1, [], "headers"),
        (2, None, "payload does not have"),
        (2, b"", "payload does not have"),
        (2, bytes(LONGEST_PAYLOAD + 1), "payload does not have"),
        (3, bytes(95), "signature does not have"),
        (3, bytes(97), "signature does not have"),
        (3, bytes(96), "signature is not valid"),
        (3, b"\xff" * 96, "signature is not valid"),
        (3, "", "signature does not have"),
    ],
)
def test_a_cose_sign1_of_another_kind(place: int, value: Any, reason: str) -> None:
    parts = _parts()
    parts[place] = value
    refused(cbor.dump(parts), reason)


@pytest.mark.parametrize("document", [[b""], {}, 1, [b"", {}, b"", b"", b""]])
def test_what_is_no_cose_sign1(document: Any) -> None:
    refused(cbor.dump(document), "not a COSE_Sign1")


def test_another_tag_is_refused() -> None:
    refused(cbor2.dumps(cbor2.CBORTag(98, _parts())), "holds what no attestation document does")
    refused(b"\xd2\xd2" + GOOD, "holds what no attestation document does")


def test_a_document_too_large_to_be_one_is_not_looked_at() -> None:
    refused(bytes(262_144), "too large")


# --- fields

SIGNER_KEY = new_key()
REGION = ROOT.issue("region", NOW)


def signer(issuer: Authority = REGION, **more: Any) -> bytes:
    given: dict[str, Any] = {"not_before": NOW, "not_after": NOW + 60, "authority": False, **more}
    return certificate("signer", SIGNER_KEY.public_key(), issuer, issuer.key, **given).public_bytes(
        Encoding.DER
    )


def fields(**changed: Any) -> dict[str, Any]:
    """A good document's; those that are Ellipsis are left out."""
    found = {
        "module_id": "i-1",
        "digest": "SHA384",
        "timestamp": 1,
        "pcrs": {0: bytes(48)},
        "certificate": signer(),
        "cabundle": [ROOT.der, REGION.der],
        **changed,
    }
    return {name: value for name, value in found.items() if value is not ...}


def test_optional_fields_may_be_missing_or_null() -> None:
    assert verify(sign(fields(), SIGNER_KEY), ROOTS, NOW).public_key is None
    nulls = fields(public_key=None, user_data=None, nonce=None)
    assert verify(sign(nulls, SIGNER_KEY), ROOTS, NOW).nonce is None
    most = fields(public_key=b"k" * 1024, user_data=b"u" * 512, nonce=b"n" * 512)
    assert verify(sign(most, SIGNER_KEY), ROOTS, NOW).user_data == b"u" * 512
    registers = {number: bytes(size) for number, size in zip(range(32), (32, 48, 64, 48) * 8, strict=True)}
    assert verify(sign(fields(pcrs=registers), SIGNER_KEY), ROOTS, NOW).pcrs == registers


NO_PCRS: tuple[Any, ...] = (
    {},
    None,
    [bytes(48)],
    {32: bytes(48)},
    {-1: bytes(48)},
    {"0": bytes(48)},
    {0: bytes(47)},
    {0: None},
    {0: "0" * 48},
    {number: bytes(48) for number in range(33)},
)
NO_BUNDLES: tuple[Any, ...] = ([], None, {}, [b""], [bytes(1025)], ["x"], ROOT.der)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        *(({name: ...}, f"has no {name}") for name in ("module_id", "digest", "timestamp", "certificate")),
        ({"cabundle": ...}, "has no cabundle"),
        ({"pcrs": ...}, "one of pcrs and nitrotpm_pcrs"),
        ({"nitrotpm_pcrs": {4: bytes(48)}}, "one of pcrs and nitrotpm_pcrs"),
        ({"unknown": 1}, "field that is not known"),
        ({7: 1}, "field that is not known"),
        *(({"module_id": value}, "module_id") for value in ("", None, b"i-1", 1)),
        *(({"digest": value}, "digest") for value in ("SHA256", None, b"SHA384")),
        *(({"timestamp": value}, "timestamp") for value in (0, -1, "1", None)),
        *(({"pcrs": value}, "pcrs") for value in NO_PCRS),
        *(({"certificate": value}, "certificate") for value in (b"", None, "", bytes(1025))),
        *(({"cabundle": value}, "cabundle") for value in NO_BUNDLES),
        *(({"public_key": value}, "public_key") for value in (b"", bytes(1025), "key")),
        *(({"user_data": value}, "user_data") for value in (bytes(513), "data", 0)),
        *(({"nonce": value}, "nonce") for value in (bytes(513), "nonce", 0)),
    ],
)
def test_fields_are_checked(changed: dict[Any, Any], reason: str) -> None:
    refused(sign({**fields(), **changed} if 7 in changed else fields(**changed), SIGNER_KEY), reason)


def test_a_payload_that_is_no_map() -> None:
    parts = _parts()
    parts[2] = cbor.dump([1])
    refused(cbor.dump(parts), "payload is not a map")


# --- certificates


def test_a_signature_by_another_key() -> None:
    refused(sign(fields(), new_key()), "signature is not valid")


def test_a_chain_of_a_root_alone_and_a_long_one() -> None:
    direct = fields(certificate=signer(ROOT), cabundle=[ROOT.der])
    assert verify(sign(direct, SIGNER_KEY), ROOTS, NOW)
    above, bundle = ROOT, [ROOT.der]
    for depth in range(3, -1, -1):
        above = above.issue(f"depth {depth}", NOW, depth)
        bundle.append(above.der)
    assert verify(sign(fields(certificate=signer(above), cabundle=bundle), SIGNER_KEY), ROOTS, NOW)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda: {"cabundle": [REGION.der, ROOT.der]}, "trusted root"),
        (lambda: {"cabundle": [REGION.der]}, "trusted root"),
        (lambda: {"cabundle": [ROOT.der]}, "do not form a chain"),
        (lambda: {"cabundle": [ROOT.der, ROOT.issue("other", NOW).der]}, "do not form a chain"),
        (lambda: {"cabundle": [ROOT.der, ROOT.issue("region", NOW).der]}, "not signed by the one above"),
        (lambda: {"cabundle": [ROOT.der, REGION.der, REGION.der]}, "longer than one"),
        (lambda: {"cabundle": [ROOT.der] * (LONGEST_BUNDLE + 1)}, "CA bundle does not have"),
        (lambda: {"cabundle": [ROOT.der, b"0"]}, "cannot be read"),
        (lambda: {"cabundle": [ROOT.der, REGION.der + b"0"]}, "cannot be read"),
        (lambda: {"certificate": b"0"}, "cannot be read"),
        (lambda: {"certificate": REGION.der}, "do not form a chain"),
        (lambda: {"certificate": signer(authority=True)}, "an authority's, not a signer's"),
        (lambda: {"certificate": signer(not_before=NOW + 1)}, "not valid yet"),
        (lambda: {"certificate": signer(not_after=NOW - 1, not_before=NOW - 2)}, "has expired"),
    ],
)
def test_chains_that_do_not_hold(changed: Callable[[], dict[str, Any]], reason: str) -> None:
    refused(sign(fields(**changed()), SIGNER_KEY), reason)


def _issue(issuer: Authority, key: Any, *extensions: tuple[x509.ExtensionType, bool], **more: Any) -> bytes:
    now = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(issuer.key, more.get("digest", hashes.SHA384()))
    return made.public_bytes(Encoding.DER)


def _usage(*, sign_documents: bool, sign_certificates: bool = False) -> tuple[x509.ExtensionType, bool]:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    return (
        x509.KeyUsage(
            digital_signature=sign_documents,
            key_cert_sign=sign_certificates,
            encipher_only=False,
            decipher_only=False,
            **dict.fromkeys(names, False),
        ),
        True,
    )


MAY_SIGN = _usage(sign_documents=True)
AUTHORITY = (x509.BasicConstraints(True, None), True)


def _signed_by(made: bytes, key: Key = SIGNER_KEY) -> bytes:
    return sign(fields(certificate=made), key)


def test_what_a_certificate_must_be() -> None:
    assert verify(_signed_by(_issue(REGION, SIGNER_KEY, MAY_SIGN)), ROOTS, NOW), "constraints may be missing"
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.1"), b"\x05\x00"), False)
    assert verify(_signed_by(_issue(REGION, SIGNER_KEY, MAY_SIGN, unknown)), ROOTS, NOW)

    cases: list[tuple[bytes, str]] = [
        (_issue(REGION, SIGNER_KEY), "does not say what its key may be used for"),
        (_issue(REGION, SIGNER_KEY, _usage(sign_documents=False)), "may not be used for signatures"),
        (_issue(REGION, SIGNER_KEY, MAY_SIGN, (unknown[0], True)), "critical extension that is not known"),
        (_issue(REGION, SIGNER_KEY, MAY_SIGN, digest=hashes.SHA256()), "not signed by ECDSA with SHA-384"),
        (_issue(REGION, ec.generate_private_key(ec.SECP256R1()), MAY_SIGN), "not on the curve P-384"),
        (_issue(REGION, rsa.generate_private_key(65537, 2048), MAY_SIGN), "not on the curve P-384"),
    ]
    for made, reason in cases:
        refused(_signed_by(made), reason)


def test_what_an_authority_must_be() -> None:
    key = new_key()
    certs_only = _usage(sign_documents=False, sign_certificates=True)
    for extensions, reason in (
        ((AUTHORITY, MAY_SIGN), "may not issue certificates"),
        (((x509.BasicConstraints(False, None), True), certs_only), "may not issue certificates"),
        ((certs_only,), "may not issue certificates"),
    ):
        der = _issue(ROOT, key, *extensions)
        middle = Authority(x509.load_der_x509_certificate(der), key)
        changed = fields(certificate=signer(middle), cabundle=[ROOT.der, der])
        refused(sign(changed, SIGNER_KEY), reason)


def test_a_root_must_be_one() -> None:
    check_root(ROOT.der)
    with pytest.raises(BadAttestation, match="do not form a chain"):
        check_root(REGION.der)
    with pytest.raises(BadAttestation, match="may not issue"):
        check_root(signer())
    impostor = certificate(
        "casemate.test-nitro-enclaves", new_key().public_key(), ROOT, new_key(), NOW, NOW + ROOT_SECONDS
    ).public_bytes(Encoding.DER)
    with pytest.raises(BadAttestation, match="not signed by the one above"):
        check_root(impostor)
