"""Canonical user ids: how S3 names accounts, in ACLs and as owners."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256


@lru_cache(maxsize=4096)
def canonical_user(account: str) -> str:
    """An account's, 64 hexadecimal digits; the same on every server. Source: "Your AWS account identifiers": the id
    is an obfuscated form of the account's number, and no secret."""
    return sha256(f"casemate canonical user {account}".encode()).hexdigest()
