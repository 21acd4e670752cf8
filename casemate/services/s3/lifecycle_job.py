"""The job that does what buckets' lifecycle rules say, once a day at midnight of UTC.

It walks over a bucket's versions, some keys in each transaction, so that writers need not wait for it, and what it
did before it was interrupted stays done. Source: "Expiring objects", "Examples of S3 Lifecycle configurations".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from casemate.clock import Clock
from casemate.gate.announcing import Announcer
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.happenings import expired, transitioned
from casemate.services.s3.lifecycle_filters import DAY, due, filter_of
from casemate.services.s3.object_rows import ObjectRow, Objects, discard_parts
from casemate.services.s3.replicating import is_unfinished
from casemate.services.s3.resources import Bucket, BucketRow
from casemate.services.s3.transitions import ALL_LARGE, reached, reached_older
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.s3")

LIFECYCLE = "s3.lifecycle"
_BATCH = 500
_COLUMNS = "key, version, null_version, latest, marker, modified, size, body, sealed"

Rule = Mapping[str, Any]


def plan(tx: Tx, row: BucketRow, now: float) -> None:
    """Have the bucket's rules applied from the next midnight on; of a bucket without rules, not any more."""
    name = f"{LIFECYCLE} {row.id}"
    if "Lifecycle" in row.settings:
        schedule(tx, LIFECYCLE, now + DAY - now % DAY, {"bucket": row.name, "id": row.id}, every=DAY, id=name)
    else:
        cancel(tx, name)


class Doomed(NamedTuple):
    """What is to be done about a key. hidden: it gets a delete marker; removed: versions that go for good; moved:
    those that come into another storage class, with that."""

    hidden: bool
    removed: Sequence[ObjectRow]
    moved: Sequence[tuple[ObjectRow, str]] = ()


def doomed(
    versions: Sequence[ObjectRow],
    rules: Sequence[Rule],
    versioned: bool,
    now: float,
    minimum: str = ALL_LARGE,
) -> Doomed:
    """What the rules say of a key. versions: all of them, the newest first; versioned: whether the bucket ever had
    versioning, so that what is current is hidden and not removed; minimum: TransitionDefaultMinimumObjectSize."""
    current, older = versions[0], versions[1:]
    removed: list[ObjectRow] = []
    moved: list[tuple[ObjectRow, str]] = []
    hidden = False
    if is_unfinished(current.about):
        pass
    elif current.marker:
        if not older and any(_ends_marker(rule, current, now) for rule in rules):
            removed.append(current)
    elif any(_expires(rule, current, now) for rule in rules):
        hidden = versioned
        if not versioned:
            removed.append(current)
    if not (current.marker or removed or is_unfinished(current.about)):
        to = reached(rules, current, minimum, now)
        if to is not None:
            moved.append((current, to))
    aged = outlived(older, rules, 0, current.modified, now, minimum)
    return Doomed(hidden, [*removed, *aged.removed], [*moved, *aged.moved])


def outlived(
    older: Sequence[ObjectRow],
    rules: Sequence[Rule],
    before: int,
    since: float,
    now: float,
    minimum: str = ALL_LARGE,
) -> Doomed:
    """The same of older versions. before: how many older versions are newer than the first of these; since: when that
    ceased to be current."""
    removed: list[ObjectRow] = []
    moved: list[tuple[ObjectRow, str]] = []
    for number, version in enumerate(older, before):
        if not is_unfinished(version.about):
            to = None if version.marker else reached_older(rules, version, minimum, number, since, now)
            if any(_ends_older(rule, version, number, since, now) for rule in rules) and not is_kept(
                version, now
            ):
                removed.append(version)
            elif to is not None:
                moved.append((version, to))
        since = version.modified
    return Doomed(False, removed, moved)


def is_kept(row: ObjectRow, now: float) -> bool:
    """Whether Object Lock keeps a version from being removed, now and by rules in any mode."""
    lock = row.about.get("Lock", {})
    return bool(lock.get("Hold") == "ON" or lock.get("Until", 0.0) > now)


