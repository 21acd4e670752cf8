"""Accounts and users that tests start a server with: their access keys, their ARNs, and the seed that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.services.iam.identities import AccessKey

Users = Mapping[str, tuple[str, tuple[str, ...], str]]
"""By name: the account, the managed policies that are attached, and an inline policy's document or ''."""


def access_key(user: str) -> AccessKey:
    name = user.upper().replace("-", "").ljust(12, "X")
    return AccessKey(f"AKIATEST{name}", f"secret-of-{user}-0123456789")


def seed_of(users: Users, *accounts: str) -> dict[str, Any]:
    """What ``casemate serve --seed`` makes them of."""
    seeded: dict[str, dict[str, Any]] = {
        account: {"id": account, "name": f"account {account}", "users": []} for account in accounts
    }
    for user, (account, attached, inline) in users.items():
        key = access_key(user)
        seeded[account]["users"].append(
            {
                "name": user,
                "attached_policies": list(attached),
                "inline_policies": {"own": inline} if inline else {},
                "access_keys": [{"id": key.id, "secret": key.secret}],
            }
        )
    return {"accounts": list(seeded.values())}
