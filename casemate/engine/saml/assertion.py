"""Signed assertions: who the identity provider says it is, for which roles, and until when.

What counts is what was signed, as the signature's check gives it back, and nothing beside it: an assertion that was
slipped in elsewhere in the response is not looked at.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from casemate.engine.saml.documents import ASSERTION, PROTOCOL, SIGNATURE, SamlError, read, text_of
from casemate.engine.saml.metadata import Metadata

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

AUDIENCES: Final = frozenset({"https://signin.aws.amazon.com/saml", "urn:amazon:webservices"})

SKEW: Final = 300
"""Seconds by which the identity provider's clock may be ahead."""

_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_INVALID: Final = "Response signature invalid"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an identity provider says of somebody.

    issuer: its entity id; subject: their name; format: of the name, as the assertion has it; recipient: where it was
    to be sent; until: when the sessions that it gives must end, seconds since the epoch, None where that is open;
    attributes: values by attribute.
    """

    issuer: str
    subject: str
    format: str
    recipient: str
    until: float | None
    attributes: Mapping[str, Sequence[str]]

    def only(self, name: str) -> str | None:
        """An attribute's one value; None where it is not there. Raises SamlError for several."""
        values = self.attributes.get(name, ())
        if len(values) > 1:
            raise SamlError(f"The attribute {name} has more than one value.")
        return values[0] if values else None


def check(response: str, metadata: Metadata, now: float) -> Assertion:
    """The assertion in a response (base64), signed by the identity provider and valid now.

    Takes a millisecond or two. now: seconds since the epoch. Raises SamlError.
    """
    try:
        document = b64decode("".join(response.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SamlError("Invalid base64 SAMLResponse") from None
    root = read(document)
    if root.tag != f"{PROTOCOL}Response":
        raise SamlError("Invalid SAMLResponse")
    signed = _signed(root, metadata)
    if signed.tag == f"{PROTOCOL}Response":
        status = signed.find(f"{PROTOCOL}Status/{PROTOCOL}StatusCode")
        if status is None or status.get("Value") != _SUCCESS:
            raise SamlError("The identity provider did not authenticate the user.")
        assertions = signed.findall(f"{ASSERTION}Assertion")
        if len(assertions) != 1:
            raise SamlError("The response must hold one assertion, which is not encrypted.")
        signed = assertions[0]
    elif signed.tag != f"{ASSERTION}Assertion":
        raise SamlError(_INVALID)
    return _read(signed, metadata, now)


def _signed(root: Element, metadata: Metadata) -> Element:
    """What the first signature in the document is over, once one of the certificates has proved it."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from lxml.etree import LxmlError
    from signxml.algorithms import DigestAlgorithm, SignatureMethod
    from signxml.exceptions import SignXMLException
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    if root.find(f".//{SIGNATURE}Signature") is None:
        raise SamlError("The response is not signed.")
    expected = SignatureConfiguration(
        location=".//",
        signature_methods=frozenset(
            {
                *(SignatureMethod.RSA_SHA256, SignatureMethod.RSA_SHA384, SignatureMethod.RSA_SHA512),
                *(SignatureMethod.ECDSA_SHA256, SignatureMethod.ECDSA_SHA384, SignatureMethod.ECDSA_SHA512),
            }
        ),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512}),
        ignore_ambiguous_key_info=True,
    )
    for der in metadata.certificates:
        certificate = x509.load_der_x509_certificate(der)
        try:
            result = XMLVerifier().verify(
                root, x509_cert=certificate, id_attribute="ID", expect_config=expected
            )
        except (SignXMLException, LxmlError, UnsupportedAlgorithm, ValueError):
            continue
        if isinstance(result, list) or result.signed_xml is None:
            continue
        signed: Element = result.signed_xml
        return signed
    raise SamlError(_INVALID)


def _read(assertion: Element, metadata: Metadata, now: float) -> Assertion:
    issuer = text_of(assertion.find(f"{ASSERTION}Issuer"))
    if issuer != metadata.entity:
        raise SamlError("Issuer not present in specified provider")
    _check_conditions(assertion, now)
    subject = assertion.find(f"{ASSERTION}Subject")
    name = None if subject is None else subject.find(f"{ASSERTION}NameID")
    if subject is None or name is None or not text_of(name):
        raise SamlError("The assertion names no subject.")
    until = [
        _time(each.get("SessionNotOnOrAfter")) for each in assertion.findall(f"{ASSERTION}AuthnStatement")
    ]
    attributes: dict[str, tuple[str, ...]] = {}
    for each in assertion.findall(f"{ASSERTION}AttributeStatement/{ASSERTION}Attribute"):
        key = each.get("Name") or ""
        values = [text_of(value) for value in each.findall(f"{ASSERTION}AttributeValue")]
        attributes[key] = (*attributes.get(key, ()), *values)
    return Assertion(
        issuer,
        text_of(name),
        name.get("Format") or "",
        _recipient(subject, now),
        min((each for each in until if each is not None), default=None),
        attributes,
    )


def _check_conditions(assertion: Element, now: float) -> None:
    conditions = assertion.findall(f"{ASSERTION}Conditions")
    if len(conditions) != 1:
        raise SamlError("The assertion has no conditions.")
    begins, ends = (_time(conditions[0].get(name)) for name in ("NotBefore", "NotOnOrAfter"))
    if begins is not None and begins > now + SKEW:
        raise SamlError("The assertion is not valid yet.")
    if ends is not None and ends <= now:
        raise SamlError("Token must be redeemed within 5 minutes of issuance", expired=True)
    restrictions = conditions[0].findall(f"{ASSERTION}AudienceRestriction")
    if not restrictions:
        raise SamlError("The assertion is for no audience.")
    for restriction in restrictions:
        if not any(text_of(each) in AUDIENCES for each in restriction.findall(f"{ASSERTION}Audience")):
            raise SamlError("The assertion is for another audience.")


def _recipient(subject: Element, now: float) -> str:
    """Where the assertion was to be sent, by the bearer's confirmation that still holds."""
    expired = False
    for confirmation in subject.findall(f"{ASSERTION}SubjectConfirmation"):
        data = confirmation.find(f"{ASSERTION}SubjectConfirmationData")
        if confirmation.get("Method") != _BEARER or data is None or not data.get("Recipient"):
            continue
        ends = _time(data.get("NotOnOrAfter"))
        if ends is not None and ends > now:
            return str(data.get("Recipient"))
        expired = True
    if expired:
        raise SamlError("Token must be redeemed within 5 minutes of issuance", expired=True)
    raise SamlError("The assertion has no bearer's confirmation with a recipient.")


def _time(text: str | None) -> float | None:
    """An xs:dateTime in UTC; None where there is none. Raises SamlError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise SamlError("The assertion has a time that cannot be read.") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
