"""How a trail's deliveries went, by Region: what GetTrailStatus tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casemate.store.database import Tx


def of(tx: Tx, trail: str, region: str) -> dict[str, Any]:
    """Members of GetTrailStatusResponse; times as seconds since the epoch. trail: its id."""
    row = tx.one("SELECT status FROM cloudtrail_status WHERE trail = ? AND region = ?", (trail, region))
    return {} if row is None else json.loads(row[0])


def went_well(tx: Tx, trail: str, region: str, what: str, now: float) -> None:
    """what: "Delivery", "Notification", "DigestDelivery", "CloudWatchLogsDelivery"."""
    found = of(tx, trail, region)
    found.pop(f"Latest{what}Error", None)
    found[f"Latest{what}Time"] = float(now)
    _put(tx, trail, region, found)


def failed(tx: Tx, trail: str, region: str, what: str, error: str) -> None:
    """error: the code that the service gave."""
    found = of(tx, trail, region)
    if found.get(f"Latest{what}Error") != error:
        found[f"Latest{what}Error"] = error
        _put(tx, trail, region, found)


def _put(tx: Tx, trail: str, region: str, found: dict[str, Any]) -> None:
    tx.run(
        "INSERT INTO cloudtrail_status (trail, region, status) VALUES (?, ?, ?) "
        "ON CONFLICT (trail, region) DO UPDATE SET status = excluded.status",
        (trail, region, json.dumps(found)),
    )
