"""Encryption contexts: non-secret data that a symmetric key binds to a ciphertext."""

from __future__ import annotations

from collections.abc import Mapping

from casemate.services.kms.refusals import invalid

CONTEXT_BYTES = 8192
"""The most that an encryption context's names and values may have in UTF-8 together."""

_NO_CONTEXT: Mapping[str, str] = {}


def encryption_context(context: Mapping[str, str] | None) -> Mapping[str, str]:
    """Raises ValidationException for one that is too large."""
    if not context:
        return _NO_CONTEXT
    # A character has four bytes at most: most contexts are plainly small.
    size = 0
    for name, value in context.items():
        size += len(name) + len(value)
    if size * 4 > CONTEXT_BYTES and sum(len(text.encode()) for item in context.items() for text in item) > (
        CONTEXT_BYTES
    ):
        raise invalid(f"The encryption context is larger than {CONTEXT_BYTES} bytes.")
    return context
