"""What is wrong with a token, or keeps its issuer's keys from being found."""

from __future__ import annotations

from enum import Enum


class Refusal(Enum):
    INVALID = "invalid"
    EXPIRED = "expired"
    UNREACHABLE = "unreachable"


class OidcError(Exception):
    """The text is for the client, and holds nothing of the token but its times and its issuer."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal
        self.text = text


def invalid(text: str) -> OidcError:
    return OidcError(Refusal.INVALID, text)
