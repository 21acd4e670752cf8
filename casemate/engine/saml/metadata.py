"""An identity provider's metadata: its entity id and the certificates that it signs by."""

from __future__ import annotations

from base64 import b64decode
from typing import Final, NamedTuple

from cryptography import x509

from casemate.engine.saml.documents import METADATA, SIGNATURE, SamlError, read, text_of

MOST_CERTIFICATES: Final = 10


class Metadata(NamedTuple):
    """entity: the identity provider's id, which its assertions name as their issuer; certificates: DER."""

    entity: str
    certificates: tuple[bytes, ...]


def read_metadata(document: bytes) -> Metadata:
    """What a metadata document of one identity provider says. Raises SamlError."""
    root = read(document)
    if root.tag != f"{METADATA}EntityDescriptor" or not root.get("entityID"):
        raise SamlError("Could not parse metadata")
    described = root.find(f"{METADATA}IDPSSODescriptor")
    if described is None:
        raise SamlError("Could not parse metadata: there is no IDPSSODescriptor")
    certificates = []
    for key in described.findall(f"{METADATA}KeyDescriptor"):
        if key.get("use", "signing") == "signing":
            certificates += [_certificate(text_of(each)) for each in key.iter(f"{SIGNATURE}X509Certificate")]
    if not certificates or len(certificates) > MOST_CERTIFICATES:
        raise SamlError(f"Metadata must hold 1 to {MOST_CERTIFICATES} signing certificates")
    return Metadata(str(root.get("entityID")), tuple(certificates))


def _certificate(text: str) -> bytes:
    try:
        der = b64decode("".join(text.split()), validate=True)
        x509.load_der_x509_certificate(der)
    except ValueError:
        raise SamlError("Invalid certificate in metadata") from None
    return der
