"""Authorisation messages: why a call was refused, sealed, for those who are allowed to know.

Some services (Amazon EC2's) add one to a refusal. Whoever was refused can read nothing in it; who holds
sts:DecodeAuthorizationMessage in the same account can have it opened. Source: "DecodeAuthorizationMessage".
"""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final

from casemate.engine.envelope.derivation import KeyHolder
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.policy import Decision, Principal, Value

LONGEST: Final = 10_240
"""Characters."""

_PURPOSE: Final = "authorization message"
_MOST_INFLATED: Final = 1 << 20


class BadMessage(ValueError):
    """No message of this server's for this account. One error for every reason."""

    def __init__(self) -> None:
        super().__init__("the authorization message is not valid")


class AuthorizationMessages(KeyHolder):
    """Seals and opens messages, by the root key's key for them."""

    __slots__ = ("_key",)

    def __init__(self, root: RootKey) -> None:
        self._key = root.wrapping_key(_PURPOSE)

    def seal(self, account: str, content: Mapping[str, Any]) -> str:
        """The message. Without the conditions, where it would be too long with them."""
        text = self._sealed(account, content)
        if len(text) > LONGEST:
            context = {**content["context"], "conditions": {"items": []}}
            text = self._sealed(account, {**content, "context": context})
        return text

    def open(self, account: str, text: str) -> str:
        """The content, as JSON. Raises BadMessage."""
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            content = self._key.unwrap(raw, _PURPOSE, account)
        except ValueError:
            raise BadMessage from None
        return zlib.decompressobj(-15).decompress(content, _MOST_INFLATED).decode()

    def _sealed(self, account: str, content: Mapping[str, Any]) -> str:
        packer = zlib.compressobj(9, wbits=-15)
        packed = packer.compress(json.dumps(content, separators=(",", ":")).encode()) + packer.flush()
        return urlsafe_b64encode(self._key.wrap(packed, _PURPOSE, account)).rstrip(b"=").decode()


def content_of(
    decision: Decision,
    principal: Principal,
    action: str,
    resource: str,
    conditions: Iterable[tuple[str, Value]],
) -> dict[str, Any]:
    """What a message says, in AWS's form."""
    return {
        "allowed": decision.allowed,
        "explicitDeny": decision.explicit,
        "matchedStatements": {
            "items": [
                {"statementId": each.sid, "effect": each.effect.upper(), "policy": each.policy}
                for each in decision.statements
            ]
        },
        "failures": {"items": []},
        "context": {
            "principal": {
                "id": principal.id,
                "name": principal.arn.rpartition("/")[2],
                "arn": principal.arn,
            },
            "action": action,
            "resource": resource,
            "conditions": {
                "items": [
                    {"key": key, "values": {"items": [{"value": each} for each in _listed(value)]}}
                    for key, value in sorted(conditions)
                    if value is not None
                ]
            },
        },
    }


def _listed(value: Value) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
