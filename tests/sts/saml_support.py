"""A SAML identity provider: its metadata, and responses that it signs."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

ENTITY = "https://idp.example.com/metadata"
RECIPIENT = "https://signin.aws.amazon.com/saml"
ATTRIBUTES = "https://aws.amazon.com/SAML/Attributes/"
_NS = 'xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"'


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class IdentityProvider:
    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.com")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .sign(self.key, hashes.SHA256())
        )

    @property
    def metadata(self) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return (
            f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ENTITY}">'
            '<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
            '<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
            f"<ds:X509Data><ds:X509Certificate>{b64encode(der).decode()}</ds:X509Certificate></ds:X509Data>"
            "</ds:KeyInfo></md:KeyDescriptor>"
            '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
            'Location="https://idp.example.com/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>'
        )

    def assertion(
        self,
        roles: list[str],
        *,
        issuer: str = ENTITY,
        audience: str = RECIPIENT,
        subject: str = "alice",
        ends: int = 300,
        begins: int = -60,
        session: str | None = "alice@example.com",
        recipient: str = RECIPIENT,
        session_ends: int | None = None,
        **attributes: str | list[str],
    ) -> str:
        """An assertion's XML, not signed. roles: values of the attribute Role; times in seconds from now."""
        now = datetime.now(UTC)

        def at(seconds: int) -> str:
            return _time(now + timedelta(seconds=seconds))

        given: dict[str, Any] = {"Role": roles, **attributes}
        if session is not None:
            given["RoleSessionName"] = session
        statements = "".join(
            f'<saml:Attribute Name="{ATTRIBUTES}{name.replace("__", ":")}">'
            + "".join(
                f"<saml:AttributeValue>{value}</saml:AttributeValue>"
                for value in (values if isinstance(values, list) else [values])
            )
            + "</saml:Attribute>"
            for name, values in given.items()
        )
        until = "" if session_ends is None else f' SessionNotOnOrAfter="{at(session_ends)}"'
        return (
            f'<saml:Assertion {_NS} ID="_{uuid4()}" Version="2.0" IssueInstant="{at(0)}">'
            f"<saml:Issuer>{issuer}</saml:Issuer><saml:Subject>"
            '<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">'
            f"{subject}</saml:NameID>"
            '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
            f'<saml:SubjectConfirmationData NotOnOrAfter="{at(ends)}" Recipient="{recipient}"/>'
            "</saml:SubjectConfirmation></saml:Subject>"
            f'<saml:Conditions NotBefore="{at(begins)}" NotOnOrAfter="{at(ends)}">'
            f"<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>"
            f'</saml:Conditions><saml:AuthnStatement AuthnInstant="{at(0)}"{until}/>'
            f"<saml:AttributeStatement>{statements}</saml:AttributeStatement></saml:Assertion>"
        )

    def signed(self, xml: str, algorithm: str = "rsa-sha256", digest: str = "sha256") -> str:
        """The same, with an enveloped signature."""
        root = etree.fromstring(xml)
        signer = XMLSigner(
            signature_algorithm=algorithm,
            digest_algorithm=digest,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        der = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        done = signer.sign(root, key=self.key, cert=der, reference_uri=root.get("ID"), id_attribute="ID")
        return etree.tostring(done).decode()

    def response(self, *contents: str, status: str = "Success", signed: bool = False) -> str:
        """A response, in base64. contents: assertions and whatever else; signed: as a whole."""
        xml = (
            f'<samlp:Response {_NS} ID="_{uuid4()}" Version="2.0" IssueInstant="{_time(datetime.now(UTC))}">'
            f"<saml:Issuer>{ENTITY}</saml:Issuer><samlp:Status>"
            f'<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:{status}"/></samlp:Status>'
            f"{''.join(contents)}</samlp:Response>"
        )
        return b64encode((self.signed(xml) if signed else xml).encode()).decode()