def _covers(rule: Rule, row: ObjectRow) -> bool:
    return filter_of(rule).covers(row.key, row.size, row.tags)


def _over(expiration: Mapping[str, Any], made: float, now: float) -> bool:
    """Whether what was made then is past its days or date."""
    if "Date" in expiration:
        return bool(expiration["Date"] <= now)
    return "Days" in expiration and due(made, expiration["Days"]) <= now


def _expires(rule: Rule, row: ObjectRow, now: float) -> bool:
    return _over(rule.get("Expiration", {}), row.modified, now) and _covers(rule, row)


def _ends_marker(rule: Rule, marker: ObjectRow, now: float) -> bool:
    """Whether a delete marker with nothing left behind it goes."""
    expiration = rule.get("Expiration", {})
    if not filter_of(rule).of_keys_alone or not _covers(rule, marker):
        return False
    return bool(expiration.get("ExpiredObjectDeleteMarker")) or _over(expiration, marker.modified, now)


def _ends_older(rule: Rule, row: ObjectRow, number: int, since: float, now: float) -> bool:
    """number: how many older versions are newer than this; since: when it ceased to be current."""
    expiration = rule.get("NoncurrentVersionExpiration")
    return (
        expiration is not None
        and due(since, expiration["NoncurrentDays"]) <= now
        and number >= expiration.get("NewerNoncurrentVersions", 0)
        and _covers(rule, row)
    )


def applier(
    store: Store,
    buckets: Buckets,
    objects: Objects,
    clock: Clock,
    record: Callable[[Bucket, Mapping[str, Any]], None],
    audits: Callable[[], bool],
    announcer: Announcer,
) -> Callable[[Job], None]:
    """The job's handler. record: writes what was done into the audit; audits: whether that can be done now, without
    which nothing is done."""

    def run(job: Job) -> None:
        if not audits():
            raise RuntimeError("the audit takes no records, so nothing expires")
        after: _Place | None = _Place(uploads=True)
        while after is not None:
            place = after

            def step(tx: Tx, place: _Place = place) -> _Step:
                return _step(tx, job, buckets, objects, place, clock.now(), announcer)

            done = store.write(step)
            if done.bucket is not None and done.told:
                record(done.bucket, done.told)
            after = done.after

    return run


class _Place(NamedTuple):
    """How far the walk has come: over the uploads first, then over the versions.

    key, name: of the last upload (its id) or version; older, since: of a key that has more versions than are read at
    once, how many of its older ones were seen, and when the last that was seen was made.
    """

    uploads: bool
    key: bytes = b""
    name: str = ""
    older: int = 0
    since: float = 0.0


class _Step(NamedTuple):
    """after: where the next one begins, None after the last; told: what was done, for the audit."""

    bucket: Bucket | None
    after: _Place | None
    told: Mapping[str, Any]


def _step(
    tx: Tx,
    job: Job,
    buckets: Buckets,
    objects: Objects,
    place: _Place,
    now: float,
    announcer: Announcer,
) -> _Step:
    bucket = buckets.load(tx, job.payload["bucket"])
    if bucket is None or bucket.id != job.payload["id"] or "Lifecycle" not in bucket.settings:
        cancel(tx, job.id)
        return _Step(None, None, {})
    rules = [rule for rule in bucket.settings["Lifecycle"]["Rules"] if rule["Status"] == "Enabled"]
    told: dict[str, list[Any]] = {}
    if place.uploads:
        place = _abort_uploads(tx, bucket, place, rules, now, told)
    after: _Place | None = place
    if not place.uploads:
        after = _expire(tx, bucket, buckets, objects, place, rules, now, told, announcer)
    if after is None:
        job.finish(tx)
    else:
        job.renew(tx)
    return _Step(bucket, after, told)


