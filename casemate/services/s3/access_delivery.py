"""The job that delivers a bucket's server access logs, every hour, as S3's log delivery service: the target bucket's
policy must let it, or its list. Source: "Logging requests with server access logging", "Enabling Amazon S3 server
access logging".
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import Actor, perform
from casemate.gate.billing import UsageReader
from casemate.services.s3.access_lines import Kept, forget, forget_before, waiting
from casemate.services.s3.access_notes import LOG_SERVICE
from casemate.services.s3.acl_rules import HEADERS
from casemate.services.s3.resources import Bucket, BucketRow
from casemate.store.errors import StoreError
from casemate.store.jobs import Job, cancel, schedule
from casemate.store.journal_format import JournalTampered

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.services.s3.buckets import Buckets
    from casemate.store.database import Tx

log = logging.getLogger("casemate.s3")

DELIVER_LOGS = "s3.deliver_logs"
_EVERY = 3600.0
_TRIED_FOR = 86_400.0
_ROWS = 20
"""In one object: 10,000 lines."""


def plan(tx: Tx, row: BucketRow, now: float) -> None:
    """Have the bucket's log delivered from now on. A bucket's job ends by itself when nothing is to be logged."""
    payload = {"bucket": row.name, "id": row.id, "account": row.account}
    schedule(tx, DELIVER_LOGS, now + _EVERY, payload, every=_EVERY, id=f"{DELIVER_LOGS} {row.id}")


def key_of(logging: Mapping[str, Any], bucket: Bucket, now: float, day: str) -> str:
    """A new object's key. logging: the LoggingEnabled; day: of the lines, 2026-11-25; now: seconds since the epoch.
    Source: "Log object key format"."""
    at = datetime.fromtimestamp(now, UTC)
    unique = secrets.token_hex(8).upper()
    partitioned = logging.get("TargetObjectKeyFormat", {}).get("PartitionedPrefix")
    prefix: str = logging["TargetPrefix"]
    if partitioned is None:
        return f"{prefix}{at:%Y-%m-%d-%H-%M-%S}-{unique}"
    if partitioned.get("PartitionDateSource") == "EventTime":
        at = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    place = f"{bucket.account}/{bucket.region}/{bucket.name}/{at:%Y/%m/%d}"
    return f"{prefix}{place}/{at:%Y-%m-%d-%H-%M-%S}-{unique}"


def _grants(logging: Mapping[str, Any], owner: str) -> dict[str, str]:
    """The members that give an object the target grants, of a bucket where lists count."""
    granted = logging.get("TargetGrants")
    if not granted:
        return {}
    members: dict[str, list[str]] = {"GrantFullControl": [f'id="{owner}"']}
    names = {permission: name for name, permission in HEADERS.items()}
    for grantee, permission in granted:
        kind = "uri" if grantee.startswith("http") else "id"
        members.setdefault(names[permission], []).append(f'{kind}="{grantee}"')
    return {name: ", ".join(values) for name, values in members.items()}


def deliverer(gate: Gate, buckets: Buckets) -> Callable[[Job], None]:
    """The job's handler."""

    def run(job: Job) -> None:
        _catch_up(gate)
        while _deliver(gate, buckets, job):
            pass

    return run


def _catch_up(gate: Gate) -> None:
    """What was asked up to now is to be in the log. Without it there is only less to deliver."""
    try:
        gate.parts[UsageReader].catch_up()
    except (StoreError, JournalTampered) as error:
        log.error("the audit is not read for access logs: %s", error)


def _deliver(gate: Gate, buckets: Buckets, job: Job) -> bool:
    """Deliver one object; whether there may be more."""
    name, bucket_id, account = (job.payload[member] for member in ("bucket", "id", "account"))

    def look(tx: Tx) -> tuple[Bucket | None, Sequence[Kept]]:
        bucket = buckets.load(tx, name)
        if bucket is None or bucket.id != bucket_id or not bucket.logged:
            return None, ()
        return bucket, list(waiting(tx, buckets, bucket_id, account, _ROWS))

    now = gate.clock.now()
    try:
        bucket, rows = gate.store.read(look)
        if bucket is None:
            gate.store.write(lambda tx: _end(tx, job, bucket_id))
            return False
        if not rows:
            return False
        # In the order of their days, for an object may be filed under one.
        same = list(takewhile(lambda row: row.day == rows[0].day, rows))
        _put(gate, bucket, job, same, now)
    except Tampered as error:
        log.error("the access log of bucket %s is dropped: %s", name, error)
        gate.store.write(lambda tx: forget_before(tx, bucket_id, float("inf")))
        return False
    except AwsError as error:
        dropped = gate.store.write(lambda tx: forget_before(tx, bucket_id, now - _TRIED_FOR))
        log.warning("the access log of bucket %s is not taken: %s; %d dropped", name, error.code, dropped)
        return False
    return True


def _put(gate: Gate, bucket: Bucket, job: Job, rows: Sequence[Kept], now: float) -> None:
    logging: Mapping[str, Any] = bucket.settings["Logging"]
    request = {
        "Bucket": logging["TargetBucket"],
        "Key": key_of(logging, bucket, now, rows[0].day),
        "Body": "".join(f"{line}\n" for row in rows for line in row.lines).encode(),
        "ContentType": "text/plain",
        **_grants(logging, bucket.owner_id),
    }

    def work(call: Call) -> None:
        call.gate.operation("s3", "PutObject").ask(call, request)
        forget(call.tx, bucket.id, [row.id for row in rows])
        job.renew(call.tx)

    perform(gate, Actor(LOG_SERVICE, bucket.account, bucket.region, source_arn=bucket.arn), work)


def _end(tx: Tx, job: Job, bucket_id: str) -> None:
    forget_before(tx, bucket_id, float("inf"))
    cancel(tx, job.id)
