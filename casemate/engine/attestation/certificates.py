"""The chain of certificates from the one that signed a document up to a trusted root.

Source: "Nitro Enclaves Attestation Process", 3.2.3 and 3.2.4. Certificates are not looked up anywhere, and there is
no revocation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

from casemate.engine.attestation.errors import BadAttestation

LONGEST_BUNDLE = 16

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_UNDERSTOOD = frozenset({x509.BasicConstraints.oid, x509.KeyUsage.oid})
"""What may be critical."""


class Signer(NamedTuple):
    """A certificate whose chain was verified, but for the time. not_before, not_after: when all of the chain is
    valid, in seconds since the epoch."""

    public_key: ec.EllipticCurvePublicKey
    not_before: float
    not_after: float


class _Certificate(NamedTuple):
    """All that is looked at of a certificate; read at once, since ``cryptography`` parses when it is asked."""

    subject: x509.Name
    issuer: x509.Name
    key: ec.EllipticCurvePublicKey
    constraints: x509.BasicConstraints | None
    usage: x509.KeyUsage
    not_before: float
    not_after: float
    signed: bytes
    signature: bytes


@lru_cache(maxsize=256)
def chain(certificate: bytes, bundle: tuple[bytes, ...], roots: frozenset[bytes]) -> Signer:
    """Verify the chain of ``certificate``, all in DER. bundle: from the root down to its issuer.

    An enclave's documents share their chain for hours, so that it is kept. Raises BadAttestation.
    """
    if not bundle or len(bundle) > LONGEST_BUNDLE:
        raise BadAttestation(f"The CA bundle does not have 1 to {LONGEST_BUNDLE} certificates.")
    if bundle[0] not in roots:
        raise BadAttestation("The CA bundle does not begin with a trusted root.")
    above = _authority(bundle[0], below=len(bundle) - 1)
    _must_be_issued_by(above, above)
    all_of_them = [above]
    for place, der in enumerate(bundle[1:], 1):
        authority = _authority(der, below=len(bundle) - 1 - place)
        _must_be_issued_by(authority, above)
        all_of_them.append(authority)
        above = authority
    signer = _read(certificate)
    _must_be_issued_by(signer, above)
    if signer.constraints is not None and signer.constraints.ca:
        raise BadAttestation("The certificate is an authority's, not a signer's.")
    if not signer.usage.digital_signature:
        raise BadAttestation("The certificate may not be used for signatures.")
    all_of_them.append(signer)
    return Signer(
        signer.key,
        max(each.not_before for each in all_of_them),
        min(each.not_after for each in all_of_them),
    )


def check_root(der: bytes) -> None:
    """Raises BadAttestation for a certificate that no chain could begin with."""
    root = _authority(der, below=0)
    _must_be_issued_by(root, root)


def _authority(der: bytes, below: int) -> _Certificate:
    """A certificate that may issue others. below: how many authorities come after it in the chain."""
    found = _read(der)
    if found.constraints is None or not found.constraints.ca or not found.usage.key_cert_sign:
        raise BadAttestation("A certificate of the CA bundle may not issue certificates.")
    most = found.constraints.path_length
    if most is not None and most < below:
        raise BadAttestation("The chain is longer than one of its certificates allows.")
    return found


def _read(der: bytes) -> _Certificate:
    try:
        parsed = x509.load_der_x509_certificate(der)
        key = parsed.public_key()
        extensions = list(parsed.extensions)
        algorithm = parsed.signature_algorithm_oid
        names = parsed.subject, parsed.issuer
        times = parsed.not_valid_before_utc.timestamp(), parsed.not_valid_after_utc.timestamp()
        signed, signature = parsed.tbs_certificate_bytes, parsed.signature
    except _UNREADABLE:
        raise BadAttestation("A certificate cannot be read.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise BadAttestation("A certificate's key is not on the curve P-384.")
    if algorithm != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
        raise BadAttestation("A certificate is not signed by ECDSA with SHA-384.")
    if any(each.critical and each.oid not in _UNDERSTOOD for each in extensions):
        raise BadAttestation("A certificate has a critical extension that is not known.")
    constraints = usage = None
    for each in extensions:
        if isinstance(each.value, x509.BasicConstraints):
            constraints = each.value
        elif isinstance(each.value, x509.KeyUsage):
            usage = each.value
    if usage is None:
        raise BadAttestation("A certificate does not say what its key may be used for.")
    return _Certificate(*names, key, constraints, usage, *times, signed, signature)


def _must_be_issued_by(issued: _Certificate, issuer: _Certificate) -> None:
    if issued.issuer != issuer.subject:
        raise BadAttestation("The certificates do not form a chain.")
    try:
        issuer.key.verify(issued.signature, issued.signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise BadAttestation("A certificate is not signed by the one above it.") from None
