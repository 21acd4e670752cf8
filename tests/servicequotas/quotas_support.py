"""Servers that enforce quotas, and what their users ask of Service Quotas."""

from __future__ import annotations

from typing import Any

from server_support import Server, casemate
from server_support import refused as refused

CREATE_KEY, KEYS, ALIASES, POLICY_SIZE = "L-32B67F4A", "L-C2F1777E", "L-340F62FB", "L-CM000001"
THROTTLED = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."


def quota(server: Server, *args: str) -> str:
    """What ``casemate quota`` prints."""
    done = casemate("quota", args[0], "--data", str(server.data), *args[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout


def value_of(client: Any, code: str) -> float:
    found: float = client.get_service_quota(ServiceCode="kms", QuotaCode=code)["Quota"]["Value"]
    return found
