"""What can go wrong with an envelope. The texts name purposes and seals, never a secret."""

from __future__ import annotations


class EnvelopeError(ValueError):
    """The parent of this package's errors."""


class BadCiphertext(EnvelopeError):
    """A KMS ciphertext blob that cannot be opened. One error, one text for every reason, so that it tells
    nothing about which part was wrong."""

    def __init__(self) -> None:
        super().__init__("the ciphertext is not valid")


class Tampered(EnvelopeError):
    """Stored bytes that are not what was stored, or do not belong where they were found."""


class SealError(EnvelopeError):
    """A seal that cannot be used: missing, misconfigured, or kept in an unsafe way."""


class WrongSeal(SealError):
    """A wrapped key was given to a seal that did not wrap it."""
