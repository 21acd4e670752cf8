"""What IAM checks of a policy document before it takes it, and how it shows one.

Sizes leave out white space. Source: "IAM and AWS STS quotas".
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from casemate.engine.policy import Kind, Policy, PolicyError, parse
from casemate.services.iam.refusals import malformed


def accepted(document: str, kind: Kind) -> Policy:
    """The policy in a document. Raises MalformedPolicyDocument."""
    try:
        return parse(document, kind)
    except PolicyError as error:
        raise malformed(error.message) from None


def size(documents: Iterable[str]) -> int:
    """Characters that count."""
    return sum(len("".join(document.split())) for document in documents)


def shown(document: str) -> str:
    """As answers hold it: percent-encoded (RFC 3986)."""
    return quote(document, safe="")
