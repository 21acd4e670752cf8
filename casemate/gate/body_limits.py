"""How much of a body is held in memory for a request, before anything of it is believed.

A stranger's request gets little. One that claims an access key gets what the service it is signed for may need: AWS's
own limits are the parser's and the operations'.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from casemate.gate.http import Exchange

SMALL = 64 * 1024
"""Bodies up to this size are held before anything is known of the request."""
LARGE = 1024 * 1024
"""Bodies up to this size are held for a request that claims an access key."""

_MIB = 1024 * 1024
_OF_SERVICE = {
    # 1 MiB of events, or of messages, that are escaped in JSON or percent-encoded.
    b"logs": 4 * _MIB,
    b"events": 4 * _MIB,
    b"sns": 4 * _MIB,
    b"sqs": 4 * _MIB,
}
"""By the service that a signature is for."""

_OF_LAMBDA = (
    (b"/functions", 70_167_211),
    (b"/functions/", 70_167_211),
    (b"/code", 70_167_211),
    (b"/invocations", 8 * _MIB),
)
"""By the end of the path: deployment packages come in documents, in base64."""

_SCOPE = re.compile(
    rb"Credential=([^/%,\s]{1,128})(?:(?:/|%2F)[a-z0-9-]{1,40}){2}(?:/|%2F)([a-z0-9-]{1,40})(?:/|%2F)aws4_"
)


def largest_body(exchange: Exchange, is_known: Callable[[str], bool]) -> int:
    """Bytes that the request's body may have, by its head. is_known: whether there is such an access key, for the
    services that take more than ``LARGE``: what anybody may claim is not to fill the memory."""
    claim = exchange.headers.get(b"authorization")
    if claim is None:
        claim = exchange.query if b"X-Amz-Credential=" in exchange.query else None
        if claim is None:
            return SMALL
    scope = _SCOPE.search(claim)
    if scope is None:
        return LARGE
    key, service = scope.groups()
    if service == b"lambda":
        most = next((most for end, most in _OF_LAMBDA if exchange.path.endswith(end)), LARGE)
    else:
        most = _OF_SERVICE.get(service, LARGE)
    return most if most <= LARGE or is_known(key.decode("latin-1")) else LARGE
