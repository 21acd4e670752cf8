"""Requests as the transport hands them over, and botocore to sign them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from casemate.gate.auth_errors import Family, auth_error
from casemate.gate.claim import Claim, read_claim
from casemate.gate.signature import Payload, body_hash, check_body, payload_of, verify

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SUITE_KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@dataclass(frozen=True)
class Request:
    method: str = "POST"
    path: bytes = b"/"
    query: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    def with_headers(self, **headers: bytes | None) -> Request:
        """Keyword ``x_amz_date=None`` drops the header."""
        changed = dict(self.headers)
        for keyword, value in headers.items():
            name = keyword.replace("_", "-").encode()
            if value is None:
                changed.pop(name, None)
            else:
                changed[name] = value
        return replace(self, headers=changed)

    def swapped(self, old: bytes, new: bytes) -> Request:
        """With old replaced by new in the Authorization header."""
        value = self.headers[b"authorization"]
        assert old in value, f"{old!r} is not in {value!r}"
        return self.with_headers(authorization=value.replace(old, new))


def sign(
    url: str = "http://localhost:4566/",
    method: str = "POST",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    *,
    signer: type[SigV4Auth] = SigV4Auth,
    service: str = "kms",
    region: str = "us-east-1",
    token: str | None = None,
    context: dict[str, Any] | None = None,
    **options: Any,
) -> Request:
    """The request as botocore signs it now and sends it."""
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    request.context.update(context or {})
    signer(Credentials(KEY_ID, SECRET, token), service, region, **options).add_auth(request)
    assert isinstance(request.url, str)
    parts = urlsplit(request.url)
    # HTTP clients leave a scheme's own port out of the Host header, and so does botocore's signature.
    default = ":443" if parts.scheme == "https" else ":80"
    sent = {b"host": parts.netloc.removesuffix(default).encode()}
    for name in request.headers.keys():  # noqa: SIM118 an email.Message: iterating it gives no names
        values = request.headers.get_all(name) or []
        sent[name.lower().encode()] = b",".join(_raw(value) for value in values)
    return Request(method, parts.path.encode(), parts.query.encode(), sent, body)


def _raw(value: str | bytes) -> bytes:
    return (value if isinstance(value, bytes) else value.encode()).strip()


def check(
    request: Request, family: Family = "json", *, secret: str = SECRET, now: float | None = None
) -> tuple[Claim, Payload]:
    """Go the way of the gate: read the claim, find its key, verify it, hold the body against it."""
    claim = read_claim(request.method, request.query, request.headers, family)
    assert claim is not None, "the request counts as anonymous"
    if claim.scope.access_key_id not in (KEY_ID, SUITE_KEY_ID):
        raise auth_error(family, "unknown-key")
    payload = payload_of(claim, family, request.headers)
    computed = body_hash(request.body)
    verify(
        claim,
        secret,
        family,
        request.method,
        request.path,
        request.query,
        request.headers,
        payload.declared or computed,
        time.time() if now is None else now,
    )
    check_body(family, payload, computed)
    return claim, payload
