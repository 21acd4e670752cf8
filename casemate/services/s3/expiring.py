"""When lifecycle rules let an object go, for the answers that tell it. Source: "How to determine when an object is
scheduled for expiration"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from casemate.services.s3.about import http_date
from casemate.services.s3.lifecycle_filters import due, filter_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.services.s3.object_rows import ObjectRow
    from casemate.services.s3.resources import Bucket


def expiry(bucket: Bucket, row: ObjectRow) -> tuple[float, str] | None:
    """When a current version goes, or is hidden, and by which rule; None where it stays."""
    lifecycle = bucket.settings.get("Lifecycle")
    if lifecycle is None or row.marker or not row.latest:
        return None
    found: list[tuple[float, str]] = []
    for rule in lifecycle["Rules"]:
        expiration: Mapping[str, Any] = rule.get("Expiration", {})
        if rule["Status"] != "Enabled" or not filter_of(rule).covers(row.key, row.size, row.tags):
            continue
        if "Date" in expiration:
            found.append((expiration["Date"], rule["ID"]))
        elif "Days" in expiration:
            found.append((due(row.modified, expiration["Days"]), rule["ID"]))
    return min(found, default=None)


def shown(bucket: Bucket, row: ObjectRow) -> dict[str, Any]:
    """x-amz-expiration."""
    if "Lifecycle" not in bucket.settings:
        return {}
    found = expiry(bucket, row)
    if found is None:
        return {}
    return {"Expiration": f'expiry-date="{http_date(found[0])}", rule-id="{quote(found[1], safe="")}"'}
