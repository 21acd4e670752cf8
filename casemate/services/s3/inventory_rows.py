"""The rows of inventory configurations, and the jobs that make their reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from casemate.services.s3.lifecycle_filters import DAY
from casemate.store.jobs import cancel, schedule

if TYPE_CHECKING:
    from casemate.services.s3.buckets import Buckets
    from casemate.services.s3.resources import Bucket
    from casemate.store.database import Tx

INVENTORY = "s3.inventory"
PAGE = 100
"""Configurations in an answer."""

_PURPOSE = "s3-inventory"
_SUNDAY = 6


def job_id(bucket_id: str, name: str) -> str:
    return f"{INVENTORY} {bucket_id} {name}"


def find(tx: Tx, buckets: Buckets, bucket: Bucket, name: str) -> Mapping[str, Any] | None:
    """The configuration, as the API has it. Raises Tampered."""
    row = tx.one("SELECT id, sealed FROM s3_inventories WHERE bucket = ? AND id = ?", (bucket.id, name))
    return None if row is None else _opened(tx, buckets, bucket, row)


def page(tx: Tx, buckets: Buckets, bucket: Bucket, after: str) -> list[Mapping[str, Any]]:
    """The next configurations by their ids, one more than are answered. Raises Tampered."""
    rows = tx.all(
        "SELECT id, sealed FROM s3_inventories WHERE bucket = ? AND id > ? ORDER BY id LIMIT ?",
        (bucket.id, after, PAGE + 1),
    )
    return [_opened(tx, buckets, bucket, row) for row in rows]


def count(tx: Tx, bucket: Bucket) -> int:
    row = tx.one("SELECT COUNT(*) FROM s3_inventories WHERE bucket = ?", (bucket.id,))
    assert row is not None
    return int(row[0])


def _opened(tx: Tx, buckets: Buckets, bucket: Bucket, row: tuple[Any, ...]) -> Mapping[str, Any]:
    name, sealed = row
    text = buckets.account_key(tx, bucket.account).unwrap(sealed, _PURPOSE, bucket.id, name)
    found: Mapping[str, Any] = json.loads(text)
    return found


def keep(tx: Tx, buckets: Buckets, bucket: Bucket, configuration: Mapping[str, Any], now: float) -> None:
    """Make or replace a configuration; its job runs as it says, from the next occasion on."""
    name: str = configuration["Id"]
    text = json.dumps(configuration).encode()
    sealed = buckets.account_key(tx, bucket.account).wrap(text, _PURPOSE, bucket.id, name)
    tx.run("DELETE FROM s3_inventories WHERE bucket = ? AND id = ?", (bucket.id, name))
    tx.run("INSERT INTO s3_inventories (bucket, id, sealed) VALUES (?, ?, ?)", (bucket.id, name, sealed))
    plan(tx, bucket, configuration, now)


def plan(tx: Tx, bucket: Bucket, configuration: Mapping[str, Any], now: float) -> None:
    """Daily at midnight of UTC, weekly on Sundays; not at all what is switched off."""
    name: str = configuration["Id"]
    if not configuration["IsEnabled"]:
        cancel(tx, job_id(bucket.id, name))
        return
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(1)
    every = DAY
    if configuration["Schedule"]["Frequency"] == "Weekly":
        day += timedelta((_SUNDAY - day.weekday()) % 7)
        every *= 7
    payload = {"bucket": bucket.name, "id": bucket.id, "name": name}
    schedule(tx, INVENTORY, day.timestamp(), payload, every=every, id=job_id(bucket.id, name))


def remove(tx: Tx, bucket: Bucket, name: str) -> bool:
    """Whether there was one."""
    cancel(tx, job_id(bucket.id, name))
    return bool(tx.run("DELETE FROM s3_inventories WHERE bucket = ? AND id = ?", (bucket.id, name)))


def remove_all(tx: Tx, bucket: Bucket) -> None:
    """Of a bucket that goes. The jobs find that out by themselves."""
    tx.run("DELETE FROM s3_inventories WHERE bucket = ?", (bucket.id,))


def planless(tx: Tx, buckets: Buckets, bucket: Bucket) -> Iterator[Mapping[str, Any]]:
    """Configurations that are to be reported on, and no job does it: of which there are none. Raises Tampered."""
    for row in tx.all("SELECT id, sealed FROM s3_inventories WHERE bucket = ? ORDER BY id", (bucket.id,)):
        configuration = _opened(tx, buckets, bucket, row)
        if configuration["IsEnabled"] and (
            tx.one("SELECT 1 FROM store_jobs WHERE id = ?", (job_id(bucket.id, row[0]),)) is None
        ):
            yield configuration
