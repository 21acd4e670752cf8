"""XML that strangers send: read without entities, without a network, without a document type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

ASSERTION: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
PROTOCOL: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
METADATA: Final = "{urn:oasis:names:tc:SAML:2.0:metadata}"
SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}"


class SamlError(Exception):
    """What is wrong with a document. expired: it was good once. The text is for the client, and holds nothing of the
    document."""

    def __init__(self, text: str, *, expired: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.expired = expired


def is_available() -> bool:
    """Whether what this needs is installed (the extra ``saml``)."""
    from importlib.util import find_spec

    return find_spec("signxml") is not None and find_spec("lxml") is not None


def read(document: bytes) -> Element:
    """The root element. Raises SamlError."""
    from lxml import etree

    parser: Any = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root: Element = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise SamlError("The document is not XML.") from None
    information: Any = root.getroottree().docinfo
    if information.doctype:
        raise SamlError("The document has a document type.")
    return root


def text_of(element: Element | None) -> str:
    """All of an element's text, '' where there is none."""
    return "" if element is None else "".join(str(part) for part in element.itertext()).strip()