def _expire(
    tx: Tx,
    bucket: Bucket,
    buckets: Buckets,
    objects: Objects,
    place: _Place,
    rules: Sequence[Rule],
    now: float,
    told: dict[str, list[Any]],
    announcer: Announcer,
) -> _Place | None:
    """Do what the rules say of the next versions; where it goes on."""
    rows = [
        objects.opened(tx, bucket, columns)
        for columns in tx.all(
            f"SELECT {_COLUMNS} FROM s3_objects WHERE bucket = ? AND (key, version) > (?, ?) "
            "ORDER BY key, version LIMIT ?",
            (bucket.id, place.key, place.name, _BATCH),
        )
    ]
    minimum: str = bucket.settings["Lifecycle"]["Minimum"]
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row.key)]
    whole = len(rows) < _BATCH
    if not whole and len(groups) > 1:
        # The last key may have more versions than were read: it is read again, from its newest on.
        del groups[-1]
    for versions in groups:
        if place.name and versions[0].key.encode() == place.key:
            what = outlived(versions, rules, place.older, place.since, now, minimum)
        else:
            what = doomed(versions, rules, bool(bucket.versioning), now, minimum)
        _apply(tx, bucket, objects, versions[0].key, what, now, told, announcer, buckets)
    if whole:
        return None
    last = groups[-1][-1]
    key = last.key.encode()
    if last is not rows[-1]:
        return _Place(False, key + b"\0")
    seen = place.older + len(rows) if place.name and key == place.key else len(rows) - 1
    return _Place(False, key, last.version, seen, last.modified)


def _apply(
    tx: Tx,
    bucket: Bucket,
    objects: Objects,
    key: str,
    what: Doomed,
    now: float,
    told: dict[str, list[Any]],
    announcer: Announcer,
    buckets: Buckets,
) -> None:
    for row, to in what.moved:
        moved = objects.describe(tx, bucket, row, {**row.about, "StorageClass": to})
        transitioned(announcer, tx, buckets, bucket, moved, now)
        told.setdefault("transitionedVersions", []).append(
            {"key": row.key, "versionId": row.version_id, "storageClass": to}
        )
    for row in what.removed:
        objects.remove(tx, bucket, row, now)
        expired(announcer, tx, buckets, bucket, row, now)
        told.setdefault("deletedVersions", []).append({"key": row.key, "versionId": row.version_id})
    if what.hidden:
        marker = objects.add(tx, bucket, key, now, {}, marker=True)
        expired(announcer, tx, buckets, bucket, marker, now)
        told.setdefault("createdDeleteMarkers", []).append(
            {"key": marker.key, "versionId": marker.version_id}
        )


def _abort_uploads(
    tx: Tx, bucket: Bucket, place: _Place, rules: Sequence[Rule], now: float, told: dict[str, list[Any]]
) -> _Place:
    """Abort those of the next uploads that have been under way for too long; where it goes on."""
    rules = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
    if not rules:
        return _Place(uploads=False)
    rows = tx.all(
        "SELECT key, id, started FROM s3_uploads WHERE bucket = ? AND (key, id) > (?, ?) ORDER BY key, id LIMIT ?",
        (bucket.id, place.key, place.name, _BATCH),
    )
    for name, upload, started in rows:
        key = bytes(name).decode()
        if any(_aborts(rule, key, started, now) for rule in rules):
            discard_parts(tx, upload, now)
            tx.run(
                "DELETE FROM s3_uploads WHERE bucket = ? AND key = ? AND id = ?", (bucket.id, name, upload)
            )
            told.setdefault("abortedUploads", []).append({"key": key, "uploadId": upload})
    if len(rows) < _BATCH:
        return _Place(uploads=False)
    name, upload, _started = rows[-1]
    return _Place(True, bytes(name), upload)


def _aborts(rule: Rule, key: str, started: float, now: float) -> bool:
    days = rule["AbortIncompleteMultipartUpload"].get("DaysAfterInitiation")
    return days is not None and due(started, days) <= now and key.startswith(filter_of(rule).prefix)
