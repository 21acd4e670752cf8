"""ID tokens: who they say they are from, and whether that is so.

Source: OpenID Connect Core 1.0, section 3.1.3.7; "AssumeRoleWithWebIdentity" and "Available keys for AWS OIDC
federation" for what AWS demands of them.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping
from typing import Any, Final

from casemate.engine.oidc.errors import OidcError, Refusal, invalid
from casemate.engine.oidc.key_set import ALGORITHMS, KeySet

LONGEST: Final = 20_000
"""Characters."""

SKEW: Final = 300
"""Seconds by which an issuer's clock may be ahead."""

NOT_A_JWT: Final = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)
NO_KEY: Final = (
    "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements"
)

Claims = Mapping[str, Any]


def issuer_of(token: str) -> str:
    """The issuer that a token claims, without a slash at its end. Nothing is checked yet. Raises OidcError."""
    claims = _part(token, 1)
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise invalid("Missing a required claim: iss")
    if not issuer.startswith("https://"):
        raise invalid("Issuer must be a valid URL")
    return issuer.rstrip("/")


def key_of(token: str) -> tuple[str | None, str]:
    """The id of the key that a token says it is signed by (None: it does not say), and the algorithm. Raises
    OidcError."""
    header = _part(token, 0)
    key_id, algorithm = header.get("kid"), header.get("alg")
    if algorithm not in ALGORITHMS or "crit" in header or not isinstance(key_id, str | None):
        raise invalid(NOT_A_JWT)
    return key_id, algorithm


def check(token: str, keys: KeySet, issuer: str, clients: Collection[str], now: float) -> Claims:
    """The claims of a token that this issuer signed, for one of these clients, and that is valid now.

    now: seconds since the epoch. Raises OidcError.
    """
    claims = _verified(token, keys)
    if issuer_of(token) != issuer:
        raise invalid("The token's issuer is another one.")
    for name in ("sub", "aud", "exp", "iat"):
        if name not in claims:
            raise invalid(f"Missing a required claim: {name}")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise invalid("The claim sub must be a text.")
    if not any(audience in clients for audience in audiences(claims)):
        raise invalid("Incorrect token audience")
    expires, issued, begins = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
    if expires <= now:
        raise OidcError(
            Refusal.EXPIRED,
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {int(expires)}",
        )
    if max(issued, begins) > now + SKEW:
        raise invalid("The token is not valid yet.")
    return claims


def audiences(claims: Claims) -> list[str]:
    """Whom a token is for: the party that it was issued to, where it names one, else its audiences."""
    authorised = claims.get("azp")
    if isinstance(authorised, str) and authorised:
        return [authorised]
    given = claims.get("aud")
    listed = given if isinstance(given, list) else [given]
    return [each for each in listed if isinstance(each, str)]


def _verified(token: str, keys: KeySet) -> Claims:
    from jwt import PyJWS
    from jwt.exceptions import PyJWTError

    key_id, algorithm = key_of(token)
    candidates = keys.candidates(key_id, algorithm)
    if not candidates:
        raise invalid(NO_KEY)
    for key in candidates:
        try:
            PyJWS().decode(token, key.key, algorithms=[algorithm])
        except PyJWTError:
            continue
        return _part(token, 1)
    raise invalid("Token signature invalid")


def _seconds(claims: Claims, name: str) -> float:
    value = claims.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise invalid(f"The claim {name} must be a time.")
    return float(value)


def _part(token: str, at: int) -> dict[str, Any]:
    """The token's header (0) or claims (1), as they stand. Raises OidcError."""
    parts = token.split(".")
    if len(token) > LONGEST or len(parts) != 3 or not token.isascii():
        raise invalid(NOT_A_JWT)
    text = parts[at]
    try:
        read = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)), object_pairs_hook=_once)
    except (binascii.Error, ValueError, RecursionError):
        raise invalid(NOT_A_JWT) from None
    if not isinstance(read, dict):
        raise invalid(NOT_A_JWT)
    return read


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A claim that is there twice could be read in two ways."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found
