"""Servers that enforce quotas, and what their users ask of Service Quotas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError
from server_support import Server, casemate

CREATE_KEY, KEYS, ALIASES, POLICY_SIZE = "L-32B67F4A", "L-C2F1777E", "L-340F62FB", "L-CM000001"
THROTTLED = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."


@contextmanager
def refused(code: str, message: str | None = None, status: int = 400) -> Iterator[None]:
    """Expect AWS's error: its code, its whole message, its HTTP status."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code, response["Error"]
    if message is not None:
        assert response["Error"]["Message"] == message
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


def quota(server: Server, *args: str) -> str:
    """What ``casemate quota`` prints."""
    done = casemate("quota", args[0], "--data", str(server.data), *args[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout


def value_of(client: Any, code: str) -> float:
    found: float = client.get_service_quota(ServiceCode="kms", QuotaCode=code)["Quota"]["Value"]
    return found
