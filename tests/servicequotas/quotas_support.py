"""Servers that enforce quotas, and what their users ask of Service Quotas."""

from __future__ import annotations

import time
from collections.abc import Callable
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


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """What another process has changed on PostgreSQL is seen within a moment."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
