"""What can go wrong with an attestation."""

from __future__ import annotations


class BadAttestation(ValueError):
    """A document that proves nothing. The text says why: who made the document is who sees it, and none of it is
    secret."""
