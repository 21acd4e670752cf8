"""Presigned URLs: the claim in a query string, and how long it holds.

Source: "Authenticating Requests: Using Query Parameters" (Amazon S3 API reference), "Create a signed AWS API
request" (IAM user guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.auth_errors import S3_SERVICES, Family, auth_error, iso_basic, iso_extended, shown
from casemate.gate.canonical import query_pairs
from casemate.gate.claim import (
    ALGORITHM,
    Claim,
    Presigned,
    Scope,
    parse_credential,
    read_date,
    valid_signed_headers,
)
from casemate.gate.header_rules import may_be_header

MAX_EXPIRES = 604_800
"""Seconds: seven days, what a signing key of one day is good for."""

SKEW = 900
"""Seconds by which a client's clock may be off, both ways."""

_NEEDED = (b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature", b"X-Amz-Date", b"X-Amz-SignedHeaders")
_V2 = (b"AWSAccessKeyId", b"Signature")

# STS takes no notice of X-Amz-Expires: its presigned URLs hold for 15 minutes, and the tokens of EKS and
# Vault, which carry X-Amz-Expires=60 and are used for 14 minutes, live by that.
_EXPIRES_IGNORED = frozenset({"sts"})

# What a query says of its own signature; everything else that begins like S3's headers is in place of a header.
_OF_SIGNATURE = frozenset(name.lower() for name in (*_NEEDED, b"X-Amz-Expires", b"X-Amz-Security-Token"))
_OF_SIGNATURE |= {b"x-amz-content-sha256"}


def with_hoisted(query: bytes, headers: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """A presigned request's headers, together with those that its signer wrote into the URL instead: SDKs move
    x-amz-* headers into the query, and S3 takes them from there. A header that is sent counts before the same one in
    the query: both are signed. Raises AwsError for what no header could hold."""
    hoisted: dict[bytes, bytes] = {}
    for name, value in query_pairs(query):
        lowered = name.lower()
        if not lowered.startswith(b"x-amz-") or lowered in _OF_SIGNATURE or lowered in headers:
            continue
        if not may_be_header(lowered, value):
            raise AwsError(
                "InvalidArgument",
                "A query parameter in place of a header has a character that headers cannot carry.",
                400,
                ArgumentName=shown(name),
            )
        value = value.strip()
        hoisted[lowered] = hoisted[lowered] + b"," + value if lowered in hoisted else value
    return {**headers, **hoisted} if hoisted else headers


def read_query_claim(query: bytes, family: Family, has_authorization: bool) -> Claim | None:
    """The claim in a query string; None when there is none. Raises AwsError for a malformed one."""
    pairs = query_pairs(query)
    names = [name for name, _ in pairs]
    known = dict(pairs)
    if b"X-Amz-Algorithm" not in known and b"X-Amz-Signature" not in known:
        if all(name in known for name in _V2):
            raise auth_error(family, "signature-v2")
        return None
    if has_authorization:
        raise auth_error(family, "two-mechanisms", ArgumentName="Authorization")
    credential = known.get(b"X-Amz-Credential", b"")
    service = credential.split(b"/")[-2:-1]
    twice = any(names.count(name) > 1 for name in {*_NEEDED, b"X-Amz-Expires", b"X-Amz-Security-Token"})
    missing = [name for name in _NEEDED if not known.get(name)]
    if service and service[0].decode("latin-1") in S3_SERVICES and not known.get(b"X-Amz-Expires"):
        missing.append(b"X-Amz-Expires")
    if missing or twice:
        problem = " ".join(f"AWS query-string parameters must include '{name.decode()}'." for name in missing)
        raise auth_error(
            family, "malformed-query", problem=problem or "AWS query-string parameters must not be repeated."
        )
    algorithm = known[b"X-Amz-Algorithm"]
    if algorithm != ALGORITHM:
        raise auth_error(family, "unsupported-algorithm", presigned=True, algorithm=shown(algorithm))
    signed = known[b"X-Amz-SignedHeaders"]
    if not valid_signed_headers(signed):
        problem = "AWS query-string parameters must include a well-formed 'X-Amz-SignedHeaders'."
        raise auth_error(family, "malformed-query", problem=problem)
    scope = Scope(parse_credential(credential, family, presigned=True), signed)
    timestamp, epoch = read_date(known[b"X-Amz-Date"], family, presigned=True)
    token = known.get(b"X-Amz-Security-Token")
    return Claim(
        scope,
        known[b"X-Amz-Signature"],
        timestamp,
        epoch,
        None if token is None else token.decode("latin-1"),
        None,
        Presigned(
            _expires(known.get(b"X-Amz-Expires"), family),
            [pair for pair in pairs if pair[0] != b"X-Amz-Signature"],
        ),
    )


def _expires(value: bytes | None, family: Family) -> int | None:
    if value is None:
        return None
    digits = value[1:] if value[:1] == b"-" else value
    if not digits.isdigit() or len(digits) > 18:
        raise auth_error(family, "expires-not-a-number")
    seconds = int(value)
    if seconds < 1:
        raise auth_error(family, "expires-negative")
    if seconds > MAX_EXPIRES:
        raise auth_error(family, "expires-too-long")
    return seconds


def check_lifetime(claim: Claim, family: Family, now: float) -> None:
    """Refuse a presigned URL that is not valid yet (beyond the allowed skew) or no more. now: seconds."""
    lifetime = None if claim.presigned is None else claim.presigned.expires
    if lifetime is None or claim.scope.service in _EXPIRES_IGNORED:
        lifetime = SKEW
    end = claim.epoch + lifetime
    if now > end or now < claim.epoch - SKEW:
        expired = now > end
        # S3 names this member of its error as the parameter is named.
        given: dict[str, Any] = {"X-Amz-Expires": str(lifetime)}
        raise auth_error(
            family,
            "query-expired" if expired else "query-not-yet-current",
            date=claim.timestamp.decode(),
            now=iso_basic(now),
            bound=iso_basic(now - lifetime if expired else now + SKEW),
            window=(lifetime if expired else SKEW) // 60,
            Expires=iso_extended(end),
            ServerTime=iso_extended(now),
            **given,
        )
