"""An issuer's public keys, out of the JWK set that it publishes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from casemate.engine.oidc.errors import OidcError, Refusal

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""Those that AWS takes. None of them is symmetric: a public key is never taken for a secret."""

MOST_KEYS: Final = 100
_LEAST_RSA_BITS: Final = 2048


class KeySet:
    """Signing keys by their ids. Raises OidcError for what is no JWK set, or has no key that could be used."""

    def __init__(self, document: bytes) -> None:
        # Here, because it is slow to import and only federation needs it.
        from jwt import PyJWK
        from jwt.exceptions import PyJWTError

        try:
            found = json.loads(document)["keys"]
            if not isinstance(found, list) or len(found) > MOST_KEYS:
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise OidcError(Refusal.UNREACHABLE, "The identity provider's keys are not a JWK set.") from None
        self._keys: list[tuple[str | None, str | None, PyJWK]] = []
        for each in found:
            # A set may hold keys for other purposes, or of kinds that are not known here.
            if (
                not isinstance(each, dict)
                or each.get("use", "sig") != "sig"
                or each.get("kty") not in ("RSA", "EC")
            ):
                continue
            try:
                key = PyJWK(each, each.get("alg") or _usual(each))
            except (PyJWTError, ValueError, TypeError, KeyError):
                continue
            if getattr(key.key, "key_size", 0) >= _LEAST_RSA_BITS or each["kty"] == "EC":
                self._keys.append((_text(each.get("kid")), _text(each.get("alg")), key))
        if not self._keys:
            raise OidcError(Refusal.UNREACHABLE, "The identity provider's keys hold none that signs tokens.")

    def __repr__(self) -> str:
        return f"<KeySet of {len(self._keys)} keys>"

    def candidates(self, key_id: str | None, algorithm: str) -> Sequence[PyJWK]:
        """The keys that may have signed a token with this header. A token that names none is checked by all."""
        kind = "RSA" if algorithm.startswith("RS") else "EC"
        return [
            key
            for name, given, key in self._keys
            if key.key_type == kind and given in (None, algorithm) and key_id in (None, name)
        ]


def _usual(key: Mapping[str, Any]) -> str:
    curves = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
    return "RS256" if key["kty"] == "RSA" else curves[key["crv"]]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
