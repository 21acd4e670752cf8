"""Servers whose use is counted, and what their users ask of Cost Explorer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from server_support import Server, casemate
from server_support import refused as refused


def today() -> date:
    return datetime.now(UTC).date()


def month(day: date | None = None) -> dict[str, str]:
    """The month of a day, of today unless given, as a TimePeriod."""
    start = (day or today()).replace(day=1)
    return {"Start": str(start), "End": str((start + timedelta(days=32)).replace(day=1))}


def groups(
    server: Server, *keys: str, metric: str = "UsageQuantity", **more: Any
) -> Mapping[tuple[str, ...], str]:
    """A month's amounts by dimensions."""
    request = {"TimePeriod": month(), "Granularity": "MONTHLY", **more}
    answer = server.client("ce").get_cost_and_usage(
        Metrics=[metric], GroupBy=[{"Type": "DIMENSION", "Key": key} for key in keys], **request
    )
    return {
        tuple(group["Keys"]): group["Metrics"][metric]["Amount"]
        for result in answer["ResultsByTime"]
        for group in result["Groups"]
    }


def cost(server: Server, *args: str) -> Any:
    """What ``casemate cost --format json`` says."""
    done = casemate("cost", "--data", str(server.data), "--format", "json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_name(answer: Any) -> dict[str, str]:
    return {each["name"]: each["quantity"] for each in answer["costs"]}


def encrypt(server: Server, key: str, times: int, region: str = "us-east-1") -> None:
    kms = server.client("kms", region=region)
    for _ in range(times):
        kms.encrypt(KeyId=key, Plaintext=b"x")


def keys_of(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [group["Keys"] for result in results for group in result["Groups"]]
