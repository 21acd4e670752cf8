"""OpenID Connect, from the side of who is shown an ID token: key sets, tokens, and where an issuer's keys are found.

Source: OpenID Connect Core 1.0, OpenID Connect Discovery 1.0, RFC 7517 (JWK), RFC 7519 (JWT).
"""

from __future__ import annotations

from casemate.engine.oidc.errors import OidcError, Refusal

__all__ = ["OidcError", "Refusal"]
